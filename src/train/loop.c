#include "train/loop.h"

#include "base/clock.h"
#include "train/metrics.h"
#include "train/rescue.h"
#include <math.h>
#include <string.h>

/* ---- beginning ---- */

/* The weights of the seed are there already. */
static bv_status begin(bv_session *s) {
    const bv_origin *origin = s->options->origin;
    if (origin) {
        BV_TRY(bv_session_begin(s));
        bv_session_note(s, "beginning with the weights of %s, step %llu", origin->run,
                        (unsigned long long)origin->step);
    }
    return bv_session_open_metrics(s);
}

static bv_status go_on(bv_session *s) {
    int64_t step;
    BV_TRY(bv_checkpoint_find(s->options->run, BV_CHECKPOINT_LATEST, &step));
    if (step < 0) return begin(s);
    const bv_checkpoint_tensors tensors = bv_session_tensors(s);
    BV_TRY(bv_checkpoint_read(s->options->run, (uint64_t)step, &tensors, &s->progress));
    bv_gpt_trainer_changed(s->trainer);
    BV_TRY(bv_checkpoint_mend_latest(s->options->run, (uint64_t)step));
    BV_TRY(bv_session_open_metrics(s));
    if (s->progress.due || s->progress.step < s->settings->steps)
        bv_session_note(s, "going on from step %llu", (unsigned long long)s->progress.step);
    return BV_OK;
}

/* ---- one step ---- */

static void report(bv_session *s, void (*event)(void *context, const bv_step_report *report)) {
    s->report.step = s->progress.step;
    s->report.steps = s->settings->steps;
    s->report.val_loss = s->progress.val_loss;
    if (event) event(s->options->events.context, &s->report);
}

static void report_step(bv_session *s) {
    report(s, s->options->events.step);
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
    const uint64_t sequence = s->progress.sequence;
    bv_session_read_batch(s);
    if (s->options->data) BV_TRY(bv_dataset_check(s->options->data));
    if (!bv_session_gradient(s, s->options->signal, &loss, &norm)) {
        s->progress.sequence = sequence; /* the step was not made */
        return BV_OK;
    }
    const bv_verdict verdict =
        bv_guard_judge(&s->progress.guard, s->settings->guard_limit, loss, norm);
    if (verdict.bad) return bv_rescue(s, &verdict, loss, norm);
    bv_guard_accept(&s->progress.guard, loss, norm);
    bv_session_apply(s, norm);
    const size_t tokens = s->batch * s->settings->model.context;
    s->progress.step++;
    s->progress.due = true;
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

static int signal_of(const bv_session *s) {
    return s->options->signal ? *s->options->signal : 0;
}

/* whole: false when a signal stopped it. */
static bv_status evaluate(bv_session *s, bool *whole) {
    double loss;
    BV_TRY(bv_session_evaluate(s, &loss));
    *whole = !isnan(loss) || !signal_of(s);
    if (isnan(loss)) return BV_OK;
    s->progress.val_loss = loss;
    s->progress.val_step = s->progress.step;
    if (s->progress.step > 0) report_step(s);
    return bv_metrics_write(s->metrics, json_pack("{sI so}", "step", (json_int_t)s->progress.step,
                                                  "val_loss", bv_json_number(loss)));
}

/* An old checkpoint that cannot be removed ends no training: it is tried again at the next one. */
static bv_status save(bv_session *s, bool regular) {
    BV_TRY(bv_session_save(s, regular));
    bv_error *error = bv_checkpoint_prune(s->options->run, s->settings->keep);
    const char *text = bv_error_text(error);
    if (error) bv_session_note(s, "old checkpoints stay: %.*s", (int)strcspn(text, "\n"), text);
    bv_error_free(&error);
    return BV_OK;
}

/* After a step, and before the first: its evaluation and its checkpoint. A signal before leaves
 * them due. The beginning needs no checkpoint. */
static bv_status finish_step(bv_session *s) {
    if (is_due(s, s->settings->eval_every)) {
        bool whole;
        BV_TRY(evaluate(s, &whole));
        if (!whole) return BV_OK;
    }
    s->progress.due = false;
    const bool last = s->progress.step == s->settings->steps;
    if (s->progress.step == 0) return BV_OK;
    if (!last && !is_due(s, s->settings->checkpoint_every)) return BV_OK;
    return save(s, true);
}

static bv_status stop(bv_session *s, int signal) {
    BV_TRY(save(s, false));
    return bv_try(bv_fail_interrupted(signal, "interrupted: saved step %llu of %zu",
                                      (unsigned long long)s->progress.step, s->settings->steps),
                  "beaver train --out %s --resume", s->options->run);
}

static bv_status run(bv_session *s) {
    report(s, s->options->events.begin);
    while (s->progress.due || s->progress.step < s->settings->steps) {
        const int signal = signal_of(s);
        if (signal) return stop(s, signal);
        BV_TRY(s->progress.due ? finish_step(s) : train_step(s));
    }
    return BV_OK;
}

bv_status bv_train(const bv_train_options *options) {
    bv_session s;
    BV_TRY(bv_dataset_check_context(options->data, options->settings->model.context));
    BV_TRY(bv_session_create(options, &s));
    bv_error *error = bv_dir_hold(options->run, &s.folder);
    if (!error) error = go_on(&s);
    if (!error) error = run(&s);
    bv_session_destroy(&s);
    return error;
}
