/* Numbers in their order. Pure functions. */
#ifndef BV_BASE_ORDER_H
#define BV_BASE_ORDER_H

#include <stddef.h>

static inline size_t bv_larger(size_t a, size_t b) {
    return a > b ? a : b;
}

/* Sorts in place, ascending; there is no NaN among them. */
void bv_sort(double *numbers, size_t count);
/* Sorts in place, and gives the middle one, of an even count the upper one of two; count > 0. */
double bv_median(double *numbers, size_t count);

#endif
