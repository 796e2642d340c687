"""checker.py INPUT OUTPUT ANSWER: is the order one that keeps all rules, the cycle a cycle?"""
import sys


def refuse(why):
    print(why)
    sys.exit(1)


n, m, *numbers = map(int, open(sys.argv[1]).read().split())
rules = list(zip(numbers[::2], numbers[1::2]))
words = open(sys.argv[2], "rb").read().decode("ascii", "replace").split()
wanted = open(sys.argv[3]).read().split()[0]
if not words or words[0] not in ("order", "cycle"):
    refuse("neither order nor cycle")
if words[0] != wanted:
    refuse(f"{words[0]}, but the answer is {wanted}")
try:
    parts = [int(word) for word in words[1:] if len(word) < 9]
except ValueError:
    refuse("what is no number")
if not parts or len(parts) != len(words) - 1 or len(set(parts)) != len(parts):
    refuse("no parts, or a part that stands there twice")
if not all(1 <= part <= n for part in parts):
    refuse("a part that does not exist")
if words[0] == "cycle":
    known = set(rules)
    for rule in zip(parts, parts[1:] + parts[:1]):
        if rule not in known:
            refuse("there is no rule {} {}".format(*rule))
    sys.exit(0)
if len(parts) != n:
    refuse(f"{len(parts)} parts of {n}")
place = {part: i for i, part in enumerate(parts)}
for a, b in rules:
    if place[a] >= place[b]:
        refuse(f"{a} does not stand before {b}")
