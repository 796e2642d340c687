import sys

for line in sys.stdin:
    depth, bad = 0, None
    for position, c in enumerate(line, 1):
        depth += (c in "([{") - (c in ")]}" and c != "")
        if depth < 0 and bad is None:
            bad = position
    print(bad or ("ok" if depth == 0 else line.find("(") + 1))
