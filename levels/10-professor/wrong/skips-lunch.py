import sys

DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri"]


def minutes(text):
    return int(text[:2]) * 60 + int(text[3:5])


def clock(minute):
    return f"{minute // 60:02d}:{minute % 60:02d}"


def starts(begin, end):
    """Where a visit may begin inside these hours."""
    return [m for m in range((begin + 29) // 30 * 30, end - 29, 30)]


def read():
    lines = iter(sys.stdin.read().splitlines())
    free_count, visitor_count, most = map(int, next(lines).split())
    slots = []
    for _ in range(free_count):
        day, begin, end = next(lines).split()
        slots += [(day, m) for m in starts(minutes(begin), minutes(end))]
    visitors = []
    for _ in range(visitor_count):
        name, importance, *windows = next(lines).split()
        wanted = []
        for day, hours in zip(windows[::2], windows[1::2]):
            wanted += [(day, m) for m in starts(minutes(hours[:5]), minutes(hours[6:]))]
        visitors.append((name, int(importance), [slot for slot in slots if slot in set(wanted)]))
    return most, sorted(slots, key=lambda slot: (DAYS.index(slot[0]), slot[1])), visitors


def write(visitors, booked):
    """booked: slot -> index of a visitor"""
    print(sum(visitors[v][1] for v in booked.values()))
    for (day, minute), v in sorted(booked.items(), key=lambda b: (DAYS.index(b[0][0]), b[0][1])):
        print(visitors[v][0], day, clock(minute))


class Network:
    """Edges as [to, capacity, cost]; edge i ^ 1 is the way back of edge i."""

    def __init__(self, size):
        self.edges, self.leaving = [], [[] for _ in range(size)]

    def join(self, a, b, capacity, cost=0):
        self.leaving[a].append(len(self.edges))
        self.edges.append([b, capacity, cost])
        self.leaving[b].append(len(self.edges))
        self.edges.append([a, 0, -cost])

    def push(self, way):
        for i in way:
            self.edges[i][1] -= 1
            self.edges[i ^ 1][1] += 1


most, slots, visitors = read()
SLOT, DAY, END = len(visitors), len(visitors) + len(slots), len(visitors) + len(slots) + 5
number = {slot: SLOT + i for i, slot in enumerate(slots)}

network = Network(END + 1)
for v, (_, _, wanted) in enumerate(visitors):
    for slot in wanted:
        network.join(v, number[slot], 1)
for slot in slots:
    network.join(number[slot], DAY + DAYS.index(slot[0]), 1)
for day in range(5):
    network.join(DAY + day, END, most)


def find_way(begin):
    """Edges from a visitor to the end, over what others may give up for something else."""
    came = {begin: None}
    queue = [begin]
    for node in queue:
        for i in network.leaving[node]:
            to, capacity, _ = network.edges[i]
            if capacity and to not in came:
                came[to] = i
                queue.append(to)
    if END not in came:
        return None
    way, node = [], END
    while came[node] is not None:
        way.append(came[node])
        node = network.edges[came[node] ^ 1][0]
    return way


# Sets of visitors that fit together are the independent sets of a matroid: so the most important
# first, and whoever can be fitted in beside those before stays.
for v in sorted(range(len(visitors)), key=lambda v: -visitors[v][1]):
    way = find_way(v)
    if way:
        network.push(way)
booked = {}
for v in range(len(visitors)):
    for i in network.leaving[v]:
        if i % 2 == 0 and network.edges[i][1] == 0:
            booked[slots[network.edges[i][0] - SLOT]] = v
write(visitors, booked)
