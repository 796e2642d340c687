import collections
import re
import sys

for word, count in collections.Counter(re.findall("[a-z]+", sys.stdin.read().lower())).most_common():
    print(word, count)
