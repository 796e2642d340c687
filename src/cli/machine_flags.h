/* What computes: the threads of --threads, and the kernel level from BEAVER_CPU. */
#ifndef BV_CLI_MACHINE_FLAGS_H
#define BV_CLI_MACHINE_FLAGS_H

#include "base/pool.h"
#include "cli/flags.h"
#include "kernel/kernel.h"

typedef struct bv_machine_use {
    const bv_kernels *kernels;
    bv_pool *pool;
} bv_machine_use;

bv_status bv_machine_begin(const bv_flags *flags, bv_machine_use *use);
void bv_machine_end(bv_machine_use *use);

#endif
