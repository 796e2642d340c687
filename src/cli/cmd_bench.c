#include "cli/bench.h"
#include "cli/cli.h"
#include "cli/commands.h"

#include <stdlib.h>

static const bv_subcommand table[] = {
    {"limits", "measure this machine's peaks and its memory bandwidth", bv_bench_limits},
    {"kernels", "measure each kernel in the shapes that models use", bv_bench_kernels},
    {"train", "measure training steps of a preset on random tokens", bv_bench_train},
};

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bv_bench_median(double *values, size_t count) {
    BV_ASSERT(count > 0);
    qsort(values, count, sizeof *values, ascending);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

bv_status bv_cmd_bench(int argc, char **argv) {
    return bv_cli_dispatch("beaver bench", table, sizeof table / sizeof *table, argc, argv);
}
