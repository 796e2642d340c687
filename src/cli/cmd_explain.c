#include "base/file.h"
#include "base/memory.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/compute.h"
#include "cli/settings_flags.h"
#include "model/gpt.h"
#include "report/estimate.h"
#include "report/machine.h"
#include "report/units.h"

#include <stdio.h>
#include <string.h>

static const bv_argument argument_table[] = {
    {.name = "WHAT", .help = "a run's folder, a JSON file of settings, or the name of a preset"}};
static const bv_flag flag_table[] = {
    {.name = "set",
     .value = "KEY=VALUE",
     .type = BV_FLAG_LIST,
     .help = "any setting, as often as wanted"},
    {.name = "vocab",
     .value = "N",
     .type = BV_FLAG_INT,
     .min = 1,
     .max = 1e7,
     .help = "size of the vocabulary; else as in the settings, or what goes with the preset"},
    {.name = "share",
     .value = "X",
     .type = BV_FLAG_DOUBLE,
     .min = 0.001,
     .max = 1,
     .fallback = "0.5",
     .help = "share of the measured peak that training is assumed to reach (bench train prints "
             "it as mfu)"},
    BV_FLAG_THREADS,
    BV_FLAG_JSON,
};

static const bv_command command = {
    .name = "explain",
    .summary = "Says what a training consists of: every parameter with its shape and how it is "
               "initialized, floating-point operations and bytes a token, memory by kind, and how "
               "long it would take on this machine. Trains nothing and allocates no weights.",
    .example = "beaver explain gpt2\n"
               "beaver explain gpt3-175b --json\n"
               "beaver explain mini --set layers=8 --set recompute=true --vocab 8192",
    .arguments = argument_table,
    .argument_count = 1,
    .flags = flag_table,
    .flag_count = sizeof flag_table / sizeof *flag_table,
};

typedef struct explanation {
    const char *what;
    bv_settings settings;
    bool assumed_vocab;
    bv_compute compute;
    bv_limits limits;
    bv_gpt gpt;
    bv_estimate memory;
    double parameters, forward_flops;         /* a token */
    double weight_bytes, kv_bytes;            /* a token that is generated */
    double tokens, flops, share, peak_gflops; /* of the whole training */
    double seconds;
} explanation;

/* ---- which settings ---- */

static bv_status load_run(bv_settings *s, const char *folder) {
    char *path = bv_path_join(folder, "config.json");
    if (!path) return bv_fail_memory("a path");
    bv_error *error = BV_OK;
    if (!bv_file_exists(path))
        error = bv_try(bv_fail(BV_CODE_INPUT, "%s is no run: it has no config.json", folder),
                       "beaver explain RUN|CONFIG.json|PRESET");
    if (!error) error = bv_settings_load(s, path);
    bv_free(path);
    return error;
}

static bv_status load(bv_settings *s, const char *what) {
    if (bv_dir_exists(what)) return load_run(s, what);
    const size_t length = strlen(what);
    const bool path = strchr(what, '/') || (length > 5 && !strcmp(what + length - 5, ".json"));
    if (path || bv_file_exists(what)) return bv_settings_load(s, what);
    return bv_settings_preset(s, what);
}

static bv_status read_settings(const bv_flags *flags, explanation *e) {
    bv_settings *s = &e->settings;
    bv_settings_default(s);
    BV_TRY(load(s, e->what));
    BV_TRY(bv_settings_set_all(s, flags));
    if (bv_flags_given(flags, "vocab")) s->model.vocab_size = (size_t)bv_flags_int(flags, "vocab");
    e->assumed_vocab = bv_settings_vocabulary(s, e->what);
    return bv_settings_check(s);
}

/* ---- what follows from them ---- */

static bv_status calculate(explanation *e) {
    const bv_settings *s = &e->settings;
    const bv_gpt_config *c = &s->model;
    const bool bf16 = s->numerics == BV_NUMERICS_BF16;
    const double size = bf16 ? 2 : 4;
    BV_TRY(bv_gpt_create(c, BV_GPT_LOSS, true, &e->gpt));
    BV_TRY(bv_estimate_memory(s, e->compute.kernels, e->compute.pool, &e->memory));
    for (size_t i = 0; i < e->gpt.graph->parameter_count; i++) {
        const bv_parameter *p = e->gpt.graph->parameters[i];
        const double elements = (double)p->rows * (double)p->cols;
        const bool looked_up = p->kind == BV_PARAMETER_EMBEDDING;
        const bool head = !strcmp(p->name, c->tied ? "wte.weight" : "lm_head.weight");
        e->parameters += elements;
        /* Of a table that is only looked up, one row; a vector is always f32. */
        if (looked_up && !head)
            e->weight_bytes += size * (double)p->cols;
        else
            e->weight_bytes += elements * (p->kind == BV_PARAMETER_VECTOR ? 4 : size);
    }
    e->kv_bytes = 2 * size * (double)(c->layers * c->kv_heads * c->d_head);
    e->forward_flops = bv_gpt_forward_flops(c);
    e->tokens = (double)bv_settings_sequences_before(s, s->steps) * (double)c->context;
    e->flops = 3 * e->forward_flops * e->tokens;
    e->peak_gflops = bf16 ? e->limits.bf16_gflops : e->limits.f32_gflops;
    e->seconds = e->flops / (1e9 * e->peak_gflops * e->share);
    return BV_OK;
}

/* ---- for people ---- */

static void shape_text(const bv_parameter *p, char *out, size_t size) {
    if (p->rank == 1)
        snprintf(out, size, "[%zu]", p->cols);
    else
        snprintf(out, size, "[%zu, %zu]", p->rows, p->cols);
}

/* Layers are alike: the first one's parameters stand for all. */
static void say_parameters(const explanation *e) {
    const size_t layers = e->settings.model.layers;
    bv_cli_say("parameters (%s)\n", bv_human_count(e->parameters).text);
    for (size_t i = 0; i < e->gpt.graph->parameter_count; i++) {
        const bv_parameter *p = e->gpt.graph->parameters[i];
        const bool layer = !strncmp(p->name, "h.", 2);
        if (layer && strncmp(p->name, "h.0.", 4) != 0) continue;
        char name[80], shape[48];
        if (layer && layers > 1)
            snprintf(name, sizeof name, "h.0..%zu.%s", layers - 1, p->name + 4);
        else
            snprintf(name, sizeof name, "%s", p->name);
        shape_text(p, shape, sizeof shape);
        bv_cli_say("  %-32s %-16s ", name, shape);
        if (p->init == BV_INIT_NORMAL)
            bv_cli_say("normal, standard deviation %.4g\n", p->init_std);
        else
            bv_cli_say("%s\n", p->init == BV_INIT_ONE ? "ones" : "zeros");
    }
}

static void say_memory(const explanation *e) {
    const bv_settings *s = &e->settings;
    bv_machine machine;
    bv_machine_read(&machine);
    const bv_estimate *m = &e->memory;
    bv_cli_say("memory of training with micro-batches of %zu x %zu tokens%s\n", s->micro_batch,
               s->model.context, s->recompute ? ", recomputing" : "");
    bv_cli_say("  weights      %8s (and packed for the kernels)\n",
               bv_human_bytes((double)m->weights).text);
    bv_cli_say("  gradients    %8s\n", bv_human_bytes((double)m->gradients).text);
    bv_cli_say("  optimizer    %8s\n", bv_human_bytes((double)m->optimizer).text);
    bv_cli_say("  activations  %8s\n", bv_human_bytes((double)m->activations).text);
    bv_cli_say("  together     %8s, ", bv_human_bytes((double)m->total).text);
    const double available = (double)machine.memory_available;
    if (available <= 0 || (double)m->total <= available)
        bv_cli_say("of %s available here\n", bv_human_bytes(available).text);
    else
        bv_cli_say("MORE than the %s available here\n  try: --set micro_batch=1, --set "
                   "recompute=true, or a smaller model\n",
                   bv_human_bytes(available).text);
}

static void say_training(const explanation *e) {
    const bv_settings *s = &e->settings;
    const char *dtype = s->numerics == BV_NUMERICS_BF16 ? "bf16" : "f32";
    bv_cli_say("a token\n");
    bv_cli_say("  forward      %8s floating-point operations, training three times as many\n",
               bv_human_count(e->forward_flops).text);
    bv_cli_say("  generating   %8s of weights read, %s of keys and values kept\n",
               bv_human_bytes(e->weight_bytes).text, bv_human_bytes(e->kv_bytes).text);
    bv_cli_say("the whole training\n");
    bv_cli_say("  %zu steps of up to %zu x %zu tokens: %s tokens, %.3g floating-point "
               "operations\n",
               s->steps, s->batch, s->model.context, bv_human_count(e->tokens).text, e->flops);
    bv_cli_say("  about %s here, assuming %s of this machine's measured %s peak (%.0f GFLOP/s, "
               "%s, %d threads);\n  `beaver bench train` measures the share that is reached, "
               "--share says it\n",
               bv_human_time(e->seconds).text, bv_human_share(e->share).text, dtype, e->peak_gflops,
               e->compute.kernels->level, e->compute.threads);
}

static bv_status say(const explanation *e) {
    const bv_gpt_config *c = &e->settings.model;
    bv_cli_say("%s: %zu layers, width %zu, %zu heads of %zu", e->what, c->layers, c->width,
               c->heads, c->d_head);
    if (c->kv_heads != c->heads) bv_cli_say(" (%zu of keys and values)", c->kv_heads);
    bv_cli_say(", context %zu, vocabulary %zu%s\n", c->context, c->vocab_size,
               e->assumed_vocab ? " (assumed: --vocab)" : "");
    say_parameters(e);
    say_memory(e);
    say_training(e);
    return BV_OK;
}

/* ---- for programs ---- */

static json_t *parameters_json(const explanation *e) {
    json_t *list = json_array();
    for (size_t i = 0; i < e->gpt.graph->parameter_count; i++) {
        const bv_parameter *p = e->gpt.graph->parameters[i];
        static const char *const inits[] = {
            [BV_INIT_NORMAL] = "normal", [BV_INIT_ZERO] = "zeros", [BV_INIT_ONE] = "ones"};
        static const char *const kinds[] = {[BV_PARAMETER_MATRIX] = "matrix",
                                            [BV_PARAMETER_EMBEDDING] = "embedding",
                                            [BV_PARAMETER_VECTOR] = "vector"};
        json_t *shape = p->rank == 1 ? json_pack("[I]", (json_int_t)p->cols)
                                     : json_pack("[II]", (json_int_t)p->rows, (json_int_t)p->cols);
        json_t *entry = json_pack("{ss so ss ss}", "name", p->name, "shape", shape, "kind",
                                  kinds[p->kind], "init", inits[p->init]);
        if (p->init == BV_INIT_NORMAL) json_object_set_new(entry, "std", json_real(p->init_std));
        json_array_append_new(list, entry);
    }
    return list;
}

static bv_status print_json(const explanation *e) {
    const bv_estimate *m = &e->memory;
    json_t *memory =
        json_pack("{sI sI sI sI sI}", "weights", (json_int_t)m->weights, "gradients",
                  (json_int_t)m->gradients, "optimizer", (json_int_t)m->optimizer, "activations",
                  (json_int_t)m->activations, "total", (json_int_t)m->total);
    return bv_cli_json(json_pack(
        "{ss so sI so sf sf sf sf so sI sf sf sf sf si ss}", "what", e->what, "settings",
        bv_settings_json(&e->settings), "parameter_count", (json_int_t)e->parameters, "parameters",
        parameters_json(e), "forward_flops_per_token", e->forward_flops, "training_flops_per_token",
        3 * e->forward_flops, "weight_bytes_per_token", e->weight_bytes, "kv_bytes_per_token",
        e->kv_bytes, "memory", memory, "tokens", (json_int_t)e->tokens, "training_flops", e->flops,
        "peak_gflops", e->peak_gflops, "assumed_share", e->share, "seconds", e->seconds, "threads",
        e->compute.threads, "level", e->compute.kernels->level));
}

static bv_status explain(const bv_flags *flags, explanation *e) {
    e->what = bv_flags_argument(flags, 0);
    e->share = bv_flags_double(flags, "share");
    BV_TRY(read_settings(flags, e));
    BV_TRY(bv_compute_open(bv_flags_int(flags, "threads"), &e->compute));
    BV_TRY(bv_compute_limits(&e->compute, &e->limits));
    BV_TRY(calculate(e));
    return bv_flags_bool(flags, "json") ? print_json(e) : say(e);
}

bv_status bv_cmd_explain(int argc, char **argv) {
    bv_flags *flags;
    BV_TRY(bv_flags_parse(&command, argc, argv, &flags));
    if (!flags) return BV_OK;
    explanation e = {0};
    bv_error *error = explain(flags, &e);
    bv_gpt_destroy(&e.gpt);
    bv_compute_close(&e.compute);
    bv_flags_free(&flags);
    return error;
}
