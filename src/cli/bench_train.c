#include "base/clock.h"
#include "base/memory.h"
#include "base/random.h"
#include "cli/bench.h"
#include "cli/cli.h"
#include "cli/compute.h"
#include "cli/settings_flags.h"
#include "model/gpt_train.h"
#include "report/estimate.h"
#include "report/machine.h"
#include "report/units.h"
#include "train/settings.h"

#include <stdio.h>
#include <string.h>

#define WARM_UP 2
#define LARGE_BATCH 8 /* of presets: beyond it one micro-batch is a step here */

static const bv_flag flag_table[] = {
    {.name = "preset",
     .value = "NAME",
     .type = BV_FLAG_STRING,
     .required = true,
     .help = "the model and its settings: gpt2, gpt2-medium, gpt3-small, nanogpt-char-cpu, mini"},
    {.name = "batch",
     .value = "N",
     .type = BV_FLAG_INT,
     .min = 1,
     .max = 1e6,
     .help = "sequences of a step; else the preset's batch, or one micro-batch where that is "
             "large"},
    {.name = "context",
     .value = "N",
     .type = BV_FLAG_INT,
     .min = 1,
     .max = 1e6,
     .help = "tokens of a sequence; else the preset's"},
    {.name = "steps",
     .value = "N",
     .type = BV_FLAG_INT,
     .min = 1,
     .max = 1e5,
     .fallback = "10",
     .help = "steps to time, after 2 to warm up"},
    {.name = "dtype", .value = "f32|bf16", .type = BV_FLAG_STRING, .help = "else the preset's"},
    {.name = "set",
     .value = "KEY=VALUE",
     .type = BV_FLAG_LIST,
     .help = "any setting, as often as wanted"},
    BV_FLAG_THREADS,
    BV_FLAG_JSON,
};

static const bv_command command = {
    .name = "bench train",
    .summary = "Trains a preset's model on random tokens and prints the median time of a step, "
               "tokens a second, and the share of this machine's measured peak (MFU: three "
               "forward passes' floating-point operations a token).",
    .example = "beaver bench train --preset gpt2 --steps 3 --json\n"
               "beaver bench train --preset nanogpt-char-cpu --dtype f32 --set optimizer=muon",
    .flags = flag_table,
    .flag_count = sizeof flag_table / sizeof *flag_table,
};

typedef struct bench {
    const char *preset;
    bv_settings settings;
    size_t steps;
    bool as_json;
    bv_compute compute;
    bv_gpt_trainer *trainer;
    uint32_t *inputs, *targets;
    double *seconds;
    double loss; /* of the last step */
} bench;

/* ---- settings ---- */

static bv_status read_settings(const bv_flags *flags, bench *b) {
    bv_settings *s = &b->settings;
    bv_settings_default(s);
    BV_TRY(bv_settings_preset(s, b->preset));
    BV_TRY(bv_settings_set_all(s, flags));
    char number[32];
    if (bv_flags_given(flags, "context")) {
        snprintf(number, sizeof number, "%lld", (long long)bv_flags_int(flags, "context"));
        BV_TRY(bv_settings_set(s, "context", number));
    }
    if (bv_flags_given(flags, "dtype"))
        BV_TRY(bv_settings_set(s, "dtype", bv_flags_string(flags, "dtype")));
    bv_settings_vocabulary(s, b->preset);
    s->grains = 1;
    BV_TRY(bv_settings_check(s)); /* makes micro_batch known */
    if (bv_flags_given(flags, "batch"))
        s->batch = (size_t)bv_flags_int(flags, "batch");
    else if (s->batch > LARGE_BATCH)
        s->batch = s->micro_batch;
    return bv_settings_check(s);
}

/* A model that does not fit is refused before the machine begins to swap. */
static bv_status check_memory(const bench *b) {
    bv_estimate needed;
    BV_TRY(bv_estimate_memory(&b->settings, b->compute.kernels, b->compute.pool, &needed));
    bv_machine machine;
    bv_machine_read(&machine);
    if (machine.memory_available == 0 || needed.total <= machine.memory_available) return BV_OK;
    return bv_try(bv_fail(BV_CODE_MEMORY, "%s needs %s of memory, %s are available", b->preset,
                          bv_human_bytes((double)needed.total).text,
                          bv_human_bytes((double)machine.memory_available).text),
                  "--batch 1, --set recompute=true, or a smaller preset");
}

/* ---- steps ---- */

static bv_status create(bench *b) {
    const bv_settings *s = &b->settings;
    const bv_gpt_trainer_options options = {.config = s->model,
                                            .numerics = s->numerics,
                                            .kernels = b->compute.kernels,
                                            .pool = b->compute.pool,
                                            .batch_max = s->batch,
                                            .micro_batch = s->micro_batch,
                                            .context = s->model.context,
                                            .grains = 1,
                                            .recompute = s->recompute,
                                            .unfused = !s->fuse,
                                            .seed = s->seed,
                                            .optimizer = s->optimizer};
    const size_t rows = s->batch * s->model.context;
    b->inputs = bv_calloc(rows, sizeof *b->inputs);
    b->targets = bv_calloc(rows, sizeof *b->targets);
    b->seconds = bv_calloc(b->steps, sizeof *b->seconds);
    if (!b->inputs || !b->targets || !b->seconds) return bv_fail_memory("a benchmark");
    return bv_gpt_trainer_create(&options, &b->trainer);
}

static void draw_tokens(bench *b, uint32_t step) {
    const bv_settings *s = &b->settings;
    const size_t rows = s->batch * s->model.context;
    for (size_t i = 0; i < rows; i++) {
        const bv_random4 r =
            bv_random(s->seed, BV_RANDOM_TEST, 0, step, (uint32_t)i, (uint32_t)(i >> 32));
        b->inputs[i] = r.v[0] % (uint32_t)s->model.vocab_size;
        b->targets[i] = r.v[1] % (uint32_t)s->model.vocab_size;
    }
}

static void run_step(bench *b, uint32_t step) {
    const bv_settings *s = &b->settings;
    const size_t context = s->model.context;
    bv_gpt_trainer_step_begin(b->trainer, step, s->batch * context);
    bv_gpt_trainer_grain_begin(b->trainer);
    for (size_t i = 0; i < s->batch; i += s->micro_batch) {
        const size_t left = s->batch - i, n = left < s->micro_batch ? left : s->micro_batch;
        bv_gpt_trainer_micro(b->trainer, b->inputs + i * context, b->targets + i * context, NULL, n,
                             i);
    }
    bv_gpt_trainer_grain_end(b->trainer);
    double norm;
    bv_gpt_trainer_gradient(b->trainer, &b->loss, &norm);
    const double factor = bv_settings_schedule(s, step);
    const bv_optimizer_step update = {
        .lr = s->lr * factor,
        .beta1 = s->beta1,
        .beta2 = s->beta2,
        .eps = s->eps,
        .weight_decay = s->weight_decay,
        .muon_lr = s->muon_lr * factor,
        .muon_momentum = s->muon_momentum,
        .gradient_scale = s->grad_clip > 0 && norm > s->grad_clip ? s->grad_clip / norm : 1,
        .step = step + 1};
    bv_gpt_trainer_apply(b->trainer, &update);
}

static void run_steps(bench *b) {
    for (size_t i = 0; i < WARM_UP + b->steps; i++) {
        draw_tokens(b, (uint32_t)i);
        const double begin = bv_clock_seconds();
        run_step(b, (uint32_t)i);
        if (i >= WARM_UP) b->seconds[i - WARM_UP] = bv_clock_seconds() - begin;
    }
}

/* ---- report ---- */

static bv_status report(bench *b) {
    const bv_settings *s = &b->settings;
    bv_limits limits;
    BV_TRY(bv_compute_limits(&b->compute, &limits));
    const bool bf16 = s->numerics == BV_NUMERICS_BF16;
    const double step = bv_bench_median(b->seconds, b->steps);
    const double rate = (double)(s->batch * s->model.context) / step;
    const double flops = 3 * bv_gpt_forward_flops(&s->model) * rate;
    const double share = flops * 1e-9 / (bf16 ? limits.bf16_gflops : limits.f32_gflops);
    const double memory = (double)bv_machine_peak_memory();
    const double parameters = (double)bv_gpt_parameter_count(&s->model);
    const char *dtype = bf16 ? "bf16" : "f32";
    if (b->as_json)
        return bv_cli_json(json_pack(
            "{ss sf sf sf sI sI sI sI si ss ss sI sf sI}", "preset", b->preset, "tokens_per_s",
            rate, "ms_per_step", 1e3 * step, "mfu", share, "batch", (json_int_t)s->batch,
            "micro_batch", (json_int_t)s->micro_batch, "context", (json_int_t)s->model.context,
            "steps", (json_int_t)b->steps, "threads", b->compute.threads, "level",
            b->compute.kernels->level, "dtype", dtype, "parameters", (json_int_t)parameters,
            "gflops", flops * 1e-9, "peak_memory", (json_int_t)memory));
    bv_cli_say("%s: %s parameters, %zu x %zu tokens a step, %s, %s, %d threads\n", b->preset,
               bv_human_count(parameters).text, s->batch, s->model.context, dtype,
               b->compute.kernels->level, b->compute.threads);
    bv_cli_say("%.1f ms a step (median of %zu), %.0f tokens/s, %.0f GFLOP/s, %s of the %s limit, "
               "%s of memory\n",
               1e3 * step, b->steps, rate, flops * 1e-9, bv_human_share(share).text, dtype,
               bv_human_bytes(memory).text);
    return BV_OK;
}

static bv_status run(const bv_flags *flags, bench *b) {
    b->preset = bv_flags_string(flags, "preset");
    b->steps = (size_t)bv_flags_int(flags, "steps");
    b->as_json = bv_flags_bool(flags, "json");
    BV_TRY(read_settings(flags, b));
    BV_TRY(bv_compute_open(bv_flags_int(flags, "threads"), &b->compute));
    BV_TRY(check_memory(b));
    BV_TRY(create(b));
    run_steps(b);
    return report(b);
}

bv_status bv_bench_train(int argc, char **argv) {
    bv_flags *flags;
    BV_TRY(bv_flags_parse(&command, argc, argv, &flags));
    if (!flags) return BV_OK;
    bench b = {0};
    bv_error *error = run(flags, &b);
    bv_gpt_trainer_destroy(&b.trainer);
    bv_compute_close(&b.compute);
    bv_free(b.inputs);
    bv_free(b.targets);
    bv_free(b.seconds);
    bv_flags_free(&flags);
    return error;
}
