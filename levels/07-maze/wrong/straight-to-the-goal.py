import collections
import sys

rows, columns, *grid = sys.stdin.read().split()
rows, columns = int(rows), int(columns)
MOVES = {"N": (-1, 0), "S": (1, 0), "W": (0, -1), "E": (0, 1)}


def find(letter):
    for y, row in enumerate(grid):
        if letter in row:
            return y, row.index(letter)


def neighbours(y, x):
    for letter, (dy, dx) in MOVES.items():
        if 0 <= y + dy < rows and 0 <= x + dx < columns and grid[y + dy][x + dx] != "#":
            yield letter, (y + dy, x + dx)


place, goal = find("S"), find("G")
way, seen = [], set()
while place != goal:
    seen.add(place)
    options = [(abs(p[0] - goal[0]) + abs(p[1] - goal[1]), letter, p)
               for letter, p in neighbours(*place) if p not in seen]
    if not options:
        break
    _, letter, place = min(options)
    way.append(letter)
print("".join(way) if place == goal else "none")
