import sys

n, m, *numbers = map(int, sys.stdin.read().split())
after = [[] for _ in range(n + 1)]
waits_for = [0] * (n + 1)
for a, b in zip(numbers[::2], numbers[1::2]):
    after[a].append(b)
    waits_for[b] += 1
order = [part for part in range(1, n + 1) if waits_for[part] == 0]
for part in order:
    for other in after[part]:
        waits_for[other] -= 1
        if waits_for[other] == 0:
            order.append(other)
if len(order) == n:
    print("order")
    print(*order)
else:
    print("cycle")
    print(*[part for part in range(1, n + 1) if waits_for[part] > 0])
