/* beaver explain --time and --trace: where the time of a training step goes on this machine. */
#ifndef BV_CLI_EXPLAIN_TIME_H
#define BV_CLI_EXPLAIN_TIME_H

#include "base/json.h"
#include "cli/machine_flags.h"
#include "tensor/trace.h"
#include "train/settings.h"

/* Whole training steps of each thread's row that a trace has room for, about. */
#define BV_TRACE_EVENTS 100000

typedef struct bv_explain_time_options {
    const bv_settings *settings; /* checked */
    const char *run;             /* the run whose data is read, or NULL: random tokens */
    const char *trace;           /* file of the trace, or NULL */
} bv_explain_time_options;

/* Runs a few steps on a scratch copy and prints the table; *out: the same for --json. */
bv_status bv_explain_time(const bv_machine_use *use, const bv_explain_time_options *options,
                          json_t **out);

/* Writes the trace and says how much of it found room. */
bv_status bv_trace_save(const bv_trace *trace, const char *path);

#endif
