"""Random walls of several densities, open halls, and corridors with loops."""
import random
import sys

seed, index, count = map(int, sys.argv[1:4])
random.seed(seed)
small = index < count // 2
rows, columns = (random.randint(1 if index else 2, 12 if small else 300) for _ in range(2))
columns = max(columns, 2)
walls = random.choice([0, 0.1, 0.25, 0.35, 0.42])
grid = [["#" if random.random() < walls else "." for _ in range(columns)] for _ in range(rows)]
if index % 4 == 3:  # corridors
    for y in range(1, rows, 2):
        grid[y] = ["#"] * columns
        for _ in range(1 + columns // 40):
            grid[y][random.randrange(columns)] = "."
start, goal = random.sample([(y, x) for y in range(rows) for x in range(columns)], 2)
grid[start[0]][start[1]], grid[goal[0]][goal[1]] = "S", "G"
print(rows, columns)
for row in grid:
    print("".join(row))
