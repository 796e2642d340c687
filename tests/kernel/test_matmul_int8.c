/*
 * Products of bytes: every level, bit by bit, against a plain loop over the rules of
 * kernel/matmul_int8.h, and against double within what quantizing may change. Shapes are random
 * around the borders of tiles and blocks; a failing case prints what it was.
 */
#include "base/memory.h"
#include "kernel/kernel.h"
#include "kernel/random_words.h"
#include "support/check.h"
#include "support/guarded.h"
#include <math.h>

#define SEED 20261127u

/* ---- values ---- */

typedef enum shaping {
    PLAIN,    /* -1 .. 1 */
    LARGEST,  /* all of one size: every byte is 127 or -127 */
    SPARSE,   /* zeros but for a few, so whole rows and columns too */
    DENORMAL, /* around 2^-119, where a row begins to count, and below */
    EXTREME,  /* any exponent */
    SPECIAL,  /* NaNs and infinities among the plain ones */
} shaping;

static float random_value(shaping shape) {
    const uint32_t r = random_word();
    const float plain = (float)(int32_t)r * 0x1p-31f;
    switch (shape) {
    case LARGEST:
        return r & 1 ? 0.75f : -0.75f;
    case SPARSE:
        return r % 31 ? r & 1 ? 0.0f : -0.0f : plain;
    case DENORMAL:
        return as_float((r & 0x80ffffffu) | (random_word() % 10) << 23);
    case EXTREME:
        return as_float((r & 0x80ffffffu) | (random_word() % 254) << 23);
    case SPECIAL:
        if (r % 97 < 3) return (float[]){INFINITY, -INFINITY, NAN}[r % 97];
        return plain;
    default:
        return plain;
    }
}

/* ---- one product with all its memory ---- */

typedef struct product {
    size_t m, n, k, lda, ldc, b_row, b_col;
    bool a_half, b_half, c_half, with_bias;
    shaping shape;
    float *a, *b, *c, *bias; /* as f32; of halves the lower bits are zeros */
} product;

static float *random_values(size_t count, shaping shape, bool half) {
    float *x = test_malloc(count * sizeof *x);
    for (size_t i = 0; i < count; i++) x[i] = cut(random_value(shape), half);
    return x;
}

static size_t a_count(const product *p) {
    return (p->m - 1) * p->lda + p->k;
}

static size_t b_count(const product *p) {
    return (p->k - 1) * p->b_row + (p->n - 1) * p->b_col + 1;
}

static size_t c_count(const product *p) {
    return (p->m - 1) * p->ldc + p->n;
}

static product make(shaping shape, size_t m, size_t n, size_t k) {
    const uint32_t r = random_word();
    product p = {.m = m, .n = n, .k = k, .shape = shape};
    p.a_half = r & 1;
    p.b_half = r & 2;
    p.c_half = r & 4;
    p.with_bias = r & 8;
    p.lda = k + random_size(0, 5);
    p.ldc = n + random_size(0, 5);
    p.b_row = r & 16 ? 1 : n + random_size(0, 3);
    p.b_col = r & 16 ? k + random_size(0, 3) : 1;
    p.a = random_values(a_count(&p), shape, p.a_half);
    p.b = random_values(b_count(&p), shape, p.b_half);
    p.c = random_values(c_count(&p), PLAIN, p.c_half);
    p.bias = random_values(n, PLAIN, false);
    return p;
}

static void clear(product *p) {
    test_free(p->a);
    test_free(p->b);
    test_free(p->c);
    test_free(p->bias);
}

static void describe(const product *p, const bv_kernels *kernels, int threads) {
    print_error("%s, %d threads: m %zu n %zu k %zu lda %zu ldc %zu b %zu/%zu%s%s%s%s shape %d\n",
                kernels->level, threads, p->m, p->n, p->k, p->lda, p->ldc, p->b_row, p->b_col,
                p->a_half ? " a-half" : "", p->b_half ? " b-half" : "", p->c_half ? " c-half" : "",
                p->with_bias ? " bias" : "", (int)p->shape);
}

/* ---- running it ---- */

static void run_once(const bv_kernels *kernels, bv_pool *pool, bv_matmul_int8_args *args,
                     const bv_matmul_source *source) {
    guarded packed = guarded_make(bv_matmul_int8_packed_bytes(kernels, args->k, args->n), 0);
    assert_ok(bv_matmul_int8_pack(kernels, pool, source, packed.data));
    guarded scratch =
        guarded_make(bv_matmul_int8_scratch_bytes(kernels, bv_pool_threads(pool), args), 0);
    args->b = packed.data;
    bv_matmul_int8_run(kernels, pool, args, scratch.data);
    guarded_free(&scratch);
    guarded_free(&packed);
}

/* The result as doubles (bf16 and f32 are exact in them), [m, n]. */
static double *run(const product *p, const bv_kernels *kernels, int threads) {
    const bv_dtype real = kernels->real, c_type = p->c_half ? BV_BF16 : real;
    const bv_dtype a_type = p->a_half ? BV_BF16 : real, b_type = p->b_half ? BV_BF16 : real;
    bv_pool *pool = NULL;
    assert_null(bv_pool_create(threads, &pool));
    guarded a = guarded_values(p->a, a_count(p), a_type, random_word() % 16);
    guarded b = guarded_values(p->b, b_count(p), b_type, random_word() % 16);
    guarded c = guarded_values(p->c, c_count(p), c_type, random_word() % 16);
    guarded bias = guarded_values(p->bias, p->n, real, 1);
    const bv_matmul_source source = {b.data, b_type, p->b_row, p->b_col, p->k, p->n};
    bv_matmul_int8_args args = {.m = p->m,
                                .n = p->n,
                                .k = p->k,
                                .a = a.data,
                                .a_type = a_type,
                                .lda = p->lda,
                                .c = c.data,
                                .c_type = c_type,
                                .ldc = p->ldc,
                                .bias = p->with_bias ? bias.data : NULL};
    run_once(kernels, pool, &args, &source);
    bv_pool_destroy(&pool);
    double *result = test_malloc(p->m * p->n * sizeof *result);
    for (size_t at = 0; at < c_count(p); at++) {
        const double x = get(c.data, c_type, at);
        if (at % p->ldc < p->n)
            result[at / p->ldc * p->n + at % p->ldc] = x;
        else /* gaps between rows of C belong to somebody else */
            assert_true(x == (double)p->c[at]);
    }
    guarded_free(&a);
    guarded_free(&b);
    guarded_free(&c);
    guarded_free(&bias);
    return result;
}

/* ---- the rules, in plain loops ---- */

typedef struct bytes {
    int *a, *b; /* [m, k], [n, k] */
    float *a_scales, *b_scales;
} bytes;

/* bf16's denormals are read as zeros where A is, and are what they are where B is. */
static float flushed(float x, bool half) {
    return half && fabsf(x) < 0x1p-126f ? 0 : x;
}

static void quantize_rows(const product *p, bytes *q) {
    for (size_t i = 0; i < p->m; i++) {
        const float *row = p->a + i * p->lda;
        float most = 0;
        bool finite = true;
        for (size_t j = 0; j < p->k; j++) {
            const float x = flushed(row[j], p->a_half);
            if (!isfinite(x)) finite = false;
            if (fabsf(x) > most) most = fabsf(x);
        }
        const bool counts = finite && most >= 0x1p-119f;
        q->a_scales[i] = !finite ? NAN : counts ? most / 127.0f : 0.0f;
        for (size_t j = 0; j < p->k; j++)
            q->a[i * p->k + j] =
                counts ? (int)rintf(flushed(row[j], p->a_half) * (127.0f / most)) : 0;
    }
}

static void quantize_columns(const product *p, bytes *q) {
    for (size_t i = 0; i < p->n; i++) {
        const float *column = p->b + i * p->b_col;
        double most = 0;
        bool finite = true;
        for (size_t j = 0; j < p->k; j++) {
            const double x = fabs((double)column[j * p->b_row]);
            if (!isfinite(x)) finite = false;
            if (x > most) most = x;
        }
        q->b_scales[i] = finite ? (float)(most / 127.0) : NAN;
        for (size_t j = 0; j < p->k; j++)
            q->b[i * p->k + j] =
                finite && most > 0 ? (int)rint((double)column[j * p->b_row] * (127.0 / most)) : 0;
    }
}

static bytes quantize(const product *p) {
    bytes q = {test_malloc(p->m * p->k * sizeof(int)), test_malloc(p->n * p->k * sizeof(int)),
               test_malloc(p->m * sizeof(float)), test_malloc(p->n * sizeof(float))};
    quantize_rows(p, &q);
    quantize_columns(p, &q);
    return q;
}

static void forget(bytes *q) {
    test_free(q->a);
    test_free(q->b);
    test_free(q->a_scales);
    test_free(q->b_scales);
}

static float rounded_to_half(float x) {
    const uint32_t bits = as_bits(x);
    if (isnan(x)) return x;
    if (fabsf(x) < 0x1p-126f) return as_float(bits & 0x80000000u);
    return as_float((bits + 0x7fffu + (bits >> 16 & 1u)) & 0xffff0000u);
}

static double *expected_bits(const product *p, const bytes *q) {
    double *expected = test_malloc(p->m * p->n * sizeof *expected);
    for (size_t i = 0; i < p->m; i++)
        for (size_t j = 0; j < p->n; j++) {
            int64_t sum = 0;
            for (size_t l = 0; l < p->k; l++)
                sum += (int64_t)q->a[i * p->k + l] * q->b[j * p->k + l];
            assert_true(sum >= INT32_MIN && sum <= INT32_MAX);
            float x = (float)sum * q->b_scales[j];
            x = x * q->a_scales[i];
            if (p->with_bias) x = x + p->bias[j];
            expected[i * p->n + j] = (double)(p->c_half ? rounded_to_half(x) : x);
        }
    return expected;
}

/* ---- comparing ---- */

static void compare_bits(const product *p, const bv_kernels *kernels, int threads, const double *x,
                         const double *expected) {
    for (size_t i = 0; i < p->m * p->n; i++) {
        if (isnan(x[i]) && isnan(expected[i])) continue;
        if (!memcmp(&x[i], &expected[i], sizeof *x)) continue;
        describe(p, kernels, threads);
        fail_msg("element %zu, %zu: %a, expected %a", i / p->n, i % p->n, x[i], expected[i]);
    }
}

/* a = scale (q + e), b likewise, |e| <= 1/2 and a little: so the sum of products is off by at most
 * the scales times the sum of |qa| / 2 + |qb| / 2 + 1/4; then a few roundings, to bf16 2^-8. */
static void compare_double(const product *p, const bytes *q, const bv_kernels *kernels,
                           const double *x) {
    for (size_t i = 0; i < p->m; i++)
        for (size_t j = 0; j < p->n; j++) {
            double sum = p->with_bias ? (double)p->bias[j] : 0, bound = 0;
            for (size_t l = 0; l < p->k; l++) {
                sum += (double)p->a[i * p->lda + l] * (double)p->b[l * p->b_row + j * p->b_col];
                bound += 0.5 * abs(q->a[i * p->k + l]) + 0.5 * abs(q->b[j * p->k + l]) + 0.25;
            }
            bound *= (double)q->a_scales[i] * (double)q->b_scales[j] * (1 + 0x1p-10);
            bound += (fabs(sum) + bound + 1) * 0x1p-21;
            if (p->c_half) bound += (fabs(sum) + bound) * 0x1p-8;
            if (fabs(x[i * p->n + j] - sum) <= bound) continue;
            describe(p, kernels, 0);
            fail_msg("element %zu, %zu: %a, expected %a +- %g", i, j, x[i * p->n + j], sum, bound);
        }
}

/* Every level, and on the best one each number of threads. */
static void check(product *p) {
    bytes q = quantize(p);
    double *expected = expected_bits(p, &q);
    size_t count;
    const bv_kernels *const *levels = bv_kernels_all(&count), *best;
    for (size_t level = 0; level <= count; level++) {
        const bv_kernels *kernels = level < count ? levels[level] : bv_kernels_reference();
        if (!bv_kernels_usable(kernels)) continue;
        const int threads = 1 + (int)(random_word() % 4);
        double *x = run(p, kernels, threads);
        if (p->shape <= LARGEST) compare_double(p, &q, kernels, x);
        if (level < count) compare_bits(p, kernels, threads, x, expected);
        test_free(x);
    }
    assert_null(bv_kernels_pick(&best));
    for (int threads = 1; threads <= 4; threads++) {
        double *x = run(p, best, threads);
        compare_bits(p, best, threads, x, expected);
        test_free(x);
    }
    test_free(expected);
    forget(&q);
    clear(p);
}

/* ---- tests ---- */

static void test_around_tiles(void **state) {
    (void)state;
    for (int i = 0; i < 80; i++) {
        product p = make(PLAIN, random_size(1, 20), random_size(1, 100), random_size(1, 70));
        check(&p);
    }
}

/* Sizes at which k and the rows go over to more blocks, and work is divided. */
static void test_around_blocks(void **state) {
    (void)state;
    const size_t sizes[][3] = {{7, 17, 512},   {7, 33, 513},   {9, 50, 1025}, {13, 97, 1030},
                               {1, 200, 2049}, {130, 40, 100}, {241, 17, 65}, {121, 49, 2100},
                               {65, 96, 64},   {6, 16, 1541},  {8, 48, 1040}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        product p = make(PLAIN, sizes[i][0], sizes[i][1], sizes[i][2]);
        check(&p);
    }
}

static void test_shaped_values(void **state) {
    (void)state;
    for (shaping shape = LARGEST; shape <= SPECIAL; shape++)
        for (int i = 0; i < 30; i++) {
            product p = make(shape, random_size(1, 20), random_size(1, 60), random_size(1, 90));
            check(&p);
        }
}

/* The largest sums there can be, of both signs, in one tile and in several. */
static void test_longest_sums(void **state) {
    (void)state;
    for (size_t m = 1; m <= 9; m += 8) {
        product p = make(LARGEST, m, 3, BV_INT8_K_MAX);
        for (size_t i = 0; i < a_count(&p); i++) p.a[i] = i / p.lda % 2 ? -0.75f : 0.75f;
        for (size_t i = 0; i < b_count(&p); i++) p.b[i] = 0.5f;
        check(&p);
    }
}

/* A longer sum is refused before anything is written. */
static void test_too_long(void **state) {
    (void)state;
    const bv_kernels *kernels;
    const float one = 1;
    assert_ok(bv_kernels_pick(&kernels));
    const bv_matmul_source source = {&one, BV_F32, 0, 0, BV_INT8_K_MAX + 1, 1};
    assert_fails(bv_matmul_int8_pack(kernels, NULL, &source, NULL), BV_CODE_USAGE, "133144");
}

/* NaNs and infinities reach the whole row or column and nothing else. */
static void test_not_finite(void **state) {
    (void)state;
    product p = make(PLAIN, 8, 20, 40);
    p.c_half = false;
    p.a[2 * p.lda + 39] = NAN;
    p.a[5 * p.lda] = -INFINITY;
    p.b[7 * p.b_col + 3 * p.b_row] = INFINITY;
    const bv_kernels *kernels;
    assert_ok(bv_kernels_pick(&kernels));
    double *x = run(&p, kernels, 1);
    for (size_t i = 0; i < p.m; i++)
        for (size_t j = 0; j < p.n; j++)
            assert_int_equal(isnan(x[i * p.n + j]) != 0, i == 2 || i == 5 || j == 7);
    test_free(x);
    p.shape = SPECIAL; /* nothing to compare with double */
    check(&p);
}

int main(void) {
    random_begin(SEED, 2);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_around_tiles),  cmocka_unit_test(test_around_blocks),
        cmocka_unit_test(test_shaped_values), cmocka_unit_test(test_longest_sums),
        cmocka_unit_test(test_too_long),      cmocka_unit_test(test_not_finite),
    };
    print_message("seed %u\n", SEED);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
