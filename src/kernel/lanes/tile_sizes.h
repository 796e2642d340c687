/*
 * Tiles of C in registers, at most ROWS rows and VECS vectors: code for every size, and the heights
 * of the tiles of a matrix. Whoever includes this defines ROWS and VECS before.
 */
#ifndef BV_KERNEL_LANES_TILE_SIZES_H
#define BV_KERNEL_LANES_TILE_SIZES_H

#include "kernel/lane.h"

/* Complete unrolling, so that accumulators are registers. */
#define UNROLL _Pragma("GCC unroll 8")

/* TILES(TILE): TILE(rows, vecs) for every size. TILE_TABLE(kind): functions kind_ROWS_VECS. */
#ifdef ROWS
#if ROWS == 8
#define BY_ROWS(TILE, vecs)                                                                        \
    TILE(1, vecs)                                                                                  \
    TILE(2, vecs)                                                                                  \
    TILE(3, vecs) TILE(4, vecs) TILE(5, vecs) TILE(6, vecs) TILE(7, vecs) TILE(8, vecs)
#define LIST(kind, vecs)                                                                           \
    {                                                                                              \
        kind##_1_##vecs, kind##_2_##vecs, kind##_3_##vecs, kind##_4_##vecs, kind##_5_##vecs,       \
            kind##_6_##vecs, kind##_7_##vecs, kind##_8_##vecs                                      \
    }
#elif ROWS == 6
#define BY_ROWS(TILE, vecs)                                                                        \
    TILE(1, vecs) TILE(2, vecs) TILE(3, vecs) TILE(4, vecs) TILE(5, vecs) TILE(6, vecs)
#define LIST(kind, vecs)                                                                           \
    {                                                                                              \
        kind##_1_##vecs, kind##_2_##vecs, kind##_3_##vecs, kind##_4_##vecs, kind##_5_##vecs,       \
            kind##_6_##vecs                                                                        \
    }
#elif ROWS == 4
#define BY_ROWS(TILE, vecs) TILE(1, vecs) TILE(2, vecs) TILE(3, vecs) TILE(4, vecs)
#define LIST(kind, vecs)                                                                           \
    { kind##_1_##vecs, kind##_2_##vecs, kind##_3_##vecs, kind##_4_##vecs }
#else
#define BY_ROWS(TILE, vecs) TILE(1, vecs)
#define LIST(kind, vecs)                                                                           \
    { kind##_1_##vecs }
#endif

#if VECS == 3
#define TILES(TILE) BY_ROWS(TILE, 1) BY_ROWS(TILE, 2) BY_ROWS(TILE, 3)
#define TILE_TABLE(kind)                                                                           \
    { LIST(kind, 1), LIST(kind, 2), LIST(kind, 3) }
#else
#define TILES(TILE) BY_ROWS(TILE, 1)
#define TILE_TABLE(kind)                                                                           \
    { LIST(kind, 1) }
#endif
#endif

/* The rows of a tile, at most `most`. As many tiles as needed are nearly equal, so that none has so
 * few rows that its chains wait for each other. */
typedef struct tile_rows {
    size_t begin, count;
    size_t least, higher; /* rows of every tile, and tiles left that have one more */
} tile_rows;

BV_INLINE tile_rows first_rows(size_t m, size_t most) {
    const size_t tiles = (m + most - 1) / most, least = m / tiles, higher = m % tiles;
    return (tile_rows){0, least + (higher > 0), least, higher};
}

BV_INLINE tile_rows next_rows(tile_rows r) {
    const size_t higher = r.higher > 0 ? r.higher - 1 : 0;
    return (tile_rows){r.begin + r.count, r.least + (higher > 0), r.least, higher};
}

#endif
