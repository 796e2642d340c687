import datetime
import sys

for line in sys.stdin:
    first, second = map(datetime.date.fromisoformat, line.split())
    print((second - first).days, second.strftime("%A"))
