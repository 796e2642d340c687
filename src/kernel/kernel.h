/*
 * The kernels of one level. The arithmetic is written once in src/kernel/lanes/ over vectors of 16
 * virtual lanes (lane.h) and compiled once a level: c, avx2, avx512, neon, and f64 (plain C with
 * double for reals: the reference for tests and finite differences). Tables are constant.
 */
#ifndef BV_KERNEL_KERNEL_H
#define BV_KERNEL_KERNEL_H

#include "base/status.h"
#include "kernel/activation.h"
#include "kernel/attention.h"
#include "kernel/elementwise.h"
#include "kernel/embedding.h"
#include "kernel/heads.h"
#include "kernel/limits.h"
#include "kernel/loss.h"
#include "kernel/matmul.h"
#include "kernel/matmul_int8.h"
#include "kernel/norm.h"
#include "kernel/optimizer.h"

typedef struct bv_kernels {
    const char *level;
    bv_dtype real; /* BV_F32, or BV_F64 at the f64 level */
    const bv_norm_kernels *norm;
    const bv_activation_kernels *activation;
    const bv_elementwise_kernels *elementwise;
    const bv_embedding_kernels *embedding;
    const bv_heads_kernels *heads;
    const bv_loss_kernels *loss;
    const bv_optimizer_kernels *optimizer;
    const bv_attention_kernels *attention;
    const bv_matmul_kernels *matmul;
    const bv_matmul_int8_kernels *matmul_int8;
    const bv_limits_kernels *limits;
} bv_kernels;

/* All levels that are linked in, weakest first, f64 not among them. */
const bv_kernels *const *bv_kernels_all(size_t *count);
bool bv_kernels_usable(const bv_kernels *kernels); /* does this CPU (and its OS) have it? */
const bv_kernels *bv_kernels_reference(void);      /* the f64 level */

/* The best usable level, or the one that BEAVER_CPU names (c, avx2, avx512, neon); an unknown name
 * or a level that this CPU lacks is BV_CODE_USAGE. */
bv_status bv_kernels_pick(const bv_kernels **out);

/* Sets the floating-point control register of this thread to round-to-nearest with denormals kept
 * (class f32/1) and returns the old one; every compute thread runs between enter and leave. */
unsigned bv_float_enter(void);
void bv_float_leave(unsigned saved);

#endif
