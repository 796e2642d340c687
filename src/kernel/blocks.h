/* How work is cut: pieces of a side, and of matrix products who computes which rectangle of C. */
#ifndef BV_KERNEL_BLOCKS_H
#define BV_KERNEL_BLOCKS_H

#include <stddef.h>

static inline size_t up(size_t n, size_t unit) {
    return (n + unit - 1) / unit * unit;
}

static inline size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Equal pieces of n, each at most `most`, multiples of unit; most is a multiple of unit. */
static inline size_t piece(size_t n, size_t most, size_t unit) {
    const size_t pieces = (n + most - 1) / most;
    return up((n + pieces - 1) / pieces, unit);
}

/* The largest of `parts` nearly equal ranges of n, their borders multiples of unit. */
static inline size_t share(size_t n, size_t unit, size_t parts) {
    const size_t units = (n + unit - 1) / unit;
    return least(n, (units + parts - 1) / parts * unit);
}

/* C is divided into m x n rectangles. */
typedef struct division {
    size_t m, n;
} division;

/* The division whose largest rectangle costs least: its products, and its operands once. A row and
 * a column cost about as much as that many multiply-adds an element of k. */
static inline division divide(size_t m, size_t n, size_t tile_rows, size_t tile_cols,
                              double row_cost, double col_cost, size_t threads) {
    division found = {1, 1};
    double best = 0;
    for (size_t parts = 1; parts <= threads; parts++) {
        if (threads % parts) continue;
        const size_t across = threads / parts;
        const double rows = (double)up(share(m, tile_rows, parts), tile_rows);
        const double cols = (double)up(share(n, tile_cols, across), 16);
        const double cost = rows * cols + row_cost * rows + col_cost * cols;
        if (best > 0 && cost >= best) continue;
        best = cost;
        found = (division){parts, across};
    }
    return found;
}

#endif
