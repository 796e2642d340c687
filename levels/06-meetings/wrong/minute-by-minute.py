import sys

numbers = list(map(int, sys.stdin.read().split()))
occupied = set()
for begin, end in zip(numbers[1::2], numbers[2::2]):
    occupied.update(range(begin, end))
begin = last = None
for minute in sorted(occupied):
    if last is None or minute != last + 1:
        if last is not None:
            print(begin, last + 1)
        begin = minute
    last = minute
print(begin, last + 1)
print(len(occupied))
