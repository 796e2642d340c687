"""Balanced texts, most of them damaged at one or two places; deep ones; empty lines."""
import random
import sys

seed, index, count = map(int, sys.argv[1:4])
random.seed(seed)
PAIRS = ["()", "[]", "{}"]


def balanced(size):
    out, open_ones = [], []
    while len(out) < size or open_ones:
        if open_ones and (len(out) >= size or random.random() < 0.45):
            out.append(open_ones.pop())
        elif random.random() < 0.2:
            out.append(random.choice("xyz +"))
        else:
            pair = random.choice(PAIRS)
            out.append(pair[0])
            open_ones.append(pair[1])
    return out


for _ in range(random.randint(1, 60)):
    text = balanced(random.choice([0, 3, 10, 100]) if index < count - 3 else 5000)
    for _ in range(random.choice([0, 0, 1, 1, 2])):
        if text:
            at = random.randrange(len(text))
            text[at:at + random.randint(0, 1)] = random.choice(["(", ")", "[", "]", "{", "}", ""])
    print("".join(text))
