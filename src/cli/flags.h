/*
 * Flags are tables: one row says all that the parser, the help and the defaults need, so that none
 * of them can drift. A subcommand is described by a bv_command and parsed by bv_flags_parse:
 *
 *     static const bv_flag flags[] = {
 *         {.name = "steps", .value = "N", .type = BV_FLAG_INT, .min = 1, .max = 1e9,
 *          .fallback = "2000", .help = "how many steps to train"},
 *         {.name = "resume", .help = "go on with RUN"},
 *     };
 *     static const bv_argument arguments[] = {{.name = "RUN", .help = "the run's folder"}};
 *     static const bv_command command = {
 *         .name = "train", .summary = "Trains a model.", .example = "beaver train ...",
 *         .arguments = arguments, .argument_count = 1, .flags = flags, .flag_count = 2,
 *         .threads = BV_THREADS_COMPUTE};
 *
 *     bv_status bv_cmd_train(int argc, char **argv) {
 *         bv_flags *flags;
 *         BV_TRY(bv_flags_parse(&command, argc, argv, &flags));
 *         if (!flags) return BV_OK; // --help was printed
 *         const int64_t steps = bv_flags_int(flags, "steps");
 *         ...
 *         bv_flags_free(&flags);
 *
 * Every command has --threads besides, and --json if it prints results: no table names them.
 *
 * Accepted: --flag value, --flag=value, -n value for names of one letter, switches alone, -h and
 * --help, and -- before arguments that begin with a dash. What is wrong is BV_CODE_USAGE, with a
 * suggestion where one is near. Asking for a flag that is not in the table, or by the wrong type,
 * is our own mistake (an assertion).
 */
#ifndef BV_CLI_FLAGS_H
#define BV_CLI_FLAGS_H

#include "base/buffer.h"
#include "base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum bv_flag_type {
    BV_FLAG_SWITCH = 0, /* no value */
    BV_FLAG_STRING,
    BV_FLAG_INT,
    BV_FLAG_DOUBLE,
    BV_FLAG_LIST, /* a string, as often as wanted */
} bv_flag_type;

typedef struct bv_flag {
    const char *name;  /* without dashes */
    const char *value; /* what stands for the value in the help, e.g. "N"; NULL for a switch */
    bv_flag_type type;
    bool required;
    double min, max;      /* of numbers, both legal; both 0: no limits */
    const char *fallback; /* value when the flag is absent, shown in the help; NULL: none */
    const char *help;     /* NULL: --help does not list it */
} bv_flag;

/* What stands without a flag, in order. Optional ones come last; only the last may be repeated. */
typedef struct bv_argument {
    const char *name; /* e.g. "RUN" */
    const char *help;
    bool optional;
    bool repeated;
} bv_argument;

typedef struct bv_command {
    const char *name;    /* as typed after "beaver", e.g. "tokenizer train" */
    const char *summary; /* some sentences */
    const char *example; /* one or more lines of a shell */
    const bv_argument *arguments;
    size_t argument_count;
    const bv_flag *flags; /* its own: bv_command_flag adds what all have */
    size_t flag_count;
    /* For the help: what stands where a flag without a fallback is not typed. False: nothing. NULL:
     * nothing for any flag. */
    bool (*otherwise)(const char *flag, char text[64]);
    const char
        *threads;    /* what --threads counts here; NULL: it is taken, and one thread does all */
    bool no_results; /* it prints none, so there is no --json */
} bv_command;

#define BV_THREADS_COMPUTE "threads to compute with; 0: one for each usable core"

/* A flag as --help and errors write it: --kv-heads, -n. */
typedef struct bv_flag_spelling {
    char text[64];
} bv_flag_spelling;
bv_flag_spelling bv_flag_spelled(const char *name);

/* All rows: the command's own, then --threads and --json. */
size_t bv_command_flag_count(const bv_command *command);
bv_flag bv_command_flag(const bv_command *command, size_t index);

typedef struct bv_flags bv_flags;

/* argv[0] is the subcommand's own (last) name. The strings of argv must outlive the flags. With
 * --help, prints the help on standard output and sets *out to NULL. */
bv_status bv_flags_parse(const bv_command *command, int argc, char **argv, bv_flags **out);
void bv_flags_free(bv_flags **flags); /* NULL is legal */

bool bv_flags_given(const bv_flags *flags, const char *name);         /* typed by the user? */
bool bv_flags_bool(const bv_flags *flags, const char *name);          /* of a switch        */
const char *bv_flags_string(const bv_flags *flags, const char *name); /* NULL: no value    */
int64_t bv_flags_int(const bv_flags *flags, const char *name);        /* 0 without a value  */
double bv_flags_double(const bv_flags *flags, const char *name);      /* 0 without a value  */
const char *const *bv_flags_list(const bv_flags *flags, const char *name, size_t *count);

const char *const *bv_flags_arguments(const bv_flags *flags, size_t *count);
const char *bv_flags_argument(const bv_flags *flags, size_t index); /* NULL beyond the last */

/* Appends what --help prints. */
void bv_flags_help(const bv_command *command, bv_buffer *out);
/* Words, from `column` on, in lines of 80 columns, all but the first indented; ends the last line.
 */
void bv_help_wrap(const char *text, size_t column, size_t indent, bv_buffer *out);
/* The last part of --help: the lines of an example, indented. */
void bv_help_example(const char *example, bv_buffer *out);

#endif
