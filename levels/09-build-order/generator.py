"""Rules that follow a hidden order, some with a few that go against it; long chains; self rules."""
import random
import sys

seed, index, count = map(int, sys.argv[1:4])
random.seed(seed)
n = random.randint(1, 8) if index < count // 2 else random.randint(5000, 20000)
order = random.sample(range(1, n + 1), n)
rules = []
chain = index % 5 == 4
if chain:  # through all parts, with hardly a short cut
    rules = list(zip(order, order[1:]))
for _ in range(random.randint(0, 3 if chain else 4 * n) if n > 1 else 0):
    a, b = sorted(random.sample(range(n), 2))
    rules.append((order[a], order[b]))
if index % 3 == 1:  # a cycle, with parts before and after it
    length = random.choice([1, 2, min(n, 3), max(1, n // 2)])
    at = random.randint(0, n - length)
    ring = order[at:at + length]
    rules += list(zip(ring, ring[1:] + ring[:1]))
random.shuffle(rules)
rules = rules[:100000] if index % 3 != 1 else rules
print(n, len(rules))
for a, b in rules:
    print(a, b)
