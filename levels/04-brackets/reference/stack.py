import sys

CLOSES = {")": "(", "]": "[", "}": "{"}


def judge(text):
    stack = []
    for position, c in enumerate(text, 1):
        if c in "([{":
            stack.append((c, position))
        elif c in CLOSES:
            if not stack or stack.pop()[0] != CLOSES[c]:
                return position
    return stack[-1][1] if stack else "ok"


for line in sys.stdin:
    print(judge(line.rstrip("\n")))
