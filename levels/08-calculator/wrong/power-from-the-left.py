import re
import sys


class Impossible(Exception):
    pass


def divide(a, b):
    if b == 0:
        raise Impossible
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


class Parser:
    def __init__(self, text):
        self.words = re.findall(r"\d+|[-+*/^()]", text) + ["end"]
        self.at = 0

    def take(self, *wanted):
        word = self.words[self.at]
        if word in wanted:
            self.at += 1
            return word
        return None

    def sum(self):
        value = self.product()
        while operator := self.take("+", "-"):
            other = self.product()
            value = value + other if operator == "+" else value - other
        return value

    def product(self):
        value = self.signed()
        while operator := self.take("*", "/"):
            other = self.signed()
            value = value * other if operator == "*" else divide(value, other)
        return value

    def signed(self):
        if self.take("-"):
            return -self.signed()
        return self.power()

    def power(self):
        base = self.atom()
        while self.take("^"):
            exponent = -self.atom() if self.take("-") else self.atom()
            if exponent < 0:
                raise Impossible
            base = base ** exponent
        return base

    def atom(self):
        if self.take("("):
            value = self.sum()
            self.take(")")
            return value
        self.at += 1
        return int(self.words[self.at - 1])


for line in sys.stdin:
    try:
        print(Parser(line).sum())
    except Impossible:
        print("impossible")
