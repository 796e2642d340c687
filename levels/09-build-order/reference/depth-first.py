import sys

n, m, *numbers = map(int, sys.stdin.read().split())
after = [[] for _ in range(n + 1)]
for a, b in zip(numbers[::2], numbers[1::2]):
    after[a].append(b)
state = [0] * (n + 1)  # 1: on the way, 2: done
done = []
for root in range(1, n + 1):
    if state[root]:
        continue
    way = [root]
    state[root] = 1
    while way:
        part = way[-1]
        if not after[part]:
            state[part] = 2
            done.append(way.pop())
            continue
        other = after[part].pop()
        if state[other] == 1:
            print("cycle")
            print(*way[way.index(other):])
            sys.exit()
        if state[other] == 0:
            state[other] = 1
            way.append(other)
print("order")
print(*reversed(done))
