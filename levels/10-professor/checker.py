"""checker.py INPUT OUTPUT ANSWER: every visit keeps the rules, and the sum is the reference's."""
import re
import sys


def refuse(why):
    print(why)
    sys.exit(1)


def minutes(text):
    return int(text[:2]) * 60 + int(text[3:5])


lines = open(sys.argv[1]).read().splitlines()
free_count, visitor_count, most = map(int, lines[0].split())
free = [(day, minutes(begin), minutes(end))
        for day, begin, end in map(str.split, lines[1:1 + free_count])]
visitors = {}
for line in lines[1 + free_count:1 + free_count + visitor_count]:
    name, importance, *windows = line.split()
    visitors[name] = (int(importance), [(day, minutes(hours[:5]), minutes(hours[6:]))
                                        for day, hours in zip(windows[::2], windows[1::2])])
output = open(sys.argv[2], "rb").read().decode("ascii", "replace").split("\n")
output = [line.split() for line in output if line.strip()]
best = int(open(sys.argv[3]).read().split()[0])
if not output or output[0] != [str(best)]:
    refuse("the sum is not the largest one")
total, came, taken, visits = 0, set(), set(), {}
for words in output[1:]:
    if len(words) != 3 or words[0] not in visitors or not re.fullmatch(r"\d\d:[03]0", words[2]):
        refuse("a line is no NAME DAY BEGIN with a visitor's name and a full or half hour")
    name, day, begin = words[0], words[1], minutes(words[2])
    importance, windows = visitors[name]
    if name in came:
        refuse(f"{name} comes twice")
    if (day, begin) in taken:
        refuse(f"two visitors at {day} {words[2]}")
    for what, times in (("the professor's free hours", free), (f"the windows of {name}", windows)):
        if not any(d == day and b <= begin and begin + 30 <= e for d, b, e in times):
            refuse(f"{day} {words[2]} is outside {what}")
    if 690 < begin < 780:
        refuse(f"{day} {words[2]} is lunch time")
    visits[day] = visits.get(day, 0) + 1
    if visits[day] > most:
        refuse(f"more than {most} visits on {day}")
    came.add(name)
    taken.add((day, begin))
    total += importance
if total != best:
    refuse(f"those who come are worth {total}, not {best}")
