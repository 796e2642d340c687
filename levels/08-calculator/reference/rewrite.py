"""The same grammar as an expression of Python, whose precedences are these."""
import re
import sys


class Number:
    def __init__(self, value):
        self.value = value

    def __neg__(self):
        return Number(-self.value)

    def __add__(self, other):
        return Number(self.value + other.value)

    def __sub__(self, other):
        return Number(self.value - other.value)

    def __mul__(self, other):
        return Number(self.value * other.value)

    def __truediv__(self, other):
        quotient = abs(self.value) // abs(other.value)
        return Number(quotient if (self.value < 0) == (other.value < 0) else -quotient)

    def __pow__(self, other):
        if other.value < 0:
            raise ZeroDivisionError
        return Number(self.value ** other.value)


for line in sys.stdin:
    text = re.sub(r"\d+", lambda digits: f"Number({int(digits.group())})", line.strip())
    try:
        print(eval(text.replace("^", "**")).value)
    except ZeroDivisionError:
        print("impossible")
