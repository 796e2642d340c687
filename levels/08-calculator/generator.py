"""Random expressions of several depths whose values stay small."""
import random
import sys

seed, index, count = map(int, sys.argv[1:4])
random.seed(seed)
TOP = 10 ** 15


class Impossible(Exception):
    pass


def power(a, b):
    if b < 0:
        raise Impossible
    if b > 60 and abs(a) > 1:
        raise OverflowError
    return a ** b


def divide(a, b):
    if b == 0:
        raise Impossible
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def make(depth):
    """(text, strength of its outermost operator, value or None)"""
    if depth == 0 or random.random() < 0.1:
        number = random.choice([0, 1, 2, 3, random.randint(0, 20), random.randint(0, 9999)])
        return str(number), 4, number
    kind = random.choice("+-*//^~")
    text, strength, value = make(depth - 1)
    if kind == "~":
        return "-" + (text if strength >= 2 else f"({text})"), 2, None if value is None else -value
    other_text, other_strength, other = make(depth - 1 if kind != "^" else min(depth - 1, 1))
    mine = {"+": 0, "-": 0, "*": 1, "/": 1, "^": 3}[kind]
    left = text if strength > mine or (strength == mine != 3) else f"({text})"
    right = other_text if other_strength > mine or (mine == 3 and other_strength >= 2) \
        else f"({other_text})"
    blank = random.choice(["", "", " "])
    if value is not None and other is not None:
        try:
            value = {"+": lambda: value + other, "-": lambda: value - other,
                     "*": lambda: value * other, "/": lambda: divide(value, other),
                     "^": lambda: power(value, other)}[kind]()
            if abs(value) > TOP:
                raise OverflowError
        except Impossible:
            value = None
    else:
        value = None
    return left + blank + kind + blank + right, mine, value


done = 0
while done < (20 if index < count // 2 else 300):
    try:
        text, _, value = make(random.randint(1, 3 if index < 4 else 6))
    except OverflowError:
        continue
    if len(text) <= 1000 and (value is not None or random.random() < 0.1):
        print(text)
        done += 1
