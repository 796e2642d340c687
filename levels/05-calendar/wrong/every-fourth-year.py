import sys

DAYS = "Saturday Sunday Monday Tuesday Wednesday Thursday Friday".split()
BEFORE = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334]


def ordinal(text):
    year, month, day = map(int, text.split("-"))
    past = year - 1583
    return past * 365 + (year - 1) // 4 - 1582 // 4 + BEFORE[month - 1] + \
        (year % 4 == 0 and month > 2) + day - 1


for line in sys.stdin:
    first, second = map(ordinal, line.split())
    print(second - first, DAYS[second % 7])
