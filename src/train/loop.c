#include "train/loop.h"

#include "base/clock.h"
#include "base/file.h"
#include "train/evaluate.h"
#include "train/metrics.h"
#include "train/rescue.h"
#include <math.h>

/* ---- beginning ---- */

/* Room for the checkpoints that will be there at once, and one in the making. */
static bv_status check_space(bv_session *s) {
    const bv_checkpoint_tensors t = bv_session_tensors(s);
    const double one = (double)bv_gpt_parameter_count(&s->settings->model) * sizeof(float) *
                       (1 + (double)t.state_count / (double)t.parameter_count);
    const double needed = one * (double)(s->settings->keep + 3);
    uint64_t space;
    BV_TRY(bv_file_free_space(s->options->run, &space));
    if ((double)space >= needed) return BV_OK;
    return bv_try(bv_fail(BV_CODE_IO,
                          "%.1f GB are free for %s: %zu checkpoints of %.1f GB need %.1f GB",
                          (double)space / 1e9, s->options->run, s->settings->keep + 3, one / 1e9,
                          needed / 1e9),
                  "--set keep=1, or another disk");
}

static bv_status go_on(bv_session *s) {
    int64_t step;
    BV_TRY(bv_checkpoint_find(s->options->run, BV_CHECKPOINT_LATEST, &step));
    if (step < 0) return BV_OK;
    const bv_checkpoint_tensors tensors = bv_session_tensors(s);
    BV_TRY(bv_checkpoint_read(s->options->run, (uint64_t)step, &tensors, &s->progress));
    bv_gpt_trainer_changed(s->trainer);
    bv_session_note(s, "going on from step %llu", (unsigned long long)s->progress.step);
    return BV_OK;
}

/* ---- one step ---- */

static void report_step(bv_session *s) {
    const bv_train_events *events = &s->options->events;
    s->report.step = s->progress.step;
    s->report.steps = s->settings->steps;
    s->report.val_loss = s->progress.val_loss;
    if (events->step) events->step(events->context, &s->report);
}

static bv_status write_step(bv_session *s) {
    const bv_step_report *r = &s->report;
    return bv_metrics_write(
        s->metrics, json_pack("{sI sf sf sf sI sf}", "step", (json_int_t)s->progress.step, "loss",
                              r->loss, "grad_norm", r->grad_norm, "lr", r->lr, "tokens",
                              (json_int_t)s->progress.tokens, "tokens_per_s", r->tokens_per_s));
}

static bv_status train_step(bv_session *s) {
    double loss, norm;
    const double begin = bv_clock_seconds();
    bv_session_read_batch(s);
    bv_session_gradient(s, &loss, &norm);
    const bv_verdict verdict =
        bv_guard_judge(&s->progress.guard, s->settings->guard_limit, loss, norm);
    if (verdict.bad) return bv_rescue(s, &verdict, loss, norm);
    bv_guard_accept(&s->progress.guard, loss, norm);
    bv_session_apply(s, norm);
    const size_t tokens = s->batch * s->settings->model.context;
    s->progress.step++;
    s->progress.tokens += tokens;
    s->report.loss = loss;
    s->report.grad_norm = norm;
    s->report.lr = s->settings->lr * bv_settings_schedule(s->settings, s->progress.step - 1);
    s->report.tokens_per_s = (double)tokens / (bv_clock_seconds() - begin);
    BV_TRY(write_step(s));
    report_step(s);
    return BV_OK;
}

/* ---- what is due after a step ---- */

static bool is_due(const bv_session *s, size_t every) {
    const uint64_t step = s->progress.step;
    return every && (step % every == 0 || step == s->settings->steps);
}

static bv_status evaluate(bv_session *s) {
    BV_TRY(bv_session_evaluate(s, &s->progress.val_loss));
    if (isnan(s->progress.val_loss)) return BV_OK;
    if (s->progress.step > 0) report_step(s);
    return bv_metrics_write(s->metrics,
                            json_pack("{sI so}", "step", (json_int_t)s->progress.step, "val_loss",
                                      bv_metrics_number(s->progress.val_loss)));
}

static bv_status save(bv_session *s) {
    BV_TRY(bv_session_save(s, true));
    return bv_checkpoint_prune(s->options->run, s->settings->keep);
}

static bv_status stop(bv_session *s, int signal) {
    BV_TRY(bv_session_save(s, false));
    return bv_try(bv_fail_interrupted(signal, "interrupted: saved step %llu of %zu",
                                      (unsigned long long)s->progress.step, s->settings->steps),
                  "beaver train --out %s --resume", s->options->run);
}

static bv_status run(bv_session *s) {
    if (s->progress.step == 0 && s->settings->eval_every) BV_TRY(evaluate(s));
    while (s->progress.step < s->settings->steps) {
        const int signal = s->options->signal ? *s->options->signal : 0;
        if (signal) return stop(s, signal);
        const uint64_t before = s->progress.step;
        BV_TRY(train_step(s));
        if (s->progress.step <= before) continue; /* the guard went back */
        if (is_due(s, s->settings->eval_every)) BV_TRY(evaluate(s));
        const bool last = s->progress.step == s->settings->steps;
        if (last || is_due(s, s->settings->checkpoint_every)) BV_TRY(save(s));
    }
    return BV_OK;
}

bv_status bv_train(const bv_train_options *options) {
    bv_session s;
    BV_TRY(bv_dataset_check_context(options->data, options->settings->model.context));
    BV_TRY(bv_session_create(options, &s));
    bv_error *error = check_space(&s);
    if (!error) error = go_on(&s);
    if (!error) error = bv_session_open_metrics(&s);
    if (!error) error = run(&s);
    bv_session_destroy(&s);
    return error;
}

/* ---- planning by time ---- */

static double time_window(bv_session *s, bv_error **error) {
    double ignored;
    const double begin = bv_clock_seconds();
    const uint64_t tokens = bv_dataset_tokens(s->options->data, BV_SPLIT_VAL);
    const uint64_t windows = tokens / s->settings->model.context + 1;
    *error = bv_session_evaluate(s, &ignored);
    const uint64_t most = s->settings->eval_windows;
    return (bv_clock_seconds() - begin) / (double)(most && most < windows ? most : windows);
}

bv_status bv_train_measure(const bv_train_options *options, double seconds, bv_train_speed *speed) {
    bv_settings few = *options->settings;
    few.eval_windows = few.micro_batch;
    few.batch_ramp = 0;
    bv_train_options scratch = *options;
    scratch.settings = &few;
    bv_session s;
    BV_TRY(bv_dataset_check_context(options->data, few.model.context));
    BV_TRY(bv_session_create(&scratch, &s));
    double loss, norm, begin = bv_clock_seconds();
    const double until = begin + 0.8 * seconds;
    size_t sequences = 0;
    for (int i = 0; i < 2 || bv_clock_seconds() < until; i++) {
        if (i == 1) begin = bv_clock_seconds(); /* the first step warms up and does not count */
        bv_session_read_batch(&s);
        bv_session_gradient(&s, &loss, &norm);
        bv_session_apply(&s, norm);
        if (i > 0) sequences += s.batch;
    }
    speed->seconds_per_sequence = (bv_clock_seconds() - begin) / (double)sequences;
    bv_error *error;
    time_window(&s, &error);
    if (!error) speed->seconds_per_window = time_window(&s, &error);
    bv_session_destroy(&s);
    return error;
}

size_t bv_train_plan_steps(const bv_settings *settings, const bv_dataset *data,
                           const bv_train_speed *speed, double seconds) {
    const uint64_t windows = bv_dataset_tokens(data, BV_SPLIT_VAL) / settings->model.context + 1;
    const double most = settings->eval_windows && settings->eval_windows < windows
                            ? (double)settings->eval_windows
                            : (double)windows;
    const double evaluation = settings->eval_every ? most * speed->seconds_per_window : 0;
    double left = seconds - evaluation;
    size_t steps = 0;
    while (left > 0) {
        left -= (double)bv_settings_batch_at(settings, steps++) * speed->seconds_per_sequence;
        if (settings->eval_every && steps % settings->eval_every == 0) left -= evaluation;
    }
    return steps ? steps : 1;
}
