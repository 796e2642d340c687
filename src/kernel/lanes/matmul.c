/* The table of matrix products at one level. */
#include "kernel/lanes/matmul.h"

#include "kernel/lanes/tables.h"

const bv_matmul_kernels BV_NAME(bv_matmul_table) = {
    .rows = ROWS,
    .cols = COLS,
    .row_panels = ROW_PANELS,
    .takes_source = TAKES_SOURCE,
#if defined(BV_LEVEL_AVX2)
    .splits_pairs = true,
    .packs_reals = 768,
#endif
    .block = BV_NAME(bv_matmul_real),
    .block_bf16 = BV_NAME(bv_matmul_bf16),
    .pack_panel = BV_NAME(bv_matmul_panel),
    .pack_panel_bf16 = BV_NAME(bv_matmul_panel_bf16),
    .pack_rows = BV_NAME(bv_matmul_rows),
    .pack_rows_bf16 = BV_NAME(bv_matmul_rows_bf16),
};
