"""Sparse and dense meetings, nested and touching ones, in no order."""
import random
import sys

seed, index, count = map(int, sys.argv[1:4])
random.seed(seed)
n = random.randint(1, 8) if index < count // 2 else random.randint(50000, 100000)
top = random.choice([30, 10 * n, 10 ** 9])
longest = max(2, top // random.choice([2, n, 2 * n]))
print(n)
for _ in range(n):
    begin = random.randint(0, top - 1)
    print(begin, min(top, begin + random.randint(1, longest)))
