#include <stdio.h>
#include <string.h>

#define MAX 300

static char grid[MAX][MAX + 2];
static int away[MAX][MAX]; /* steps to the goal, plus 1; 0: not reached */
static int queue[MAX * MAX][2];
static const int moves[4][2] = {{-1, 0}, {1, 0}, {0, -1}, {0, 1}};
static int rows, columns;

static int is_free(int y, int x) {
    return y >= 0 && y < rows && x >= 0 && x < columns && grid[y][x] != '#';
}

static void measure(int y, int x) {
    int head = 0, tail = 0;
    away[y][x] = 1;
    queue[tail][0] = y, queue[tail++][1] = x;
    for (; head < tail; head++)
        for (int m = 0; m < 4; m++) {
            const int ny = queue[head][0] + moves[m][0], nx = queue[head][1] + moves[m][1];
            if (!is_free(ny, nx) || away[ny][nx]) continue;
            away[ny][nx] = away[queue[head][0]][queue[head][1]] + 1;
            queue[tail][0] = ny, queue[tail++][1] = nx;
        }
}

int main(void) {
    int sy = 0, sx = 0;
    if (scanf("%d %d", &rows, &columns) != 2) return 1;
    for (int y = 0; y < rows; y++)
        if (scanf("%301s", grid[y]) != 1) return 1;
    for (int y = 0; y < rows; y++)
        for (int x = 0; x < columns; x++) {
            if (grid[y][x] == 'S') sy = y, sx = x;
            if (grid[y][x] == 'G') measure(y, x);
        }
    if (!away[sy][sx]) {
        puts("none");
        return 0;
    }
    while (away[sy][sx] > 1)
        for (int m = 0; m < 4; m++) {
            const int y = sy + moves[m][0], x = sx + moves[m][1];
            if (!is_free(y, x) || away[y][x] != away[sy][sx] - 1) continue;
            putchar("NSWE"[m]);
            sy = y, sx = x;
            break;
        }
    putchar('\n');
}
