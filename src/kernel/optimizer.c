#include "kernel/optimizer.h"

double bv_tree_sum(double *sums, size_t count) {
    if (count == 0) return 0;
    for (; count > 1; count = (count + 1) / 2)
        for (size_t i = 0; i < count / 2 + count % 2; i++)
            sums[i] = 2 * i + 1 < count ? sums[2 * i] + sums[2 * i + 1] : sums[2 * i];
    return sums[0];
}
