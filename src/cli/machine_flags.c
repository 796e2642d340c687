#include "cli/machine_flags.h"

bv_status bv_machine_begin(const bv_flags *flags, bv_machine_use *use) {
    *use = (bv_machine_use){0};
    BV_TRY(bv_kernels_pick(&use->kernels));
    return bv_pool_create((int)bv_flags_int(flags, "threads"), &use->pool);
}

void bv_machine_end(bv_machine_use *use) {
    bv_pool_destroy(&use->pool);
}
