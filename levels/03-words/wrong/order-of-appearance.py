import collections
import re
import sys

counts = collections.Counter(re.findall("[a-z]+", sys.stdin.read().lower()))
for word, count in counts.most_common():
    print(word, count)
