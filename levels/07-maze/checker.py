"""checker.py INPUT OUTPUT ANSWER: walks the way; it must be as long as the reference's."""
import sys


def refuse(why):
    print(why)
    sys.exit(1)


size, *grid = open(sys.argv[1]).read().split("\n")
output = open(sys.argv[2], "rb").read().decode("ascii", "replace").split()
answer = open(sys.argv[3]).read().strip()
if len(output) != 1:
    refuse("not one word")
way = output[0]
if answer == "none" or way == "none":
    if way != answer:
        refuse("there is no way" if answer == "none" else "there is a way")
    sys.exit(0)
if len(way) > len(answer):
    refuse(f"{len(way)} steps, {len(answer)} are enough")
rows, columns = map(int, size.split())
y = next(i for i in range(rows) if "S" in grid[i])
x = grid[y].index("S")
for step, letter in enumerate(way, 1):
    if letter not in "NSWE":
        refuse(f"step {step} is no letter of N, S, W, E")
    y += (letter == "S") - (letter == "N")
    x += (letter == "E") - (letter == "W")
    if not (0 <= y < rows and 0 <= x < columns) or grid[y][x] == "#":
        refuse(f"step {step} hits a wall")
if grid[y][x] != "G":
    refuse("the way does not end at the goal")
