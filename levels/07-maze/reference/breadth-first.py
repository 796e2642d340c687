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


start, goal = find("S"), find("G")
came = {start: None}
queue = collections.deque([start])
while queue and goal not in came:
    here = queue.popleft()
    for letter, place in neighbours(*here):
        if place not in came:
            came[place] = (letter, here)
            queue.append(place)
way = []
place = goal
while place in came and came[place]:
    letter, place = came[place]
    way.append(letter)
print("".join(reversed(way)) if goal in came else "none")
