import sys

print("%.0f" % (3 * sum(float(x) / 3 for x in sys.stdin.read().split())))
