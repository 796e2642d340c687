#include "report/progress.h"

#include "base/clock.h"
#include "base/memory.h"
#include "report/units.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LIVE_PERIOD 0.1
#define RATE_SECONDS 10.0 /* the time left follows the rate of about this long */

struct bv_progress {
    bv_progress_options options;
    bv_progress_state state;
    double shown_at;
    bool pending; /* the state has not been shown */
    bool terminal;
    bool live; /* a live line stands on it */
    /* the rate of steps, an average that forgets */
    double rate_at;
    uint64_t rate_step;      /* 0: no step was told yet */
    double seconds_per_step; /* NAN at first */
};

bv_status bv_progress_create(const bv_progress_options *options, bv_progress **out) {
    bv_progress *p = bv_calloc(1, sizeof *p);
    if (!p) return bv_fail_memory("progress");
    p->options = *options;
    if (!(p->options.plain_period > 0)) p->options.plain_period = 10;
    p->terminal = options->columns && options->columns() > 0;
    p->shown_at = -INFINITY;
    p->seconds_per_step = NAN;
    *out = p;
    return BV_OK;
}

/* 1234567 as 1,234,567. */
static bv_human grouped(uint64_t number) {
    char digits[24];
    const int length = snprintf(digits, sizeof digits, "%llu", (unsigned long long)number);
    bv_human h;
    size_t at = 0;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0) h.text[at++] = ',';
        h.text[at++] = digits[i];
    }
    h.text[at] = 0;
    return h;
}

static void add(bv_progress_text *line, size_t columns, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Appends a part, or nothing when it does not fit whole. */
static void add(bv_progress_text *line, size_t columns, const char *format, ...) {
    char part[96];
    va_list list;
    va_start(list, format);
    const int length = vsnprintf(part, sizeof part, format, list);
    va_end(list);
    const size_t used = strlen(line->text);
    const size_t room = columns < sizeof line->text - 1 ? columns : sizeof line->text - 1;
    if (length <= 0 || (size_t)length >= sizeof part || used + (size_t)length > room) return;
    memcpy(line->text + used, part, (size_t)length + 1);
}

bv_progress_text bv_progress_line(const bv_progress_state *s, uint64_t total, double seconds_left,
                                  size_t columns) {
    bv_progress_text line = {{0}};
    add(&line, columns, "step %s", grouped(s->step).text);
    if (total) add(&line, columns, "/%s", grouped(total).text);
    if (!isnan(s->loss)) add(&line, columns, "  loss %.3f", s->loss);
    if (!isnan(s->val_loss)) add(&line, columns, "  val %.3f", s->val_loss);
    if (!isnan(s->tokens_per_s))
        add(&line, columns, "  %s tokens/s", bv_human_count(s->tokens_per_s).text);
    if (!isnan(s->share_of_limit))
        add(&line, columns, "  %s of limit", bv_human_share(s->share_of_limit).text);
    if (!isnan(seconds_left)) add(&line, columns, "  %s left", bv_human_time(seconds_left).text);
    return line;
}

static void put(bv_progress *p, const char *text) {
    p->options.write(p->options.context, text, strlen(text));
}

static void show(bv_progress *p, double now) {
    const uint64_t left = p->options.total > p->state.step ? p->options.total - p->state.step : 0;
    const double seconds = (double)left * p->seconds_per_step; /* NAN stays */
    /* A line that wraps cannot be redrawn, and a terminal's width changes. */
    const size_t columns = p->terminal ? p->options.columns() : 0;
    const bv_progress_text line = bv_progress_line(
        &p->state, p->options.total, left ? seconds : NAN, columns ? columns - 1 : 200);
    char whole[sizeof line.text + 16];
    /* Back to the first column, the text, and erase what the older line had beyond it. */
    if (p->terminal)
        snprintf(whole, sizeof whole, "\r%s\033[K", line.text);
    else
        snprintf(whole, sizeof whole, "%s\n", line.text);
    put(p, whole);
    p->live = p->terminal;
    p->pending = false;
    p->shown_at = now;
}

static void follow_rate(bv_progress *p, double now) {
    /* What came before the first step (an evaluation) is no part of the rate. */
    if (p->rate_step == 0) {
        p->rate_at = now;
        p->rate_step = p->state.step;
    }
    const double passed = now - p->rate_at;
    if (passed < LIVE_PERIOD || p->state.step <= p->rate_step) return;
    const double fresh = passed / (double)(p->state.step - p->rate_step);
    const double weight = passed < RATE_SECONDS ? passed / RATE_SECONDS : 1;
    const double old = p->seconds_per_step;
    p->seconds_per_step = isnan(old) ? fresh : old + (fresh - old) * weight;
    p->rate_at = now;
    p->rate_step = p->state.step;
}

void bv_progress_step(bv_progress *p, const bv_progress_state *state) {
    const double now = bv_clock_seconds();
    p->state = *state;
    p->pending = true;
    follow_rate(p, now);
    const double period = p->terminal ? LIVE_PERIOD : p->options.plain_period;
    if (now - p->shown_at >= period) show(p, now);
}

void bv_progress_note(bv_progress *p, const char *format, ...) {
    char text[1024];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (p->live) put(p, "\r\033[K");
    put(p, text);
    put(p, "\n");
    if (p->live) show(p, bv_clock_seconds());
}

void bv_progress_finish(bv_progress **progress) {
    bv_progress *p = *progress;
    if (!p) return;
    if (p->pending) show(p, bv_clock_seconds());
    if (p->live) put(p, "\n");
    bv_free(p);
    *progress = NULL;
}
