/*
 * Standard normal numbers for initial weights, by Box-Muller from counter-based words: number i is
 * a function of (seed, parameter, i) alone.
 *
 * Their definition (two words a uniform number, bv_log and bv_cos in double) takes a hundred
 * nanoseconds a number, of which an f32 shows a third of the digits. So it is computed from tables
 * to within BV_NORMAL_ERROR, and where both ends of that error round to one f32, this is the
 * definition's. Where they do not, a few in a million, or where the tables are worse than that, a
 * number in two thousand, the definition itself is computed. The bits are the definition's on every
 * machine. Tables are made once and then only read, by any thread.
 */
#ifndef BV_TENSOR_NORMAL_H
#define BV_TENSOR_NORMAL_H

#include "base/random.h"
#include <stddef.h>

#define BV_NORMAL_ERROR 2e-13 /* of what the tables give; found: 1e-14 (tests/tensor) */

typedef struct bv_normal_tables {
    double reciprocal[128], log[128]; /* of the middles of 128 parts of 1 .. 2 */
    double cosine[256], sine[256];    /* of the middles of 256 parts of a turn */
} bv_normal_tables;

void bv_normal_tables_make(bv_normal_tables *tables);

/* std times a standard normal number, rounded to f32, from four random words. */
float bv_normal_from_words(const bv_normal_tables *tables, bv_random4 words, double std);

/* Numbers begin .. begin + count of a parameter, times std. */
void bv_normal_fill(const bv_normal_tables *tables, uint64_t seed, uint32_t parameter,
                    uint64_t begin, size_t count, double std, float *out);

#endif
