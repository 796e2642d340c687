"""Text of many lines; what programs like to change: blanks at ends, no last newline, nothing."""
import random
import sys

seed, index, count = map(int, sys.argv[1:4])
random.seed(seed)
edges = ["", "\n", "no newline", "blanks at the end   \n", "\n\n\nempty lines\n\n", "\ttab\r\n"]
if index < len(edges):
    sys.stdout.write(edges[index])
else:
    size = 90000 * index // count
    text = ""
    while len(text) < size:
        text += "".join(random.choices("abc XYZ.,;\t0123456789", k=random.randint(0, 100))) + "\n"
    sys.stdout.write(text if random.random() < 0.5 else text[:-1])
