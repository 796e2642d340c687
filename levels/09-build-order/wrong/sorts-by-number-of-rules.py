import sys

n, m, *numbers = map(int, sys.stdin.read().split())
rules = list(zip(numbers[::2], numbers[1::2]))
count = [0] * (n + 1)
for a, b in rules:
    count[b] += 1
for a, b in rules:
    if (b, a) in set(rules[:100]):
        print("cycle")
        print(*({a, b}))
        sys.exit()
print("order")
print(*sorted(range(1, n + 1), key=lambda part: count[part]))
