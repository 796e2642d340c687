/*
 * How far long work is, on standard error: on a terminal a line that is redrawn in place, at most
 * five times a second; elsewhere a line every ten seconds. Short work says nothing. One thread at a
 * time. (Steps of a training have a line of their own, report/progress.h.)
 */
#ifndef BV_CLI_LIVE_LINE_H
#define BV_CLI_LIVE_LINE_H

#include <stdbool.h>

typedef struct bv_live_line {
    double said;   /* when; at first when the work began */
    bool standing; /* there is a line on the terminal */
} bv_live_line;

bv_live_line bv_live_line_begin(void);
/* Is it time to say something? */
bool bv_live_line_due(const bv_live_line *line);
void bv_live_line_say(bv_live_line *line, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Takes it away: what is said next stands in its place. */
void bv_live_line_end(bv_live_line *line);

#endif
