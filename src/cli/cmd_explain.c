#include "base/file.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/explain_time.h"
#include "cli/machine_flags.h"
#include "cli/settings_flags.h"
#include "model/gpt.h"
#include "report/estimate.h"
#include "report/limits_cache.h"
#include "report/units.h"
#include "tensor/weights.h"
#include "train/counted_text.h"
#include "train/presets.h"
#include "train/run_folder.h"

#include <stdio.h>

#define HEAD_COLUMNS 12 /* of the word before what is told */

/* Of the measured peak that a long training run is taken to reach. */
#define SHARE_OF_PEAK 0.5

static const bv_flag flag_table[] = {
    BV_PRESET_FLAGS,
    BV_INT_FLAG("vocab", "N", 1, 1e7, NULL,
                "tokens of the vocabulary where the settings leave it open (default: 50257; of "
                "presets for characters 65)"),
    BV_SWITCH_FLAG("time",
                   "run a few training steps on a scratch copy, and show where their time goes"),
    BV_STRING_FLAG("trace", "FILE", NULL,
                   "with --time: write these steps as a Chrome trace, which Perfetto opens"),
    BV_SETTINGS_UNLISTED};

static const bv_argument arguments[] = {
    {.name = "WHAT",
     .help = "a run's folder, a JSON file of settings, or the name of a preset",
     .optional = true}};

static bv_status run(const bv_flags *flags);
const bv_command bv_cmd_explain = {
    .name = "explain",
    .brief = "what a model is made of, needs, and how long it would take",
    .summary = "Lists every parameter of a model with its shape and how it begins, what a token "
               "costs, the memory that training needs by kind, all settings, and how long the "
               "training would take here. Nothing of the model's size is allocated, but by --time: "
               "each step's time, FLOPs, bytes and share of this machine's limit, most lost first.",
    .example = "beaver explain gpt2\n"
               "beaver explain run --json\n"
               "beaver explain gpt3-175b --set batch=64\n"
               "beaver explain run --time --trace trace.json",
    BV_ARGUMENTS(arguments),
    BV_FLAGS(flag_table),
    .threads = BV_THREADS_COMPUTE,
    .run = run,
};

/* What is known of a training run before it begins; bytes and seconds. */
typedef struct explanation {
    bv_settings settings;
    bv_gpt gpt;
    size_t parameters, tokens_per_step;
    double tokens;         /* of the whole training */
    double flops, traffic; /* of a token: training; bytes of weights read and written */
    bv_estimate memory;
    double seconds; /* 0: this machine's limits are not known */
    json_t *time;   /* what --time measured, or NULL */
} explanation;

static bv_status find_settings(const bv_flags *flags, bv_settings *s) {
    const char *what = bv_flags_argument(flags, 0);
    bv_settings_default(s);
    if (what && bv_dir_exists(what)) {
        bv_run_config config;
        BV_TRY(bv_run_folder_load(what, &config));
        *s = config.settings;
    } else if (what && bv_file_exists(what)) {
        BV_TRY(bv_settings_load(s, what));
    } else if (what) {
        BV_TRY(bv_settings_preset(s, what));
    }
    BV_TRY(bv_settings_from_flags(flags, s));
    const int64_t vocab = bv_flags_int(flags, "vocab");
    const char *preset = bv_flags_string(flags, "preset");
    if (s->model.vocab_size == 0)
        s->model.vocab_size = vocab ? (size_t)vocab : bv_preset_vocab(preset ? preset : what);
    return bv_settings_check(s);
}

static void find_costs(explanation *e) {
    const bv_settings *s = &e->settings;
    e->parameters = bv_gpt_parameter_count(&s->model);
    e->tokens_per_step = s->batch * s->model.context;
    e->tokens = (double)bv_settings_sequences_before(s, s->steps) * (double)s->model.context;
    e->flops = 3 * bv_gpt_forward_flops(&s->model);
    /* A step reads the weights' two forms for each micro-batch (packed ones where it has few rows),
     * and reads and writes master weights, gradients and state once. */
    const bool packs =
        s->numerics == BV_NUMERICS_BF16 && s->micro_batch * s->model.context < BV_MANY_ROWS;
    const double form = packs ? 2 : 4, n = (double)e->parameters;
    const double micro = (double)s->batch / (double)s->micro_batch;
    const double once = 4 * n + (double)e->memory.gradients + (double)e->memory.optimizer;
    e->traffic = (2 * form * n * micro + 2 * once) / (double)e->tokens_per_step;
}

static void find_time(explanation *e, const bv_machine_use *use) {
    bv_limits limits;
    if (!bv_limits_cached(bv_pool_threads(use->pool), use->kernels->level, &limits)) return;
    const bool half = e->settings.numerics == BV_NUMERICS_BF16;
    const double peak = half ? limits.bf16_gflops : limits.f32_gflops;
    e->seconds = e->tokens * e->flops / (peak * 1e9 * SHARE_OF_PEAK);
}

/* ---- telling ---- */

static void shape_of(const bv_parameter *p, char text[48]) {
    if (p->rank == 1)
        snprintf(text, 48, "[%zu]", p->cols);
    else
        snprintf(text, 48, "[%zu, %zu]", p->rows, p->cols);
}

static void init_of(const bv_parameter *p, char text[48]) {
    if (p->init == BV_INIT_NORMAL)
        snprintf(text, 48, "normal, std %.4g", p->init_std);
    else
        snprintf(text, 48, "%s", p->init == BV_INIT_ONE ? "ones" : "zeros");
}

static void tell_memory(const explanation *e) {
    const bv_estimate *m = &e->memory;
    bv_cli_say("memory      %s: weights %s, gradients %s,\n%*soptimizer %s, activations %s",
               bv_human_bytes((double)m->total).text, bv_human_bytes((double)m->weights).text,
               bv_human_bytes((double)m->gradients).text, HEAD_COLUMNS, "",
               bv_human_bytes((double)m->optimizer).text,
               bv_human_bytes((double)m->activations).text);
    if (e->settings.model.kneser_ney)
        bv_cli_say(",\n%*scounted n-grams %s", HEAD_COLUMNS, "",
                   m->counts ? bv_human_bytes((double)m->counts).text : "by the text's size");
    bv_cli_say("\n");
    bv_error *error = bv_estimate_fits(m, "! it does not fit: training");
    if (error) bv_cli_say("%s\n", bv_error_text(error));
    bv_error_free(&error);
}

/* As --set takes them. */
static bv_status tell_settings(const bv_settings *s) {
    json_t *all = bv_settings_json(s), *value;
    const char *name;
    bv_buffer words = {0}, lines = {0};
    bv_error *error = all ? BV_OK : bv_fail_memory("settings");
    json_object_foreach(all, name, value) {
        bv_buffer_printf(&words, "%s=", name);
        if (json_is_string(value))
            bv_buffer_text(&words, json_string_value(value));
        else if (!error)
            error = bv_json_text(value, 0, &words);
        bv_buffer_text(&words, " ");
    }
    if (!error) error = bv_buffer_error(&words);
    if (!error) bv_help_wrap(words.data, HEAD_COLUMNS, HEAD_COLUMNS, &lines);
    if (!error) error = bv_buffer_error(&lines);
    if (!error) bv_cli_say("%-*s%s", HEAD_COLUMNS, "settings", lines.data);
    json_decref(all);
    bv_buffer_free(&words);
    bv_buffer_free(&lines);
    return error;
}

static bv_status tell(const explanation *e) {
    const bv_settings *s = &e->settings;
    for (size_t i = 0; i < e->gpt.graph->parameter_count; i++) {
        const bv_parameter *p = e->gpt.graph->parameters[i];
        char shape[48], init[48];
        shape_of(p, shape);
        init_of(p, init);
        bv_cli_say("  %-28s %-18s %s\n", p->name, shape, init);
    }
    bv_cli_say("parameters  %zu (%s)\n", e->parameters, bv_human_count((double)e->parameters).text);
    bv_cli_say("a token     %s FLOP, %s of them forward; moves %s of weights and state\n",
               bv_human_count(e->flops).text, bv_human_count(e->flops / 3).text,
               bv_human_bytes(e->traffic).text);
    tell_memory(e);
    BV_TRY(tell_settings(s));
    bv_cli_say("training    %s of %s tokens: %s tokens\n", bv_human_number(s->steps, "step").text,
               bv_human_count((double)e->tokens_per_step).text, bv_human_count(e->tokens).text);
    if (e->seconds > 0)
        bv_cli_say("time here   %s, at %.0f%% of the measured peak\n",
                   bv_human_time(e->seconds).text, 100 * SHARE_OF_PEAK);
    else
        bv_cli_say("time here   not known; try: beaver doctor\n");
    return BV_OK;
}

static bv_status print_json(const explanation *e) {
    json_t *list = json_array();
    for (size_t i = 0; i < e->gpt.graph->parameter_count; i++) {
        const bv_parameter *p = e->gpt.graph->parameters[i];
        char init[48];
        init_of(p, init);
        json_t *shape = p->rank == 1 ? json_pack("[I]", (json_int_t)p->cols)
                                     : json_pack("[II]", (json_int_t)p->rows, (json_int_t)p->cols);
        json_array_append_new(
            list, json_pack("{ss so ss}", "name", p->name, "shape", shape, "init", init));
    }
    const bool unknown = e->settings.model.kneser_ney && !e->memory.counts;
    json_t *counts = unknown ? json_null() : json_integer((json_int_t)e->memory.counts);
    json_t *seconds = e->seconds > 0 ? json_real(e->seconds) : json_null();
    return bv_cli_json(json_pack(
        "{sI sf sf sf s{sI sI sI sI so} so sf so so so*}", "parameter_count",
        (json_int_t)e->parameters, "train_flops_per_token", e->flops, "forward_flops_per_token",
        e->flops / 3, "bytes_per_token", e->traffic, "memory", "weights",
        (json_int_t)e->memory.weights, "gradients", (json_int_t)e->memory.gradients, "optimizer",
        (json_int_t)e->memory.optimizer, "activations", (json_int_t)e->memory.activations, "counts",
        counts, "seconds_here", seconds, "tokens", e->tokens, "settings",
        bv_settings_json(&e->settings), "parameters", list, "time", json_incref(e->time)));
}

static bv_status time_steps(const bv_flags *flags, const bv_machine_use *use, explanation *e) {
    const char *what = bv_flags_argument(flags, 0);
    const bv_explain_time_options options = {.settings = &e->settings,
                                             .run = what && bv_dir_exists(what) ? what : NULL,
                                             .trace = bv_flags_string(flags, "trace")};
    return bv_explain_time(use, &options, &e->time);
}

static bv_status check_flags(const bv_flags *flags) {
    const char *what = bv_flags_argument(flags, 0), *preset = bv_flags_string(flags, "preset");
    const char *trace = bv_flags_string(flags, "trace"), *config = bv_flags_string(flags, "config");
    if (what && preset)
        return bv_try(bv_fail(BV_CODE_USAGE, "%s and --preset %s exclude each other", what, preset),
                      "one of them");
    if (!trace) return BV_OK;
    if (!bv_flags_bool(flags, "time"))
        return bv_try(bv_fail(BV_CODE_USAGE, "--trace needs steps to trace"), "--time");
    if (what) BV_TRY(bv_file_check_apart(trace, what));
    if (what && bv_dir_exists(what)) BV_TRY(bv_run_folder_check_apart(trace, what));
    if (config) BV_TRY(bv_file_check_apart(trace, config));
    return bv_file_check_writable(trace);
}

static bv_status explain(const bv_flags *flags, explanation *e) {
    bv_machine_use use;
    BV_TRY(check_flags(flags));
    BV_TRY(find_settings(flags, &e->settings));
    BV_TRY(bv_gpt_create(&e->settings.model, BV_GPT_LOSS, true, &e->gpt));
    BV_TRY(bv_machine_begin(flags, &use));
    const char *what = bv_flags_argument(flags, 0);
    const uint64_t text = what ? bv_counted_text_tokens(what) : 0;
    bv_error *error = bv_estimate_memory(&e->settings, text, use.kernels, use.pool, &e->memory);
    if (!error) {
        find_costs(e);
        find_time(e, &use);
    }
    if (!error) error = tell(e);
    if (!error && bv_flags_bool(flags, "time")) error = time_steps(flags, &use, e);
    bv_machine_end(&use);
    if (error) return error;
    return bv_flags_bool(flags, "json") ? print_json(e) : BV_OK;
}

static bv_status run(const bv_flags *flags) {
    explanation e = {0};
    bv_error *error = explain(flags, &e);
    bv_gpt_destroy(&e.gpt);
    json_decref(e.time);
    return error;
}
