import sys

n, m, *numbers = map(int, sys.stdin.read().split())
after = [[] for _ in range(n + 1)]
for a, b in zip(numbers[::2], numbers[1::2]):
    after[a].append(b)
state = [0] * (n + 1)
done, way = [], []


def visit(part):
    if state[part] == 1:
        print("cycle")
        print(*way[way.index(part):])
        sys.exit()
    if state[part] == 0:
        state[part] = 1
        way.append(part)
        for other in after[part]:
            visit(other)
        way.pop()
        state[part] = 2
        done.append(part)


for root in range(1, n + 1):
    visit(root)
print("order")
print(*reversed(done))
