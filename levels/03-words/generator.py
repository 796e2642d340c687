"""Words of a small vocabulary, with signs, digits and capitals between and inside them."""
import random
import sys

seed, index, count = map(int, sys.argv[1:4])
random.seed(seed)
if index == 0:
    print("123 -- 456 !")
    sys.exit()
stems = ["".join(random.choices("abcdefghijklmnopqrstuvwxyz", k=random.randint(1, 7)))
         for _ in range(random.randint(2, 300))]
for _ in range(random.randint(1, 40 if index < count // 2 else 9000)):
    word = random.choice(stems)
    word = random.choice([word, word, word.upper(), word.capitalize(), word + "'s", word + "2x"])
    sys.stdout.write(word + random.choice([" ", " ", ", ", ".\n", "-", "_", "; ", "  "]))
sys.stdout.write("\n")
