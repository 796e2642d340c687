#include "report/limits_cache.h"

#include "base/cache_path.h"
#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "report/machine.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define READ_BYTES ((size_t)256 << 20)

/* Less where memory is scarce, as in a small container, which would be killed. */
size_t bv_limits_buffer_bytes(void) {
    bv_machine machine;
    bv_machine_read(&machine);
    const uint64_t half = machine.memory_available / 2;
    return half > 0 && half < READ_BYTES ? (size_t)half : READ_BYTES;
}

void bv_limits_measure_peaks(const bv_kernels *kernels, bv_pool *pool, double seconds,
                             bv_limits *out) {
    *out = (bv_limits){.f32_gflops = bv_limits_peak_gflops(kernels, pool, BV_F32, seconds / 3),
                       .bf16_gflops = bv_limits_peak_gflops(kernels, pool, BV_BF16, seconds / 3),
                       .int8_gops = bv_limits_peak_gflops(kernels, pool, BV_INT8, seconds / 3)};
}

bv_status bv_limits_measure(const bv_kernels *kernels, bv_pool *pool, double seconds,
                            bv_limits *out) {
    bv_limits_measure_peaks(kernels, pool, 3 * seconds / 4, out);
    const size_t bytes = bv_limits_buffer_bytes();
    void *buffer = bv_limits_buffer(bytes);
    if (!buffer) return bv_fail_memory("measuring the memory's bandwidth");
    out->read_gbps = bv_limits_read_gbps(pool, buffer, bytes, seconds / 4);
    bv_free_aligned(buffer);
    return BV_OK;
}

/* Level c emulates what the others have instructions for: hundredths count there. */
static int digits(double value) {
    return value < 10 ? 2 : value < 100 ? 1 : 0;
}

bv_limits_line bv_limits_text(const bv_limits *l) {
    bv_limits_line line;
    snprintf(line.text, sizeof line.text,
             "f32 %.*f GFLOP/s, bf16 %.*f GFLOP/s, int8 %.*f GOP/s, memory %.*f GB/s",
             digits(l->f32_gflops), l->f32_gflops, digits(l->bf16_gflops), l->bf16_gflops,
             digits(l->int8_gops), l->int8_gops, digits(l->read_gbps), l->read_gbps);
    return line;
}

char *bv_limits_path(void) {
    return bv_cache_path("limits.json");
}

/* "AMD EPYC 9B14, 2 threads, avx512" */
static void make_key(int threads, const char *level, char *key, size_t size) {
    bv_machine machine;
    bv_machine_read(&machine);
    snprintf(key, size, "%s, %d threads, %s", machine.cpu, threads, level);
}

/* The cache's object, an empty one in place of anything else. NULL without memory. */
static json_t *load(const char *path) {
    json_t *root = NULL;
    bv_error *error = bv_json_load(path, &root);
    bv_error_free(&error);
    if (json_is_object(root)) return root;
    json_decref(root);
    return json_object();
}

static bool get(const json_t *entry, const char *key, double *out) {
    const json_t *value = json_object_get(entry, key);
    *out = json_number_value(value);
    return json_is_number(value) && isfinite(*out) && *out > 0;
}

/* `out` stays as it is where one of the figures is none. */
static bool get_all(const json_t *entry, bv_limits *out) {
    bv_limits found;
    const bool known = get(entry, "f32_gflops", &found.f32_gflops) &&
                       get(entry, "bf16_gflops", &found.bf16_gflops) &&
                       get(entry, "int8_gops", &found.int8_gops) &&
                       get(entry, "read_gbps", &found.read_gbps);
    if (known) *out = found;
    return known;
}

bool bv_limits_cached(int threads, const char *level, bv_limits *out) {
    char key[256];
    char *path = bv_limits_path();
    if (!path) return false;
    make_key(threads, level, key, sizeof key);
    json_t *root = load(path);
    const bool known = get_all(json_object_get(root, key), out);
    json_decref(root);
    bv_free(path);
    return known;
}

bv_limits bv_limits_larger(const bv_limits *a, const bv_limits *b) {
    return (bv_limits){fmax(a->f32_gflops, b->f32_gflops), fmax(a->bf16_gflops, b->bf16_gflops),
                       fmax(a->int8_gops, b->int8_gops), fmax(a->read_gbps, b->read_gbps)};
}

double bv_limits_share(const bv_limits *measured, const bv_limits *best) {
    return fmin(
        fmin(measured->f32_gflops / best->f32_gflops, measured->bf16_gflops / best->bf16_gflops),
        fmin(measured->int8_gops / best->int8_gops, measured->read_gbps / best->read_gbps));
}

bv_status bv_limits_remember(int threads, const char *level, const bv_limits *measured,
                             bv_limits *best) {
    char key[256];
    *best = *measured;
    char *path = bv_limits_path();
    if (!path)
        return bv_try(bv_fail(BV_CODE_IO, "no folder for the cache of measured limits"),
                      "set HOME or XDG_CACHE_HOME");
    make_key(threads, level, key, sizeof key);
    json_t *root = load(path);
    bv_limits kept;
    if (get_all(json_object_get(root, key), &kept)) *best = bv_limits_larger(measured, &kept);
    json_t *entry =
        json_pack("{sfsfsfsf}", "f32_gflops", best->f32_gflops, "bf16_gflops", best->bf16_gflops,
                  "int8_gops", best->int8_gops, "read_gbps", best->read_gbps);
    bv_error *error = NULL;
    if (!root || json_object_set_new(root, key, entry) != 0)
        error = bv_fail_memory("the cache of measured limits");
    if (!error) error = bv_dir_make_parent(path);
    if (!error) error = bv_json_save(path, root);
    json_decref(root);
    bv_free(path);
    return bv_while(error, "keeping this machine's measured limits");
}
