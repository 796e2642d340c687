"""Weeks from nearly empty to hopelessly crowded; windows that few share, windows that all share."""
import random
import sys

seed, index, count = map(int, sys.argv[1:4])
random.seed(seed)
DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri"]
STEP = random.choice([30, 30, 10, 5])


def clock(minute):
    return f"{minute // 60:02d}:{minute % 60:02d}"


def hours(first, last, longest):
    begin = random.randrange(first, last - STEP, STEP)
    return begin, min(last, begin + random.randrange(STEP, longest + STEP, STEP))


small = index < count // 3
days = random.sample(DAYS, random.randint(1, 2)) if small else DAYS
free = []
for day in days:
    at = 480
    for _ in range(random.randint(1, 2 if small else 4)):
        if at < 1080:
            begin, end = hours(at, min(1110, at + 180), 240)
            free.append((day, begin, end))
            at = end
visitors = random.randint(2, 7) if small else random.randint(20, 150)
top = random.choice([1, 10, 1000])
print(len(free), visitors, random.randint(1, 3) if index % 2 else random.randint(3, 20))
for day, begin, end in free:
    print(day, clock(begin), clock(end))
for number in range(visitors):
    windows = []
    for _ in range(random.randint(1, random.choice([1, 2, 5]))):
        day, begin, end = random.choice(free)
        begin, end = hours(max(450, begin - 30), min(1140, end + 60), random.choice([60, 120, 300]))
        windows.append(f"{day} {clock(begin)}-{clock(end)}")
    print(f"v{number}", random.randint(1, top), *windows)
