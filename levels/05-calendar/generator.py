"""Dates anywhere, near ends of February, and around centuries."""
import datetime
import random
import sys

seed, index, count = map(int, sys.argv[1:4])
random.seed(seed)
FIRST = datetime.date(1583, 1, 1).toordinal()
LAST = datetime.date(9999, 12, 31).toordinal()


def any_date():
    kind = random.randrange(3)
    if kind == 0:
        return datetime.date.fromordinal(random.randint(FIRST, LAST))
    year = random.randint(16, 99) * 100 if kind == 1 else random.randint(1600, 9990)
    near = datetime.date(year, 3, 1).toordinal() + random.randint(-3, 3)
    return datetime.date.fromordinal(near)


for _ in range(random.randint(1, 20) if index < count // 2 else 3000):
    print(any_date(), any_date())
