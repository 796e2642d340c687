#include "cli/live_line.h"

#include "base/clock.h"
#include "cli/cli.h"
#include <stdarg.h>
#include <stdio.h>

#define TERMINAL_SECONDS 0.2
#define PLAIN_SECONDS 10

bv_live_line bv_live_line_begin(void) {
    return (bv_live_line){.said = bv_clock_seconds()};
}

bool bv_live_line_due(const bv_live_line *line) {
    const double period = bv_cli_columns() ? TERMINAL_SECONDS : PLAIN_SECONDS;
    return bv_clock_seconds() - line->said >= period;
}

void bv_live_line_say(bv_live_line *line, const char *format, ...) {
    char text[200];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    const size_t columns = bv_cli_columns();
    if (columns && columns < sizeof text) text[columns - 1] = 0; /* what wraps stays behind */
    line->standing = columns;
    bv_cli_say(columns ? "\r%s\033[K" : "%s\n", text);
    line->said = bv_clock_seconds();
}

void bv_live_line_end(bv_live_line *line) {
    if (line->standing) bv_cli_say("\r\033[K");
    line->standing = false;
}
