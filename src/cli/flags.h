/*
 * Flags are tables: one row says all that the parser, the help and the defaults need, so that none
 * of them can drift. A bv_command says all of a subcommand; bv_cli_run (cli.h) parses and runs it:
 *
 *     static const bv_flag flags[] = {
 *         BV_INT_FLAG("steps", "N", 1, 1e9, "2000", "how many steps to train"),
 *         BV_SWITCH_FLAG("resume", "go on with RUN"),
 *     };
 *     static const bv_argument arguments[] = {{.name = "RUN", .help = "the run's folder"}};
 *     static bv_status train(const bv_flags *flags) {
 *         const int64_t steps = bv_flags_int(flags, "steps");
 *         ...
 *     }
 *     const bv_command bv_cmd_train = {
 *         .name = "train", .brief = "train a GPT", .summary = "Trains a model.",
 *         .example = "beaver train ...", BV_ARGUMENTS(arguments), BV_FLAGS(flags),
 *         .threads = BV_THREADS_COMPUTE, .run = train};
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

/* clang-format off */
/* Rows of a table. fallback: NULL for none. A flag of BV_REQUIRED_FLAG is a string. */
#define BV_SWITCH_FLAG(name_, help_) {.name = name_, .help = help_}
#define BV_STRING_FLAG(name_, value_, fallback_, help_)                                            \
    {.name = name_, .value = value_, .type = BV_FLAG_STRING, .fallback = fallback_, .help = help_}
#define BV_REQUIRED_FLAG(name_, value_, help_)                                                     \
    {.name = name_, .value = value_, .type = BV_FLAG_STRING, .required = true, .help = help_}
#define BV_LIST_FLAG(name_, value_, help_)                                                         \
    {.name = name_, .value = value_, .type = BV_FLAG_LIST, .help = help_}
#define BV_INT_FLAG(...) BV_NUMBER_FLAG(BV_FLAG_INT, __VA_ARGS__)
#define BV_DOUBLE_FLAG(...) BV_NUMBER_FLAG(BV_FLAG_DOUBLE, __VA_ARGS__)
#define BV_NUMBER_FLAG(type_, name_, value_, min_, max_, fallback_, help_)                         \
    {.name = name_, .value = value_, .type = type_, .min = min_, .max = max_,                      \
     .fallback = fallback_, .help = help_}
/* clang-format on */

/* What stands without a flag, in order. Optional ones come last; only the last may be repeated. */
typedef struct bv_argument {
    const char *name; /* e.g. "RUN" */
    const char *help;
    bool optional;
    bool repeated;
} bv_argument;

typedef struct bv_flags bv_flags;
typedef struct bv_command bv_command;

struct bv_command {
    const char *name;    /* as typed after "beaver", e.g. "tokenizer train" */
    const char *brief;   /* one line, no full stop, where its group is listed */
    const char *summary; /* some sentences */
    const char *example; /* one or more lines of a shell */
    /* Of a group, which has only these beside what is above. */
    const bv_command *const *subcommands;
    size_t subcommand_count;
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
    bv_status (*run)(const bv_flags *flags); /* NULL: a group */
};

/* Members of a bv_command: a list, and how many it has. */
#define BV_ARGUMENTS(list) .arguments = list, .argument_count = sizeof list / sizeof *list
#define BV_FLAGS(list) .flags = list, .flag_count = sizeof list / sizeof *list
#define BV_SUBCOMMANDS(list) .subcommands = list, .subcommand_count = sizeof list / sizeof *list

#define BV_THREADS_COMPUTE "threads to compute with; 0: one for each usable core"

/* A flag as --help and errors write it: --kv-heads, -n. */
typedef struct bv_flag_spelling {
    char text[64];
} bv_flag_spelling;
bv_flag_spelling bv_flag_spelled(const char *name);

/* All rows: the command's own, then --threads and --json. */
size_t bv_command_flag_count(const bv_command *command);
bv_flag bv_command_flag(const bv_command *command, size_t index);

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
