#include "cli/explain_time.h"

#include "base/clock.h"
#include "base/memory.h"
#include "cli/cli.h"
#include "report/estimate.h"
#include "report/limits_cache.h"
#include "report/step_times.h"
#include "report/units.h"
#include "text/tokenizer.h"
#include "train/rehearsal.h"
#include "train/run_folder.h"

#define LIMITS_SECONDS 0.6
#define MEASURE_SECONDS 1.5 /* at least STEPS_MIN steps, at most STEPS_MAX */
#define STEPS_MIN 3
#define STEPS_MAX 200
#define WARM_UP_STEPS 2
#define ROWS_SHOWN 24

typedef struct measurement {
    const bv_explain_time_options *options;
    const bv_machine_use *use;
    bv_settings settings;
    bv_dataset *data;
    uint32_t end_of_text;
    bv_trace *trace;
    bv_limits limits;
    bv_step_times times;
    size_t steps, tokens;
    double seconds; /* of a step */
} measurement;

/* The run's own data, when it is still there. */
static bv_status open_data(measurement *m) {
    bv_run_config config;
    m->end_of_text = UINT32_MAX;
    if (!m->options->run) return BV_OK;
    BV_TRY(bv_run_folder_load(m->options->run, &config));
    bv_error *error = bv_dataset_open(config.data, &m->data);
    if (error) {
        bv_cli_say("random tokens, since the run's data is gone: %s\n", bv_error_text(error));
        bv_error_free(&error);
        return BV_OK;
    }
    if (m->options->trace) BV_TRY(bv_dataset_check_apart(m->data, config.data, m->options->trace));
    bv_tokenizer *tokenizer;
    BV_TRY(bv_run_folder_tokenizer(m->options->run, &config, NULL, &tokenizer));
    m->end_of_text = bv_tokenizer_end_of_text(tokenizer);
    bv_tokenizer_destroy(&tokenizer);
    return BV_OK;
}

static void run_steps(measurement *m, bv_rehearsal *rehearsal) {
    for (int i = 0; i < WARM_UP_STEPS; i++) bv_rehearsal_step(rehearsal, &m->tokens);
    bv_trace_reset(m->trace);
    const double until = bv_clock_seconds() + MEASURE_SECONDS;
    double sum = 0;
    while (m->steps < STEPS_MIN || (m->steps < STEPS_MAX && bv_clock_seconds() < until)) {
        sum += bv_rehearsal_step(rehearsal, &m->tokens);
        m->steps++;
    }
    m->seconds = sum / (double)m->steps;
}

static bv_status measure(measurement *m) {
    bv_estimate estimate;
    BV_TRY(open_data(m));
    const uint64_t text = m->data ? bv_dataset_tokens(m->data, BV_SPLIT_TRAIN) : 0;
    BV_TRY(bv_estimate_memory(&m->settings, text, m->use->kernels, m->use->pool, &estimate));
    BV_TRY(bv_estimate_fits(&estimate, "running a few steps"));
    BV_TRY(bv_trace_create(m->use->pool, m->options->trace ? BV_TRACE_EVENTS : 0, &m->trace));
    const bv_train_options options = {.settings = &m->settings,
                                      .data = m->data,
                                      .end_of_text = m->end_of_text,
                                      .kernels = m->use->kernels,
                                      .pool = m->use->pool,
                                      .trace = m->trace};
    bv_rehearsal *rehearsal;
    BV_TRY(bv_rehearsal_create(&options, &rehearsal));
    run_steps(m, rehearsal);
    bv_rehearsal_destroy(&rehearsal);
    BV_TRY(bv_limits_measure(m->use->kernels, m->use->pool, LIMITS_SECONDS, &m->limits));
    return bv_step_times_make(m->trace, &m->limits, m->settings.numerics == BV_NUMERICS_BF16,
                              m->steps, &m->times);
}

/* ---- telling ---- */

static bv_status tell(const measurement *m) {
    const bv_step_times *t = &m->times;
    bv_buffer line = {0};
    bv_cli_say("measured    %s of %zu tokens (%zu x %zu, %s) on %s: %.2f ms a step, "
               "%s of the limits\n",
               bv_human_number(m->steps, "step").text, m->tokens, m->settings.batch,
               m->settings.model.context, bv_numerics_name(m->settings.numerics),
               bv_human_number((size_t)bv_pool_threads(m->use->pool), "thread").text,
               1e3 * m->seconds, bv_human_share(t->limit_seconds / m->seconds).text);
    bv_cli_say("limits      %s\n%s\n", bv_limits_text(&m->limits).text, bv_step_time_head);
    double shown = 0;
    bv_error *error = NULL;
    const size_t rows = t->group_count < ROWS_SHOWN ? t->group_count : ROWS_SHOWN;
    for (size_t i = 0; !error && i < rows; i++) {
        error = bv_step_time_line(&t->groups[i], m->seconds, &line);
        if (!error) bv_cli_say("%s\n", line.data);
        bv_buffer_clear(&line);
        shown += t->groups[i].seconds;
    }
    bv_buffer_free(&line);
    if (error) return error;
    if (t->group_count > rows)
        bv_cli_say("%10s  %7.2f ms  %zu more kinds\n", "", 1e3 * (t->seconds - shown),
                   t->group_count - rows);
    bv_cli_say("%10s  %7.2f ms  between the steps\n", "", 1e3 * (m->seconds - t->seconds));
    return BV_OK;
}

static json_t *rows_of(const bv_step_time *list, size_t count) {
    json_t *rows = json_array();
    for (size_t i = 0; i < count; i++) json_array_append_new(rows, bv_step_time_json(&list[i]));
    return rows;
}

static json_t *json_of(const measurement *m) {
    return json_pack("{sI sI sI sf sf sf si ss s{sf sf sf} so so}", "steps_measured",
                     (json_int_t)m->steps, "batch", (json_int_t)m->settings.batch, "context",
                     (json_int_t)m->settings.model.context, "ms_per_step", 1e3 * m->seconds,
                     "tokens_per_s", (double)m->tokens / m->seconds, "share_of_limit",
                     m->times.limit_seconds / m->seconds, "threads", bv_pool_threads(m->use->pool),
                     "level", m->use->kernels->level, "limits", "f32_gflops", m->limits.f32_gflops,
                     "bf16_gflops", m->limits.bf16_gflops, "read_gbps", m->limits.read_gbps,
                     "groups", rows_of(m->times.groups, m->times.group_count), "steps",
                     rows_of(m->times.steps, m->times.step_count));
}

bv_status bv_trace_save(const bv_trace *trace, const char *path) {
    size_t steps;
    const size_t dropped = bv_trace_dropped(trace, &steps);
    BV_TRY(bv_trace_write(trace, path));
    bv_cli_say("trace       %s (%s%s): open it at https://ui.perfetto.dev\n", path,
               bv_human_number(steps, "step").text, dropped ? ", then its room was full" : "");
    return BV_OK;
}

bv_status bv_explain_time(const bv_machine_use *use, const bv_explain_time_options *options,
                          json_t **out) {
    *out = NULL;
    measurement *m = bv_calloc(1, sizeof *m);
    if (!m) return bv_fail_memory("a measurement");
    m->options = options;
    m->use = use;
    m->settings = *options->settings;
    bv_rehearsal_shorten(&m->settings);
    bv_error *error = bv_settings_check(&m->settings);
    if (!error) error = measure(m);
    if (!error) error = tell(m);
    if (!error && options->trace) error = bv_trace_save(m->trace, options->trace);
    if (!error) *out = json_of(m);
    bv_step_times_free(&m->times);
    bv_dataset_close(&m->data);
    bv_trace_destroy(&m->trace);
    bv_free(m);
    return error;
}
