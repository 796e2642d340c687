/*
 * The kernels, each by itself, in the shapes that a GPT-2 124M and a small model give them. The
 * limit of a kernel is the longer of two times: its operations at the measured peak, its operands
 * (each once) at the measured bandwidth of memory; the share is that over the median of its runs.
 * Operands of small shapes stay in the caches, so a share of memory may exceed 100 %.
 *
 * On a shared machine two cores are sometimes one. So the peak is measured right before and after
 * what runs on several threads, and a timing beside a fallen peak is discarded and taken again; a
 * row for which it never held says so ("steady": false).
 */
#include "cli/bench_kernels.h"

#include "cli/bench_job.h"
#include "cli/cli.h"
#include "report/units.h"

static const bv_bench_shapes models[] = {
    {"gpt2", 4, 1024, 768, 12, 50257}, /* a micro-batch of preset gpt2 */
    {"small", 12, 64, 128, 4, 65},     /* preset nanogpt-char-cpu     */
};

/* Models of nothing: products of square matrices, as other programs measure them. */
static const bv_bench_shapes squares[] = {{"1024", 1, 1024, 1024, 0, 0},
                                          {"2048", 1, 2048, 2048, 0, 0}};

static bv_status bench_model(bv_bench_suite *s, const bv_bench_shapes *model, bv_dtype type) {
    BV_TRY(bv_bench_matmuls(s, model, type));
    if (type == BV_INT8) return BV_OK;
    BV_TRY(bv_bench_attention(s, model, type));
    return bv_bench_ranges(s, model, type);
}

bv_status bv_bench_kernels(const bv_machine_use *use, const bv_bench_kernels_options *options,
                           json_t *rows) {
    static const bv_dtype types[] = {BV_F32, BV_BF16, BV_INT8};
    bv_bench_suite s = {.use = use, .options = options, .rows = rows};
    BV_TRY(bv_limits_measure(use->kernels, use->pool, 1, &s.limits));
    bv_cli_say("limits of %s: %s\n",
               bv_human_number((size_t)bv_pool_threads(use->pool), "thread").text,
               bv_limits_text(&s.limits).text);
    s.times = bv_calloc(BV_BENCH_RUNS_MAX, sizeof *s.times);
    bv_error *error = s.times ? BV_OK : bv_fail_memory("a benchmark");
    for (size_t t = 0; t < sizeof types / sizeof *types; t++)
        for (size_t i = 0; i < sizeof squares / sizeof *squares; i++)
            if (!error) error = bv_bench_square(&s, &squares[i], types[t]);
    for (size_t m = 0; m < sizeof models / sizeof *models; m++)
        for (size_t t = 0; t < sizeof types / sizeof *types; t++)
            if (!error) error = bench_model(&s, &models[m], types[t]);
    bv_free(s.times);
    return error;
}
