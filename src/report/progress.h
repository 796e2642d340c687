/*
 * The live line of a long computation. On a terminal one line is redrawn in place, at most ten
 * times a second; elsewhere a line is written every few seconds, so that logs stay short. Text goes
 * to the caller's function; nothing is allocated after create. One thread at a time.
 *
 *     step 1,200/5,000  loss 3.214  val 3.301  41k tokens/s  57% of limit  38s left
 */
#ifndef BV_REPORT_PROGRESS_H
#define BV_REPORT_PROGRESS_H

#include "base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct bv_progress_options {
    void (*write)(void *context, const char *text, size_t size);
    void *context;
    size_t (*columns)(void); /* of the terminal, as wide as it is by now; 0, or NULL: it is none */
    double plain_period;     /* seconds between lines elsewhere; 0: 10 */
    uint64_t total;          /* steps at the end; 0: not known */
} bv_progress_options;

/* What is known after a step; NAN where it is not (the line then leaves it out). */
typedef struct bv_progress_state {
    uint64_t step; /* steps done */
    double loss, val_loss, tokens_per_s, share_of_limit;
} bv_progress_state;

typedef struct bv_progress bv_progress;

bv_status bv_progress_create(const bv_progress_options *options, bv_progress **out);
/* Writes the last state where it was not shown yet, ends the line, frees. NULL is legal. */
void bv_progress_finish(bv_progress **progress);

void bv_progress_step(bv_progress *progress, const bv_progress_state *state);
/* A line that stays, above the live one. */
void bv_progress_note(bv_progress *progress, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The line itself, without newline, cut to `columns`. seconds_left: NAN when not known. */
typedef struct bv_progress_text {
    char text[256];
} bv_progress_text;
bv_progress_text bv_progress_line(const bv_progress_state *state, uint64_t total,
                                  double seconds_left, size_t columns);

#endif
