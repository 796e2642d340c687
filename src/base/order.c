#include "base/order.h"

#include <stdlib.h>

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void bv_sort(double *numbers, size_t count) {
    qsort(numbers, count, sizeof *numbers, ascending);
}

double bv_median(double *numbers, size_t count) {
    bv_sort(numbers, count);
    return numbers[count / 2];
}
