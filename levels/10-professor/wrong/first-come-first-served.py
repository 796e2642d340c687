import sys

DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri"]


def minutes(text):
    return int(text[:2]) * 60 + int(text[3:5])


def clock(minute):
    return f"{minute // 60:02d}:{minute % 60:02d}"


def starts(begin, end):
    """Where a visit may begin inside these hours."""
    return [m for m in range((begin + 29) // 30 * 30, end - 29, 30) if not 690 < m < 780]


def read():
    lines = iter(sys.stdin.read().splitlines())
    free_count, visitor_count, most = map(int, next(lines).split())
    slots = []
    for _ in range(free_count):
        day, begin, end = next(lines).split()
        slots += [(day, m) for m in starts(minutes(begin), minutes(end))]
    visitors = []
    for _ in range(visitor_count):
        name, importance, *windows = next(lines).split()
        wanted = []
        for day, hours in zip(windows[::2], windows[1::2]):
            wanted += [(day, m) for m in starts(minutes(hours[:5]), minutes(hours[6:]))]
        visitors.append((name, int(importance), [slot for slot in slots if slot in set(wanted)]))
    return most, sorted(slots, key=lambda slot: (DAYS.index(slot[0]), slot[1])), visitors


def write(visitors, booked):
    """booked: slot -> index of a visitor"""
    print(sum(visitors[v][1] for v in booked.values()))
    for (day, minute), v in sorted(booked.items(), key=lambda b: (DAYS.index(b[0][0]), b[0][1])):
        print(visitors[v][0], day, clock(minute))


most, slots, visitors = read()
booked = {}
visits = dict.fromkeys(DAYS, 0)
for v in range(len(visitors)):
    for slot in visitors[v][2]:
        if slot not in booked and visits[slot[0]] < most:
            booked[slot] = v
            visits[slot[0]] += 1
            break
write(visitors, booked)
