/*
 * Matrix products by OpenBLAS and oneDNN: the peers of `beaver bench kernels --filter matmul`.
 *
 * Each line of standard input is a wish, "LIBRARY M N K DTYPE FORM THREADS SECONDS"; each is
 * answered by one line of JSON with the median of the runs that filled the seconds. LIBRARY is
 * openblas or onednn, DTYPE f32, bf16 or int8 (rows of reals become unsigned bytes, each times the
 * scale of its row, which is known before; signed bytes; the sums become reals, each times the
 * scale of its column: what `beaver bench kernels` times, but for finding the scales of rows). FORM
 * says what the operands are: "packed", C [m, n] = A [m, k] B with B in the library's own layout,
 * made before the time counts (OpenBLAS has none: B is the transposed [n, k] of a linear layer);
 * "cold", the same, but copies of B take turns, so many that no cache holds them; "gradient", C +=
 * A^T B with A [k, m] and B [k, n] as they lie in memory.
 *
 * "ms" is null where the library has no kernel of its own for that type on this CPU.
 */
#include <cblas.h>
#include <dnnl.h>
#include <omp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RUNS_MAX 2000
#define COLD_BYTES ((size_t)256 << 20)

typedef struct wish {
    char library[16], dtype[8], form[16];
    long m, n, k;
    int threads;
    double seconds;
} wish;

typedef struct product {
    const wish *wish;
    void *a, *b, *c;
    void *reals;  /* what A is quantized from */
    char *copies; /* of B as the library takes it */
    size_t copy_bytes, copy_count, turn;
    dnnl_primitive_t primitive, quantize; /* quantize: of rows; NULL where they are taken as is */
    dnnl_stream_t stream;
    dnnl_exec_arg_t args[3], rows[2]; /* rows: as reals, as bytes */
} product;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void check(bool good, const char *what) {
    if (good) return;
    fprintf(stderr, "matmul: %s failed\n", what);
    exit(1);
}

static void *take(size_t bytes) {
    void *memory = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
    check(memory != NULL, "allocating");
    return memory;
}

/* Numbers of both signs around 0.1, as `beaver bench kernels` takes them; any bytes for int8. */
static void *take_filled(size_t count, size_t size) {
    char *memory = take(count * size);
    for (size_t i = 0; i < count; i++) {
        const uint32_t hash = (uint32_t)i * 2654435761u;
        const uint32_t bits = (0x3d800000u | (hash >> 7 & 0xffffffu)) | (hash & 1) << 31;
        if (size == 4) memcpy(memory + 4 * i, &bits, 4);
        if (size == 2) memcpy(memory + 2 * i, (const char *)&bits + 2, 2);
        if (size == 1) memory[i] = (char)(hash >> 25);
    }
    return memory;
}

/* Copies of B that take turns; one alone stays where it is. */
static void make_copies(product *p, const void *b, size_t bytes) {
    if (strcmp(p->wish->form, "cold")) return;
    p->copy_bytes = (bytes + 63) / 64 * 64;
    p->copy_count = COLD_BYTES / p->copy_bytes + 1;
    p->copies = take(p->copy_count * p->copy_bytes);
    for (size_t i = 0; i < p->copy_count; i++) memcpy(p->copies + i * p->copy_bytes, b, bytes);
}

static char *next_copy(product *p) {
    p->turn = (p->turn + 1) % p->copy_count;
    return p->copies + p->turn * p->copy_bytes;
}

static size_t size_of(const char *dtype) {
    return !strcmp(dtype, "f32") ? 4 : !strcmp(dtype, "bf16") ? 2 : 1;
}

/* ---- OpenBLAS ---- */

static void run_openblas(product *p) {
    const wish *w = p->wish;
    const blasint m = (blasint)w->m, n = (blasint)w->n, k = (blasint)w->k;
    const void *b = p->copies ? next_copy(p) : p->b;
    if (!strcmp(w->form, "gradient"))
        cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, m, n, k, 1, p->a, m, b, n, 1, p->c, n);
    else
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, n, k, 1, p->a, k, b, k, 0, p->c, n);
}

/* ---- oneDNN ---- */

static void run_onednn(product *p) {
    if (p->copies) dnnl_memory_set_data_handle(p->args[1].memory, next_copy(p));
    if (p->quantize)
        check(!dnnl_primitive_execute(p->quantize, p->stream, 2, p->rows), "oneDNN's quantizing");
    check(!dnnl_primitive_execute(p->primitive, p->stream, 3, p->args), "oneDNN's product");
    dnnl_stream_wait(p->stream);
}

static dnnl_memory_t memory_of(const dnnl_memory_desc_t *shape, dnnl_engine_t engine, void *data) {
    dnnl_memory_t memory;
    check(!dnnl_memory_create(&memory, shape, engine, data), "oneDNN's memory");
    return memory;
}

/* The weights in the layout that the kernel asks for. */
static dnnl_memory_t reordered(const dnnl_memory_desc_t *to, dnnl_memory_t from,
                               dnnl_engine_t engine, dnnl_stream_t stream) {
    const dnnl_memory_desc_t *plain;
    dnnl_primitive_desc_t way;
    dnnl_primitive_t reorder;
    dnnl_memory_t memory = memory_of(to, engine, DNNL_MEMORY_ALLOCATE);
    dnnl_memory_get_memory_desc(from, &plain);
    check(!dnnl_reorder_primitive_desc_create(&way, plain, engine, to, engine, NULL) &&
              !dnnl_primitive_create(&reorder, way),
          "oneDNN's reorder");
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, memory}};
    check(!dnnl_primitive_execute(reorder, stream, 2, args), "oneDNN's reorder");
    dnnl_stream_wait(stream);
    dnnl_primitive_destroy(reorder);
    dnnl_primitive_desc_destroy(way);
    return memory;
}

/* One for each index along a dimension. */
static void set_scales(dnnl_primitive_attr_t more, int dimension, long n, float first) {
    float *scales = take((size_t)n * sizeof *scales);
    for (long j = 0; j < n; j++) scales[j] = first * (1 + 1e-3f * (float)(j % 1000));
    check(!dnnl_primitive_attr_set_output_scales(more, n, 1 << dimension, scales),
          "oneDNN's scales");
    free(scales);
}

/* Reals of the same shape become what `bytes` is. */
static void begin_quantizing(product *p, const dnnl_memory_desc_t *bytes, dnnl_memory_t to,
                             dnnl_engine_t engine) {
    const wish *w = p->wish;
    const dnnl_dims_t shape = {w->m, w->k};
    dnnl_memory_desc_t reals;
    dnnl_primitive_attr_t more;
    dnnl_primitive_desc_t way;
    dnnl_memory_desc_init_by_tag(&reals, 2, shape, dnnl_f32, dnnl_ab);
    check(!dnnl_primitive_attr_create(&more), "oneDNN");
    set_scales(more, 0, w->m, 100);
    check(!dnnl_reorder_primitive_desc_create(&way, &reals, engine, bytes, engine, more) &&
              !dnnl_primitive_create(&p->quantize, way),
          "oneDNN's quantizing");
    dnnl_primitive_attr_destroy(more);
    dnnl_primitive_desc_destroy(way);
    p->reals = take_filled((size_t)w->m * (size_t)w->k, sizeof(float));
    p->rows[0] = (dnnl_exec_arg_t){DNNL_ARG_FROM, memory_of(&reals, engine, p->reals)};
    p->rows[1] = (dnnl_exec_arg_t){DNNL_ARG_TO, to};
}

/* False where only the reference would run. */
static bool begin_onednn(product *p, dnnl_engine_t engine) {
    const wish *w = p->wish;
    const bool gradient = !strcmp(w->form, "gradient");
    const dnnl_data_type_t types[] = {dnnl_f32, dnnl_bf16, dnnl_u8}, *type = types;
    while (size_of(w->dtype) != (size_t[]){4, 2, 1}[type - types]) type++;
    const dnnl_data_type_t weights_type = *type == dnnl_u8 ? dnnl_s8 : *type;
    const dnnl_data_type_t results = *type == dnnl_u8 || gradient ? dnnl_f32 : *type;
    dnnl_memory_desc_t a, b, plain, c;
    const dnnl_dims_t a_shape = {w->m, w->k}, b_shape = {w->k, w->n}, c_shape = {w->m, w->n};
    dnnl_memory_desc_init_by_tag(&a, 2, a_shape, *type, gradient ? dnnl_ba : dnnl_ab);
    dnnl_memory_desc_init_by_tag(&plain, 2, b_shape, weights_type, gradient ? dnnl_ab : dnnl_ba);
    dnnl_memory_desc_init_by_tag(&b, 2, b_shape, weights_type,
                                 gradient ? dnnl_ab : dnnl_format_tag_any);
    dnnl_memory_desc_init_by_tag(&c, 2, c_shape, results, dnnl_ab);
    dnnl_matmul_desc_t what;
    dnnl_primitive_desc_t way;
    dnnl_primitive_attr_t more = NULL;
    dnnl_post_ops_t after = NULL;
    check(!dnnl_primitive_attr_create(&more) && !dnnl_post_ops_create(&after), "oneDNN");
    if (gradient) dnnl_post_ops_append_sum(after, 1);
    dnnl_primitive_attr_set_post_ops(more, after);
    dnnl_post_ops_destroy(after);
    if (*type == dnnl_u8) set_scales(more, 1, w->n, 0.001f);
    const bool known = !dnnl_matmul_desc_init(&what, &a, &b, NULL, &c) &&
                       !dnnl_primitive_desc_create(&way, &what, more, engine, NULL);
    dnnl_primitive_attr_destroy(more);
    if (!known) return false;
    const char *name = "";
    dnnl_primitive_desc_query(way, dnnl_query_impl_info_str, 0, &name);
    const bool own = !strstr(name, "ref");
    if (own) {
        check(!dnnl_primitive_create(&p->primitive, way), "oneDNN's product");
        const dnnl_memory_desc_t *wanted =
            dnnl_primitive_desc_query_md(way, dnnl_query_weights_md, 0);
        dnnl_memory_t weights = memory_of(&plain, engine, p->b);
        if (!gradient) {
            dnnl_memory_t packed = reordered(wanted, weights, engine, p->stream);
            void *b;
            dnnl_memory_destroy(weights);
            weights = packed;
            dnnl_memory_get_data_handle(weights, &b);
            make_copies(p, b, dnnl_memory_desc_get_size(wanted));
        }
        p->args[0] = (dnnl_exec_arg_t){DNNL_ARG_SRC, memory_of(&a, engine, p->a)};
        p->args[1] = (dnnl_exec_arg_t){DNNL_ARG_WEIGHTS, weights};
        p->args[2] = (dnnl_exec_arg_t){DNNL_ARG_DST, memory_of(&c, engine, p->c)};
        if (*type == dnnl_u8) begin_quantizing(p, &a, p->args[0].memory, engine);
    }
    dnnl_primitive_desc_destroy(way);
    return own;
}

static void end_onednn(product *p) {
    if (!p->primitive) return;
    for (int i = 0; i < 3; i++) dnnl_memory_destroy(p->args[i].memory);
    dnnl_primitive_destroy(p->primitive);
    if (!p->quantize) return;
    dnnl_memory_destroy(p->rows[0].memory);
    dnnl_primitive_destroy(p->quantize);
}

/* ---- a wish ---- */

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_seconds(product *p, void (*run)(product *)) {
    static double times[RUNS_MAX];
    size_t count = 0;
    run(p); /* warms up */
    for (const double end = now() + p->wish->seconds;
         count < 3 || (count < RUNS_MAX && now() < end); count++) {
        const double begin = now();
        run(p);
        times[count] = now() - begin;
    }
    qsort(times, count, sizeof *times, ascending);
    return times[count / 2];
}

static void fulfil(const wish *w, dnnl_engine_t engine, dnnl_stream_t stream) {
    const size_t m = (size_t)w->m, n = (size_t)w->n, k = (size_t)w->k, size = size_of(w->dtype);
    const bool blas = !strcmp(w->library, "openblas");
    product p = {.wish = w, .stream = stream};
    p.a = take_filled(m * k, size);
    p.b = take_filled(k * n, size);
    p.c = memset(take(m * n * 4), 0, m * n * 4);
    omp_set_num_threads(w->threads);
    openblas_set_num_threads(w->threads);
    if (blas) make_copies(&p, p.b, k * n * size);
    const bool known = blas ? size == 4 : begin_onednn(&p, engine);
    const double seconds = known ? median_seconds(&p, blas ? run_openblas : run_onednn) : 0;
    char ms[32] = "null", rate[32] = "null";
    if (known) {
        snprintf(ms, sizeof ms, "%.6f", 1e3 * seconds);
        snprintf(rate, sizeof rate, "%.3f", 2e-9 * (double)(m * n) * (double)k / seconds);
    }
    const dnnl_version_t *v = dnnl_version();
    char peer[64];
    if (blas)
        snprintf(peer, sizeof peer, "%.20s", openblas_get_config());
    else
        snprintf(peer, sizeof peer, "oneDNN %d.%d.%d", v->major, v->minor, v->patch);
    peer[strcspn(peer, "\n")] = 0;
    printf("{\"peer\": \"%.*s\", \"core\": \"%s\", \"m\": %zu, \"n\": %zu, \"k\": %zu, "
           "\"dtype\": \"%s\", \"form\": \"%s\", \"threads\": %d, \"ms\": %s, \"gflops\": %s}\n",
           blas ? (int)strcspn(peer + 9, " ") + 9 : 60, peer, blas ? openblas_get_corename() : "",
           m, n, k, w->dtype, w->form, w->threads, ms, rate);
    fflush(stdout);
    end_onednn(&p);
    free(p.a);
    free(p.b);
    free(p.c);
    free(p.reals);
    free(p.copies);
}

int main(void) {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    char line[256];
    check(!dnnl_engine_create(&engine, dnnl_cpu, 0) &&
              !dnnl_stream_create(&stream, engine, dnnl_stream_default_flags),
          "starting oneDNN");
    while (fgets(line, sizeof line, stdin)) {
        wish w;
        check(sscanf(line, "%15s %ld %ld %ld %7s %15s %d %lf", w.library, &w.m, &w.n, &w.k, w.dtype,
                     w.form, &w.threads, &w.seconds) == 8 &&
                  w.m > 0 && w.n > 0 && w.k > 0 && w.threads > 0,
              "reading a wish");
        fulfil(&w, engine, stream);
    }
    dnnl_stream_destroy(stream);
    dnnl_engine_destroy(engine);
    return 0;
}
