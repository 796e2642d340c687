/*
 * Matrix products against a plain loop in double, and all levels, threads, splits of k and layouts
 * against each other bit by bit. Shapes are random around the borders of tiles and blocks; a
 * failing case prints what it was.
 */
#include "base/memory.h"
#include "kernel/kernel.h"
#include "kernel/random_words.h"
#include "support/check.h"
#include "support/guarded.h"
#include <math.h>

#define SEED 20261123u

/* ---- values ---- */

typedef enum shaping { PLAIN, DENORMAL, EXTREME, SPECIAL } shaping;

static float random_value(shaping shape) {
    const uint32_t r = random_word();
    switch (shape) {
    case PLAIN:
        return (float)(int32_t)r * 0x1p-31f;
    case DENORMAL: /* exponents 0 .. 127 at random: products and sums near 2^-126 and below */
        return as_float((r & 0x80ffffffu) | (random_word() % 127 + (r >> 24 & 1)) << 23);
    case EXTREME:
        return as_float((r & 0x80ffffffu) | (random_word() % 255) << 23);
    default:
        if (r % 61 == 0) return (float)INFINITY;
        if (r % 61 == 1) return (float)-INFINITY;
        if (r % 61 == 2) return (float)NAN;
        if (r % 61 == 3) return -0.0f;
        return (float)(int32_t)r * 0x1p-31f;
    }
}

/* ---- one product with all its memory ---- */

typedef struct product {
    size_t m, n, k, lda, ldc, b_row, b_col;
    bool a_transposed, accumulate, with_bias, with_addend, pack_on_the_way, b_is_half, c_is_half;
    bool half;
    shaping shape;
    float *a, *b, *c, *bias,
        *addend; /* as f32; when `half` the values of a and b are cut to bf16 */
} product;

static size_t a_count(const product *p) {
    return p->a_transposed ? (p->k - 1) * p->lda + p->m : (p->m - 1) * p->lda + p->k;
}

static size_t b_count(const product *p) {
    return (p->k - 1) * p->b_row + (p->n - 1) * p->b_col + 1;
}

static size_t c_count(const product *p) {
    return (p->m - 1) * p->ldc + p->n;
}

static float *random_values(size_t count, shaping shape, bool half) {
    float *x = test_malloc(count * sizeof *x);
    for (size_t i = 0; i < count; i++) x[i] = cut(random_value(shape), half);
    return x;
}

/* How B lies in memory, unless the product says so already. */
static void place_b(product *p) {
    const size_t row = p->n + random_size(0, 3), col = p->k + random_size(0, 3);
    if (p->b_row > 0) return;
    switch (random_word() % 3) {
    case 0:
        p->b_row = row, p->b_col = 1;
        break;
    case 1:
        p->b_row = 1, p->b_col = col;
        break;
    default:
        p->b_row = 2, p->b_col = 2 * col + 1;
    }
}

static void fill(product *p) {
    place_b(p);
    p->lda = (p->a_transposed ? p->m : p->k) + random_size(0, 5);
    p->ldc = p->n + random_size(0, 5);
    p->a = random_values(a_count(p), p->shape, p->half);
    p->b = random_values(b_count(p), p->shape, p->half || p->b_is_half);
    p->c = random_values(c_count(p), p->shape == DENORMAL ? DENORMAL : PLAIN, p->c_is_half);
    p->bias = random_values(p->n, PLAIN, false);
    p->addend = random_values(c_count(p), PLAIN, false);
}

static void clear(product *p) {
    test_free(p->a);
    test_free(p->b);
    test_free(p->c);
    test_free(p->bias);
    test_free(p->addend);
}

/* ---- running it ---- */

static bv_pool *pools[5]; /* by their number of threads, from begin_pools to end_pools */

typedef struct setup {
    const bv_kernels *kernels;
    int threads;
    size_t split; /* of k: runs 0 .. split and then split .. k on top; 0: at once */
} setup;

static bv_matmul_args arguments(const product *p, const setup *s) {
    const bv_dtype real = s->kernels->real;
    return (bv_matmul_args){
        .m = p->m,
        .n = p->n,
        .k = p->k,
        .type = p->half ? BV_BF16 : real,
        .lda = p->lda,
        .a_transposed = p->a_transposed,
        .b_source = {.type = p->b_is_half ? BV_BF16 : real,
                     .row_stride = p->b_row,
                     .col_stride = p->b_col,
                     .k = p->k,
                     .n = p->n},
        .ldc = p->ldc,
        .c_type = p->c_is_half ? BV_BF16 : real,
        .accumulate = p->accumulate,
    };
}

static void *offset(const void *data, bv_dtype type, size_t elements) {
    return (char *)(uintptr_t)data + elements * bv_dtype_size(type);
}

static void run_once(const setup *s, bv_pool *pool, bv_matmul_args *args) {
    guarded packed = {0};
    if (args->b) { /* asked for by a non-NULL mark */
        packed = guarded_make(bv_matmul_packed_bytes(s->kernels, args->type, args->k, args->n), 0);
        bv_matmul_pack(s->kernels, pool, args->type, &args->b_source, packed.data);
        guarded_check(&packed);
        args->b = packed.data;
    }
    guarded scratch =
        guarded_make(bv_matmul_scratch_bytes(s->kernels, bv_pool_threads(pool), args), 0);
    bv_matmul_run(s->kernels, pool, args, scratch.data);
    guarded_free(&scratch);
    if (packed.memory) guarded_free(&packed);
}

/* The result as doubles (bf16 and f32 are exact in them), [m, n]. */
static double *run(const product *p, const setup *s) {
    const bv_dtype real = s->kernels->real;
    bv_pool *pool = pools[s->threads];
    bv_matmul_args args = arguments(p, s);
    guarded a = guarded_values(p->a, a_count(p), args.type, random_word() % 16);
    guarded b = guarded_values(p->b, b_count(p), args.b_source.type, random_word() % 16);
    guarded c = guarded_values(p->c, c_count(p), args.c_type, random_word() % 16);
    guarded bias = guarded_values(p->bias, p->n, real, 1);
    guarded addend = guarded_values(p->addend, c_count(p), real, random_word() % 16);
    args.b = p->pack_on_the_way ? NULL : p;
    args.c = c.data;
    args.a = a.data;
    args.b_source.data = b.data;
    if (s->split) {
        args.k = args.b_source.k = s->split;
        run_once(s, pool, &args);
        args.k = args.b_source.k = p->k - s->split;
        args.a = offset(a.data, args.type, s->split * (p->a_transposed ? p->lda : 1));
        args.b_source.data = offset(b.data, args.b_source.type, s->split * p->b_row);
        args.b = p->pack_on_the_way ? NULL : p;
        args.accumulate = true;
    }
    args.bias = p->with_bias ? bias.data : NULL;
    args.addend = p->with_addend ? addend.data : NULL;
    run_once(s, pool, &args);
    double *result = test_malloc(p->m * p->n * sizeof *result);
    for (size_t at = 0; at < c_count(p); at++) {
        const double x = get(c.data, args.c_type, at);
        if (at % p->ldc < p->n)
            result[at / p->ldc * p->n + at % p->ldc] = x;
        else /* gaps between rows of C belong to somebody else */
            assert_int_equal(as_bits((float)x), as_bits(p->c[at]));
    }
    guarded_free(&a);
    guarded_free(&b);
    guarded_free(&c);
    guarded_free(&bias);
    guarded_free(&addend);
    return result;
}

/* ---- comparing ---- */

static void describe(const product *p, const setup *s) {
    print_error(
        "%s, %d threads, split %zu: m %zu n %zu k %zu lda %zu ldc %zu b %zu/%zu%s%s%s%s%s%s%s%s"
        " shape %d, seed %u\n",
        s->kernels->level, s->threads, s->split, p->m, p->n, p->k, p->lda, p->ldc, p->b_row,
        p->b_col, p->half ? " bf16" : "", p->a_transposed ? " a^T" : "",
        p->accumulate ? " accumulate" : "", p->with_bias ? " bias" : "",
        p->with_addend ? " addend" : "", p->pack_on_the_way ? " unpacked" : "",
        p->b_is_half ? " b-half" : "", p->c_is_half ? " c-half" : "", (int)p->shape, SEED);
}

static void compare_bits(const product *p, const setup *s, const double *x, const double *y) {
    for (size_t i = 0; i < p->m * p->n; i++) {
        if (isnan(x[i]) && isnan(y[i])) continue;
        if (!memcmp(&x[i], &y[i], sizeof *x)) continue;
        describe(p, s);
        fail_msg("element %zu, %zu: %a, expected %a", i / p->n, i % p->n, x[i], y[i]);
    }
}

static float kept(const product *p, float x) { /* bf16/1 flushes denormal inputs */
    if (!p->half && !p->b_is_half) return x;
    return fabsf(x) < 0x1p-126f ? 0 : x;
}

/* In double, of each element of C: the exact sum, the sum of sizes, and what a rounding to bf16
 * may change. */
typedef struct reference {
    double *sums, *sizes, *halves;
} reference;

static reference reference_of(const product *p) {
    const size_t count = p->m * p->n;
    reference r = {test_malloc(count * sizeof(double)), test_malloc(count * sizeof(double)),
                   test_malloc(count * sizeof(double))};
    for (size_t i = 0; i < p->m; i++)
        for (size_t j = 0; j < p->n; j++) {
            double sum = p->accumulate ? p->c[i * p->ldc + j] : 0, size = fabs(sum);
            for (size_t q = 0; q < p->k; q++) {
                const float a = p->a[p->a_transposed ? q * p->lda + i : i * p->lda + q];
                const float b = p->b[q * p->b_row + j * p->b_col];
                sum += (double)kept(p, a) * kept(p, b);
                size += fabs((double)a * b);
            }
            if (p->with_bias) sum += p->bias[j], size += fabs((double)p->bias[j]);
            r.halves[i * p->n + j] = p->half && p->with_addend ? fabs(sum) * 0x1p-8 : 0;
            const float addend = p->with_addend ? p->addend[i * p->ldc + j] : 0;
            sum += (double)addend, size += fabs((double)addend);
            r.sums[i * p->n + j] = sum;
            r.sizes[i * p->n + j] = size;
        }
    return r;
}

/* A chain of k rounded steps (bf16: over an even k), a bias, an addend and a rounding: (k + 4) eps
 * times the sum of sizes, and 2^-8 of what is rounded to bf16: the product before an addend comes,
 * or the result. For sizes without under- or overflow. */
static void compare_reference(const product *p, const setup *s, const double *x,
                              const reference *r) {
    const double eps = s->kernels->real == BV_F64 ? 0x1p-53 : 0x1p-24;
    for (size_t i = 0; i < p->m * p->n; i++) {
        double bound = (double)(p->k + 4) * (eps + 0x1p-53) * r->sizes[i] + r->halves[i];
        if (p->c_is_half) bound += (fabs(r->sums[i]) + bound) * 0x1p-8;
        if (fabs(x[i] - r->sums[i]) <= bound) continue;
        describe(p, s);
        fail_msg("element %zu, %zu: %a, expected %a +- %g", i / p->n, i % p->n, x[i], r->sums[i],
                 bound);
    }
}

/* Every level against the first one and (plain values) double; threads, splits, layouts. */
static void check(product *p) {
    fill(p);
    size_t count;
    const bv_kernels *const *levels = bv_kernels_all(&count);
    double *expected = NULL;
    reference r = {0};
    if (p->shape == PLAIN) r = reference_of(p);
    for (size_t level = 0; level <= count; level++) {
        const bv_kernels *kernels = level < count ? levels[level] : bv_kernels_reference();
        if (!bv_kernels_usable(kernels)) continue;
        const setup s = {.kernels = kernels, .threads = 1 + (int)(random_word() % 4)};
        double *x = run(p, &s);
        if (p->shape == PLAIN) compare_reference(p, &s, x, &r);
        if (level < count && expected) compare_bits(p, &s, x, expected);
        if (!expected)
            expected = x;
        else
            test_free(x);
    }
    /* On the best level: each number of threads, one split, and A the other way round. */
    setup s = {0};
    assert_null(bv_kernels_pick(&s.kernels));
    for (s.threads = 1; s.threads <= 4; s.threads++) {
        double *x = run(p, &s);
        compare_bits(p, &s, x, expected);
        test_free(x);
    }
    s.threads = 2;
    s.split = p->k < 3 || p->c_is_half ? 0 : random_size(1, (p->k - 1) / 2) * 2;
    double *x = run(p, &s);
    compare_bits(p, &s, x, expected);
    test_free(x);
    s.split = 0;
    product turned = *p;
    turned.a_transposed = !p->a_transposed;
    turned.pack_on_the_way = !p->pack_on_the_way;
    turned.lda = turned.a_transposed ? p->m + 1 : p->k + 1;
    turned.a = test_malloc((turned.a_transposed ? p->k : p->m) * turned.lda * sizeof(float));
    for (size_t i = 0; i < p->m; i++)
        for (size_t q = 0; q < p->k; q++)
            turned.a[turned.a_transposed ? q * turned.lda + i : i * turned.lda + q] =
                p->a[p->a_transposed ? q * p->lda + i : i * p->lda + q];
    x = run(&turned, &s);
    compare_bits(&turned, &s, x, expected);
    test_free(x);
    test_free(turned.a);
    test_free(expected);
    test_free(r.sums);
    test_free(r.sizes);
    test_free(r.halves);
    clear(p);
}

static product random_product(bool half, shaping shape, size_t m, size_t n, size_t k) {
    const uint32_t r = random_word();
    product p = {.m = m, .n = n, .k = k, .half = half, .shape = shape};
    p.a_transposed = r & 1;
    p.accumulate = r & 2;
    p.with_bias = r & 4;
    p.pack_on_the_way = r & 8;
    p.b_is_half = r & 16;
    p.c_is_half = !p.accumulate && (r & 32);
    p.with_addend = !p.c_is_half && (r & 64);
    return p;
}

static void random_shapes(bool half, shaping shape, int count) {
    for (int i = 0; i < count; i++) {
        product p =
            random_product(half, shape, random_size(1, 20), random_size(1, 52), random_size(1, 40));
        check(&p);
    }
}

/* ---- tests ---- */

static void test_real_around_tiles(void **state) {
    (void)state;
    random_shapes(false, PLAIN, 60);
}

static void test_bf16_around_tiles(void **state) {
    (void)state;
    random_shapes(true, PLAIN, 60);
}

/* Several panels at once, a whole number of them or with a rest, begun, rounded and not. */
static void test_few_rows(void **state) {
    (void)state;
    for (size_t m = 1; m <= 9; m++)
        for (int i = 0; i < 24; i++) {
            product p = random_product(i & 1, PLAIN, m, random_size(30, 450), random_size(1, 40));
            check(&p);
        }
}

/* Sizes at which the driver goes over to more blocks of rows, columns and k, and divides work. */
static void test_around_blocks(void **state) {
    (void)state;
    const size_t sizes[][3] = {{9, 50, 1025},   {100, 97, 770}, {97, 20, 1541}, {3, 830, 800},
                               {130, 33, 513},  {1, 200, 2050}, {2, 1, 1500},   {65, 96, 64},
                               {27, 770, 1043}, {26, 801, 21},  {1, 700, 1100}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int half = 0; half < 2; half++) {
            product p = random_product(half, PLAIN, sizes[i][0], sizes[i][1], sizes[i][2]);
            check(&p);
        }
}

/* dW += dY^T X: panels of X are packed by the tiles that use them first, on each thread by others;
 * rows that are a whole number of cache lines and not, blocks of rows of 1 to 3, more blocks of k.
 */
static void test_gradients(void **state) {
    (void)state;
    const size_t rows[] = {3, 5, 13, 25, 49, 64, 97, 122};
    for (size_t i = 0; i < 8 * sizeof rows / sizeof *rows; i++) {
        const size_t m = rows[i / 8], n = random_size(1, 7) * 16 + (i & 1 ? random_size(0, 15) : 0);
        const size_t k = i % 8 == 7 ? random_size(1025, 1100) : random_size(1, 70);
        product p = random_product(i & 2, i & 4 ? PLAIN : DENORMAL, m, n, k);
        p.a_transposed = p.accumulate = p.pack_on_the_way = true;
        p.c_is_half = false;
        p.b_is_half = p.half;
        p.b_row = i & 1 ? n + random_size(0, 3) : n;
        p.b_col = 1;
        check(&p);
    }
}

static void test_shaped_values(void **state) {
    (void)state;
    for (int half = 0; half < 2; half++)
        for (shaping shape = DENORMAL; shape <= SPECIAL; shape++) random_shapes(half, shape, 25);
}

/* Sums just below 2^-126, where flushing depends on how they round: c = 2^-126 minus a product of
 * about 2^-150 .. 2^-152. Each element of C is one such sum. */
static void test_bf16_smallest_sums(void **state) {
    (void)state;
    product p = {.m = 16, .n = 48, .k = 2, .half = true, .accumulate = true, .shape = DENORMAL};
    fill(&p);
    for (size_t i = 0; i < p.m; i++) {
        p.a[i * p.lda] = 0;
        p.a[i * p.lda + 1] = -(float)ldexp(1 + (double)(i % 3) / 128, (int)i * 5 - 110);
    }
    const int power[] = {-148, -149, -150, -151, -152, -153};
    for (size_t i = 0; i < p.m; i++)
        for (size_t j = 0; j < p.n; j++) p.c[i * p.ldc + j] = 0x1p-126f;
    size_t flushed = 0;
    for (size_t j = 0; j < p.n; j++) {
        p.b[j * p.b_col] = 1;
        p.b[p.b_row + j * p.b_col] =
            (float)ldexp(1 + (double)(j % 5) / 128, power[j % 6] - ((int)(j % 16) * 5 - 110));
    }
    size_t count;
    const bv_kernels *const *levels = bv_kernels_all(&count);
    double *expected = NULL;
    for (size_t level = 0; level < count; level++) {
        if (!bv_kernels_usable(levels[level])) continue;
        const setup s = {.kernels = levels[level], .threads = 1};
        double *x = run(&p, &s);
        for (size_t i = 0; i < p.m; i++) /* against exact sums, rounded by the rule itself */
            for (size_t j = 0; j < p.n; j++) {
                const double a = p.a[i * p.lda + 1], b = p.b[p.b_row + j * p.b_col];
                const double exact = (double)0x1p-126f + a * b;
                const double rounded = exact < 0x1p-126 - 0x1p-151 ? 0 : (double)(float)exact;
                if (fabs(a * b) > 0x1p-140 || fabs(a * b) < 0x1p-170) continue;
                assert_true(x[i * p.n + j] == rounded);
                flushed += rounded == 0 && (float)exact == 0x1p-126f;
            }
        if (expected) compare_bits(&p, &s, x, expected);
        if (!expected)
            expected = x;
        else
            test_free(x);
    }
    assert_true(flushed > 0); /* or the case that plain rounding gets wrong was not among them */
    test_free(expected);
    clear(&p);
}

/* f32 keeps denormals: 2^-140 x 1, summed twice, survives. */
static void test_real_keeps_denormals(void **state) {
    (void)state;
    product p = {.m = 1, .n = 1, .k = 2, .lda = 2, .ldc = 1, .b_row = 1, .b_col = 2};
    float a[2] = {0x1p-140f, 0x1p-140f}, b[2] = {1, 1}, c = 0, bias = 0, addend = 0;
    p.a = a, p.b = b, p.c = &c, p.bias = &bias, p.addend = &addend;
    size_t count;
    const bv_kernels *const *levels = bv_kernels_all(&count);
    for (size_t level = 0; level < count; level++) {
        if (!bv_kernels_usable(levels[level])) continue;
        const setup s = {.kernels = levels[level], .threads = 1};
        double *x = run(&p, &s);
        assert_true(*x == 0x1p-139);
        test_free(x);
    }
}

/* A plan asks once, for its most rows and with no weight packed yet, and runs with fewer: what it
 * then takes for one product must be enough for each smaller one. */
static void test_scratch_is_enough_for_fewer_rows(void **state) {
    (void)state;
    size_t count;
    const bv_kernels *const *levels = bv_kernels_all(&count);
    for (size_t i = 0; i < 40000; i++) {
        const bv_kernels *kernels = levels[i % count];
        const size_t most = random_size(0, 3) ? 200 : 3000;
        bv_matmul_args args = {.m = random_size(1, most),
                               .n = random_size(1, most),
                               .k = random_size(1, most),
                               .type = random_size(0, 1) ? BV_BF16 : kernels->real,
                               .a_transposed = random_size(0, 1)};
        const int threads = (int)random_size(1, 8);
        const size_t asked = bv_matmul_scratch_bytes(kernels, threads, &args);
        size_t *rows = args.a_transposed ? &args.k : &args.m;
        *rows = random_size(1, *rows);
        if (random_size(0, 1)) args.b = &args;
        const size_t taken = bv_matmul_scratch_bytes(kernels, threads, &args);
        if (taken > asked)
            fail_msg("%s, %d threads, [%zu, %zu, %zu]: %zu bytes of %zu", kernels->level, threads,
                     args.m, args.n, args.k, taken, asked);
    }
}

static int begin_pools(void **state) {
    (void)state;
    for (int n = 1; n <= 4; n++) assert_null(bv_pool_create(n, &pools[n]));
    return 0;
}

static int end_pools(void **state) {
    (void)state;
    for (int n = 1; n <= 4; n++) bv_pool_destroy(&pools[n]);
    return 0;
}

/* Packs B of k x n as a whole, and in ranges of both sides: the same bytes. */
static void check_ranges(const bv_kernels *kernels, bv_dtype type, size_t k, size_t n, bool tall) {
    float *b = random_values(k * n, PLAIN, false);
    const bv_matmul_source source = {b, BV_F32, tall ? 1 : n, tall ? k : 1, k, n};
    const size_t bytes = bv_matmul_packed_bytes(kernels, type, k, n);
    const size_t unit = bv_matmul_pack_unit(kernels);
    guarded whole = guarded_make(bytes, 0), by_rows = guarded_make(bytes, 0),
            by_columns = guarded_make(bytes, 0);
    bv_matmul_pack(kernels, NULL, type, &source, whole.data);
    for (size_t at = 0; at < k; at += 3 * unit)
        bv_matmul_pack_range(kernels, type, &source, by_rows.data, at,
                             at + 3 * unit < k ? at + 3 * unit : k, 0, n);
    for (size_t at = 0; at < n; at += unit)
        bv_matmul_pack_range(kernels, type, &source, by_columns.data, 0, k, at,
                             at + unit < n ? at + unit : n);
    guarded_check(&by_rows);
    guarded_check(&by_columns);
    assert_memory_equal(whole.data, by_rows.data, bytes);
    assert_memory_equal(whole.data, by_columns.data, bytes);
    guarded_free(&whole), guarded_free(&by_rows), guarded_free(&by_columns);
    test_free(b);
}

static void test_packing_by_ranges(void **state) {
    (void)state;
    static const size_t shapes[][2] = {{1, 1}, {17, 50}, {96, 48}, {1030, 97}, {2100, 130}};
    size_t count;
    const bv_kernels *const *list = bv_kernels_all(&count);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < 5 && bv_kernels_usable(list[i]); j++)
            for (int tall = 0; tall < 2; tall++) {
                check_ranges(list[i], BV_F32, shapes[j][0], shapes[j][1], tall);
                check_ranges(list[i], BV_BF16, shapes[j][0], shapes[j][1], tall);
            }
}

int main(void) {
    random_begin(SEED, 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_real_around_tiles),
        cmocka_unit_test(test_bf16_around_tiles),
        cmocka_unit_test(test_few_rows),
        cmocka_unit_test(test_around_blocks),
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_shaped_values),
        cmocka_unit_test(test_bf16_smallest_sums),
        cmocka_unit_test(test_real_keeps_denormals),
        cmocka_unit_test(test_scratch_is_enough_for_fewer_rows),
        cmocka_unit_test(test_packing_by_ranges),
    };
    print_message("seed %u\n", SEED);
    return cmocka_run_group_tests(tests, begin_pools, end_pools);
}
