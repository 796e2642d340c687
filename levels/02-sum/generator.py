"""Few numbers or many, small or large, on one line or on many."""
import random
import sys

seed, index, count = map(int, sys.argv[1:4])
random.seed(seed)
n = 1 if index == 0 else random.randint(1, 100000 if index > count // 2 else 50)
top = 10 ** random.choice([1, 6, 12])
low = top // 2 if index % 3 == 0 else -top
for _ in range(n):
    sys.stdout.write(str(random.randint(low, top)) + random.choice([" ", "\n", "  "]))
sys.stdout.write("\n")
