#include "base/file.h"
#include "base/memory.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/explain_time.h"
#include "cli/interrupt.h"
#include "cli/machine_flags.h"
#include "cli/settings_flags.h"
#include "model/kneser_ney.h"
#include "report/estimate.h"
#include "report/limits_cache.h"
#include "report/progress.h"
#include "report/units.h"
#include "text/tokenizer.h"
#include "train/checkpoint.h"
#include "train/loop.h"
#include "train/pace.h"
#include "train/run_folder.h"
#include "version.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MEASURE_SECONDS 1.6          /* of --minutes, on a scratch copy */
#define VERIFIED_TOKENS (1ull << 29) /* data up to here are read through before a training */

static const bv_flag flag_table[] = {
    BV_STRING_FLAG("data", "DIR", NULL,
                   "data made by beaver data prepare; with --resume the run knows it"),
    BV_REQUIRED_FLAG("out", "RUN", "folder of the run, made by this command"),
    BV_STRING_FLAG("from", "RUN", NULL,
                   "begin with the weights of another run's latest checkpoint, and with its "
                   "settings where none are given: to train on with other data"),
    BV_DOUBLE_FLAG("minutes", "M", 0.001, 1e6, NULL,
                   "choose the number of steps so that training takes about so long here"),
    BV_STRING_FLAG("trace", "FILE", NULL,
                   "write where the time of the first steps goes, as a Chrome trace for Perfetto"),
    BV_SWITCH_FLAG("resume", "go on with RUN, by its own settings"),
    BV_PRESET_FLAGS,
    BV_SETTINGS_FLAGS};

static bv_status run(const bv_flags *flags);
const bv_command bv_cmd_train = {
    .name = "train",
    .brief = "train a GPT",
    .summary = "Trains a GPT on prepared data. Ctrl-C saves a checkpoint and says how to go on. "
               "Defaults are those without --preset: beaver explain PRESET lists a preset's.",
    .example = "beaver data prepare book.txt --out data --vocab 2048\n"
               "beaver train --data data --out run --preset nano --minutes 5\n"
               "beaver train --out run --resume\n"
               "beaver train --from run --data poems --out poet --lr 1e-4 --steps 200",
    BV_FLAGS(flag_table),
    .otherwise = bv_settings_otherwise,
    .threads = BV_THREADS_COMPUTE,
    .run = run,
};

typedef struct training {
    const bv_flags *flags;
    const char *out;
    bv_machine_use machine;
    bv_run_config config;
    bv_dataset *data;
    bv_lock *lock;
    bv_progress *progress;
    bv_trace *trace;
    double flops_per_token, peak;        /* peak 0: not measured yet */
    const volatile sig_atomic_t *signal; /* caught from where something of RUN is written */
    bv_step_report last;
    bool worked; /* a step or an evaluation was made */
} training;

/* ---- a new run ---- */

static bv_status fit_vocabulary(training *t) {
    size_t *vocab = &t->config.settings.model.vocab_size;
    const size_t tokens = bv_dataset_vocab_size(t->data);
    if (*vocab == 0) *vocab = tokens;
    if (*vocab < tokens)
        return bv_try(bv_fail(BV_CODE_USAGE,
                              "vocab_size %zu is less than the %zu of the data's tokenizer", *vocab,
                              tokens),
                      "--set vocab_size=0: as many as the data has");
    return BV_OK;
}

/* A lower lr is easily given alone. With the schedule Muon's rate would rise as many times. */
static bv_status check_rates(const bv_settings *s) {
    const bool falls = s->schedule != BV_SCHEDULE_CONSTANT && s->lr > 0;
    if (!falls || s->min_lr <= s->lr) return BV_OK;
    return bv_try(bv_fail(BV_CODE_USAGE,
                          "min_lr %g is more than lr %g: the learning rate would rise to its end",
                          s->min_lr, s->lr),
                  "--min-lr %g", s->lr / 10);
}

/* So is a number of steps. */
static void tell_warmup(const bv_settings *s) {
    if (s->warmup < s->steps || s->warmup < 2) return;
    bv_cli_say("warmup %zu does not end before step %zu: the learning rate never reaches its peak\n"
               "  try: --warmup %zu\n",
               s->warmup, s->steps, s->steps / 10);
}

static void fill_options(const training *t, bv_train_options *o) {
    *o = (bv_train_options){.run = t->out,
                            .settings = &t->config.settings,
                            .origin = *t->config.origin.run ? &t->config.origin : NULL,
                            .data = t->data,
                            .kernels = t->machine.kernels,
                            .pool = t->machine.pool,
                            .version = BV_VERSION " " BV_REVISION};
}

/* --minutes: from here on only steps count. */
static bv_status choose_steps(training *t) {
    bv_settings *s = &t->config.settings;
    bv_train_options options;
    bv_pace pace;
    t->config.minutes = bv_flags_double(t->flags, "minutes");
    fill_options(t, &options);
    BV_TRY(bv_pace_measure(&options, MEASURE_SECONDS, &pace));
    const double asked = t->config.minutes * 60;
    s->steps = bv_pace_steps(s, t->data, &pace, asked);
    if (s->warmup > s->steps / 10) s->warmup = s->steps / 10;
    const double seconds = bv_pace_seconds(s, t->data, &pace);
    bv_cli_say("%s %s about %s here", bv_human_number(s->steps, "step").text,
               s->steps == 1 ? "takes" : "take", bv_human_time(seconds).text);
    if (seconds > 1.5 * asked) bv_cli_say(", not %s", bv_human_time(asked).text);
    bv_cli_say("\n");
    return BV_OK;
}

/* A model that does not fit is refused before the machine begins to swap. */
static bv_status check_memory(const training *t) {
    bv_estimate estimate;
    BV_TRY(bv_estimate_memory(&t->config.settings, bv_dataset_tokens(t->data, BV_SPLIT_TRAIN),
                              t->machine.kernels, t->machine.pool, &estimate));
    return bv_estimate_fits(&estimate, "this training");
}

/* So is one whose checkpoints do not fit on the disk: those to keep, the best, the last regular
 * one, and one in the making; but no more than it makes, of its end and of a signal among them. */
static bv_status check_disk(const training *t) {
    const bv_settings *s = &t->config.settings;
    uint64_t space;
    size_t there;
    BV_TRY(bv_checkpoint_room(t->out, &space));
    BV_TRY(bv_checkpoint_count(t->out, &there));
    const double one = 3 * sizeof(float) * (double)bv_gpt_parameter_count(&s->model); /* AdamW's */
    const size_t made = s->checkpoint_every ? s->steps / s->checkpoint_every : 0;
    const size_t most = 3 + (s->keep < made ? s->keep : made);
    const size_t more = most > there ? most - there : 1;
    if ((double)space >= one * (double)more) return BV_OK;
    return bv_try(bv_fail(BV_CODE_IO, "%s are free for %s: %zu checkpoints of %s do not fit",
                          bv_human_bytes((double)space).text, t->out, more,
                          bv_human_bytes(one).text),
                  "another disk, or --set keep=1");
}

/* Every shard is compared with its hash, unless reading all would keep a training waiting. */
static bv_status verify_data(const training *t) {
    const char *trace = bv_flags_string(t->flags, "trace");
    if (trace) BV_TRY(bv_dataset_check_apart(t->data, t->config.data, trace));
    const uint64_t tokens =
        bv_dataset_tokens(t->data, BV_SPLIT_TRAIN) + bv_dataset_tokens(t->data, BV_SPLIT_VAL);
    return tokens <= VERIFIED_TOKENS ? bv_dataset_verify(t->data) : BV_OK;
}

static bv_status check_text(const training *t) {
    const bv_gpt_config *model = &t->config.settings.model;
    if (model->kneser_ney)
        BV_TRY(bv_kneser_ney_check_count(bv_dataset_tokens(t->data, BV_SPLIT_TRAIN)));
    return bv_dataset_check_context(t->data, model->context);
}

/* With the weights of another run its model comes, too. */
static bv_status begin_settings(training *t, char tokenizer_sha256[BV_SHA256_TEXT_SIZE]) {
    const char *from = bv_flags_string(t->flags, "from");
    bv_settings *s = &t->config.settings;
    *tokenizer_sha256 = 0;
    bv_settings_default(s);
    if (!from) return bv_settings_from_flags(t->flags, s);
    char run[BV_PATH_SIZE];
    int64_t step;
    bv_run_folder_split(from, run, &step);
    bv_run_config *other = bv_malloc(sizeof *other);
    bv_error *error = other ? bv_run_folder_load(run, other) : bv_fail_memory("settings");
    if (!error) {
        *s = other->settings;
        snprintf(tokenizer_sha256, BV_SHA256_TEXT_SIZE, "%s", other->tokenizer_sha256);
        error = bv_settings_from_flags(t->flags, s);
    }
    if (!error) error = bv_settings_same_model(&other->settings, s);
    if (!error) error = bv_origin_find(run, step, &t->config.origin);
    bv_free(other);
    return bv_while(error, "beginning with the weights of %s", from);
}

/* Tokens mean nothing to a model of another tokenizer. */
static bv_status check_tokenizer(const training *t, const char *wanted) {
    if (!*wanted || !strcmp(wanted, t->config.tokenizer_sha256)) return BV_OK;
    const char *run = t->config.origin.run;
    return bv_try(bv_fail(BV_CODE_USAGE, "the tokenizer of the data %s is not that of %s",
                          t->config.data, run),
                  "beaver data prepare TEXT --out DIR --tokenizer %s/tokenizer.json", run);
}

/* What is refused without reading the data comes first. */
static bv_status begin_run(training *t) {
    const char *data = bv_flags_string(t->flags, "data");
    if (!data)
        return bv_try(bv_fail(BV_CODE_USAGE, "--data DIR is missing"),
                      "beaver data prepare TEXT --out DIR; or --resume, for a run that is there");
    if (bv_flags_given(t->flags, "minutes") && bv_settings_flag_given(t->flags, "steps"))
        return bv_fail(BV_CODE_USAGE, "--minutes and --steps exclude each other");
    BV_TRY(bv_run_folder_check_new(t->out));
    char tokenizer_sha256[BV_SHA256_TEXT_SIZE];
    BV_TRY(begin_settings(t, tokenizer_sha256));
    BV_TRY(check_rates(&t->config.settings));
    BV_TRY(bv_dataset_open(data, &t->data));
    BV_TRY(bv_run_config_set_data(&t->config, data));
    BV_TRY(check_tokenizer(t, tokenizer_sha256));
    BV_TRY(fit_vocabulary(t));
    BV_TRY(bv_settings_check(&t->config.settings));
    BV_TRY(check_text(t));
    BV_TRY(check_memory(t));
    BV_TRY(verify_data(t));
    if (bv_flags_given(t->flags, "minutes")) BV_TRY(choose_steps(t));
    BV_TRY(check_disk(t));
    tell_warmup(&t->config.settings);
    t->signal = bv_interrupt_catch();
    return bv_run_folder_create(t->out, &t->config, &t->lock);
}

/* ---- an older run ---- */

/* More steps are only allowed while the schedule has not bent yet. */
static bv_status check_growth(const training *t, const bv_settings *wanted, int64_t done) {
    const bv_settings *kept = &t->config.settings;
    int64_t last;
    if (wanted->steps == kept->steps) return BV_OK;
    const double bend = (1 - kept->decay) * (double)kept->steps;
    const bool straight = kept->schedule == BV_SCHEDULE_CONSTANT ||
                          (kept->schedule == BV_SCHEDULE_WSD && (double)done <= bend);
    if (!straight || wanted->steps < kept->steps)
        return bv_try(
            bv_fail(BV_CODE_USAGE, "the run has steps=%zu, not %zu", kept->steps, wanted->steps),
            "a new run (steps may grow under a constant or not yet decaying schedule): --from %s",
            t->out);
    /* A checkpoint that is there is not written again: it would stay as the old schedule made it.
     */
    BV_TRY(bv_checkpoint_find(t->out, BV_CHECKPOINT_LAST, &last));
    if (last <= done || kept->schedule == BV_SCHEDULE_CONSTANT) return BV_OK;
    return bv_try(bv_fail(BV_CODE_USAGE,
                          "%s has checkpoints after step %lld, which steps=%zu made: more steps "
                          "make others",
                          t->out, (long long)done, kept->steps),
                  "move those after %s/checkpoints/%lld away", t->out, (long long)done);
}

static bv_status compare_flags(training *t, int64_t done) {
    /* Where --minutes chose the number of steps, a preset's does not count. */
    const bool planned = t->config.minutes > 0;
    const bool cut = planned && !bv_settings_flag_given(t->flags, "warmup");
    const char *const free_names[] = {"steps", cut ? "warmup" : NULL, NULL};
    bv_settings *kept = &t->config.settings, wanted = *kept;
    BV_TRY(bv_settings_from_flags(t->flags, &wanted));
    if (wanted.model.vocab_size == 0) wanted.model.vocab_size = kept->model.vocab_size;
    /* What does not fit together is not the run's either, and that is the better word. */
    bv_settings fitted = wanted;
    bv_error *unfit = bv_settings_check(&fitted);
    bv_error *error = bv_settings_same(kept, unfit ? &wanted : &fitted, free_names);
    error = bv_try(error, "--from %s, to train on in a new run", t->out);
    error = bv_first_error(error, unfit);
    if (error) return error;
    const double minutes = bv_flags_double(t->flags, "minutes");
    if (bv_flags_given(t->flags, "minutes") && minutes != t->config.minutes)
        return bv_try(
            bv_fail(BV_CODE_USAGE, "the run has minutes=%g, not %g", t->config.minutes, minutes),
            "without --minutes, or another --out");
    if (planned && !bv_settings_flag_given(t->flags, "steps")) return BV_OK;
    BV_TRY(check_growth(t, &wanted, done));
    kept->steps = wanted.steps;
    return BV_OK;
}

/* The same data may lie elsewhere by now: the run goes on with what --data names. */
static bv_status find_data(training *t) {
    const char *data = bv_flags_string(t->flags, "data");
    if (!data) return BV_OK;
    bv_run_config given = {0};
    BV_TRY(bv_run_config_set_data(&given, data));
    const char *own = t->config.tokenizer_sha256;
    if (*own && strcmp(given.tokenizer_sha256, own) != 0)
        return bv_try(bv_fail(BV_CODE_USAGE,
                              "the tokenizer of the data %s is not the one that the run began with",
                              given.data),
                      "without --data: the run knows its own, %s", t->config.data);
    if (strcmp(given.data_sha256, t->config.data_sha256) != 0)
        return bv_try(
            bv_fail(BV_CODE_USAGE, "the run has the data %s, not %s", t->config.data, given.data),
            "without --data, or a new run that begins with its weights: --from %s", t->out);
    memcpy(t->config.data, given.data, sizeof given.data);
    return BV_OK;
}

static bv_status continue_run(training *t) {
    int64_t done;
    if (bv_flags_given(t->flags, "from"))
        return bv_try(bv_fail(BV_CODE_USAGE, "--from and --resume exclude each other"),
                      "without --from: the run knows where it began");
    BV_TRY(bv_run_folder_check(t->out));
    BV_TRY(bv_run_folder_lock(t->out, &t->lock));
    BV_TRY(bv_run_folder_load(t->out, &t->config)); /* which others change, under their lock */
    BV_TRY(bv_checkpoint_find(t->out, BV_CHECKPOINT_LATEST, &done));
    const bv_run_config old = t->config;
    BV_TRY(compare_flags(t, done));
    BV_TRY(find_data(t));
    BV_TRY(bv_run_config_check_data(&t->config));
    BV_TRY(bv_dataset_open(t->config.data, &t->data));
    if (done < (int64_t)t->config.settings.steps) {
        BV_TRY(check_memory(t));
        BV_TRY(check_disk(t));
    }
    BV_TRY(verify_data(t));
    t->signal = bv_interrupt_catch();
    const bool changed =
        t->config.settings.steps != old.settings.steps || strcmp(t->config.data, old.data) != 0;
    return changed ? bv_run_folder_save(t->out, &t->config) : BV_OK;
}

/* ---- telling ---- */

static void write_error_output(void *context, const char *text, size_t size) {
    (void)context;
    bv_cli_say("%.*s", (int)size, text);
}

static void on_begin(void *context, const bv_step_report *r) {
    training *t = context;
    t->last = *r;
}

static void on_step(void *context, const bv_step_report *r) {
    training *t = context;
    const double rate = r->tokens_per_s;
    t->last = *r;
    t->worked = true;
    bv_progress_step(t->progress, &(bv_progress_state){
                                      .step = r->step,
                                      .loss = r->loss,
                                      .val_loss = r->val_loss,
                                      .tokens_per_s = rate,
                                      .share_of_limit =
                                          t->peak > 0 ? rate * t->flops_per_token / t->peak : NAN});
}

static void on_note(void *context, const char *text) {
    training *t = context;
    bv_progress_note(t->progress, "%s", text);
}

static bv_status begin_progress(training *t) {
    const bv_settings *s = &t->config.settings;
    bv_limits limits;
    if (bv_limits_cached(bv_pool_threads(t->machine.pool), t->machine.kernels->level, &limits))
        t->peak = 1e9 * (s->numerics == BV_NUMERICS_BF16 ? limits.bf16_gflops : limits.f32_gflops);
    t->flops_per_token = 3 * bv_gpt_forward_flops(&s->model);
    bv_cli_say("%s parameters, %s of %s tokens, %s, %s, %s\n",
               bv_human_count((double)bv_gpt_parameter_count(&s->model)).text,
               bv_human_number(s->steps, "step").text,
               bv_human_count((double)(s->batch * s->model.context)).text,
               bv_human_number((size_t)bv_pool_threads(t->machine.pool), "thread").text,
               t->machine.kernels->level, bv_numerics_name(s->numerics));
    const bv_progress_options options = {
        .write = write_error_output, .columns = bv_cli_columns, .total = s->steps};
    return bv_progress_create(&options, &t->progress);
}

static bv_status tell_result(const training *t) {
    const bv_step_report *r = &t->last;
    if (!t->worked)
        bv_cli_say("%s is finished: all %s\n", t->out,
                   bv_human_number(t->config.settings.steps, "step").text);
    else
        bv_cli_say("saved %s\n", t->out);
    bv_cli_say("next: beaver generate %s --prompt TEXT\n", t->out);
    if (!bv_flags_bool(t->flags, "json")) return BV_OK;
    return bv_cli_json(json_pack("{so sI so so so}", "run", bv_cli_path(t->out), "step",
                                 (json_int_t)t->config.settings.steps, "loss",
                                 bv_json_number(r->loss), "val_loss", bv_json_number(r->val_loss),
                                 "tokens_per_s", bv_json_number(r->tokens_per_s)));
}

static bv_status end_of_text(const training *t, uint32_t *token) {
    bv_tokenizer *tokenizer;
    BV_TRY(bv_run_folder_tokenizer(t->out, &t->config, NULL, &tokenizer));
    *token = bv_tokenizer_end_of_text(tokenizer);
    bv_error *error = BV_OK;
    if (bv_tokenizer_vocab_size(tokenizer) != bv_dataset_vocab_size(t->data))
        error = bv_fail(BV_CODE_INPUT, "the tokenizer of %s has %zu tokens, the data %zu", t->out,
                        bv_tokenizer_vocab_size(tokenizer), bv_dataset_vocab_size(t->data));
    bv_tokenizer_destroy(&tokenizer);
    return error;
}

/* A trace that cannot be written is told before the training; one in RUN's own folder only when
 * that has been made. */
static bv_status check_trace(const training *t, bool made) {
    const char *trace = bv_flags_string(t->flags, "trace");
    const size_t length = strlen(t->out);
    const bool inside = trace && !strncmp(trace, t->out, length) && trace[length] == '/';
    const char *config = bv_flags_string(t->flags, "config");
    if (!trace) return BV_OK;
    BV_TRY(bv_run_folder_check_apart(trace, t->out));
    if (config) BV_TRY(bv_file_check_apart(trace, config));
    return made || !inside ? bv_file_check_writable(trace) : BV_OK;
}

static bv_status train(training *t) {
    bv_train_options options;
    BV_TRY(check_trace(t, false));
    BV_TRY(bv_machine_begin(t->flags, &t->machine));
    BV_TRY(bv_flags_bool(t->flags, "resume") ? continue_run(t) : begin_run(t));
    BV_TRY(check_trace(t, true));
    fill_options(t, &options);
    BV_TRY(end_of_text(t, &options.end_of_text));
    BV_TRY(begin_progress(t));
    options.signal = t->signal;
    options.events =
        (bv_train_events){.begin = on_begin, .step = on_step, .note = on_note, .context = t};
    const char *trace = bv_flags_string(t->flags, "trace");
    if (trace) BV_TRY(bv_trace_create(t->machine.pool, BV_TRACE_EVENTS, &t->trace));
    options.trace = t->trace;
    bv_error *error = bv_train(&options);
    bv_progress_finish(&t->progress);
    /* What was interrupted is worth reading, too; the first error is the one to tell. */
    if (trace) error = bv_first_error(error, bv_trace_save(t->trace, trace));
    return error ? error : tell_result(t);
}

static bv_status run(const bv_flags *flags) {
    training *t = bv_calloc(1, sizeof *t);
    if (t) {
        t->flags = flags;
        t->out = bv_flags_string(flags, "out");
    }
    bv_error *error = t ? train(t) : bv_fail_memory("training");
    if (t) {
        bv_dataset_close(&t->data);
        bv_lock_release(&t->lock);
        bv_trace_destroy(&t->trace);
        bv_machine_end(&t->machine);
    }
    bv_free(t);
    return error;
}
