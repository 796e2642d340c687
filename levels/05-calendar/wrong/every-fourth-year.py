import sys

DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
BEFORE = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334]


def ordinal(text):
    year, month, day = map(int, text.split("-"))
    past = year - 1
    leap = year % 4 == 0
    return past * 365 + past // 4 + BEFORE[month - 1] + (leap and month > 2) + day


MONDAY = ordinal("2024-01-01")
for line in sys.stdin:
    first, second = map(ordinal, line.split())
    print(second - first, DAYS[(second - MONDAY) % 7])
