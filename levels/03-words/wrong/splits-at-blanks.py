import collections
import sys

counts = collections.Counter(word.strip(".,;!?").lower() for word in sys.stdin.read().split())
for word, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
    print(word, count)
