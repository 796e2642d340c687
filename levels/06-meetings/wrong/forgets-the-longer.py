import sys

numbers = list(map(int, sys.stdin.read().split()))
times = []
for begin, end in sorted(zip(numbers[1::2], numbers[2::2])):
    if times and begin <= times[-1][1]:
        times[-1][1] = end
    else:
        times.append([begin, end])
for begin, end in times:
    print(begin, end)
print(sum(end - begin for begin, end in times))
