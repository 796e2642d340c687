#include "cli/flags.h"

#include "base/memory.h"
#include "base/text.h"
#include "cli/cli.h"
#include "kernel/kernel.h"
#include "train/settings.h"
#include <stdio.h>
#include <string.h>

/* ---- the rows of a command ---- */

size_t bv_command_flag_count(const bv_command *command) {
    return command->flag_count + (command->no_results ? 1 : 2);
}

bv_flag bv_command_flag(const bv_command *command, size_t index) {
    if (index < command->flag_count) return command->flags[index];
    if (index > command->flag_count)
        return (bv_flag)BV_SWITCH_FLAG("json", "print one line of JSON");
    const char *help = command->threads;
    if (!help) help = "taken, as by every command: here one thread does all";
    return (bv_flag)BV_INT_FLAG("threads", "N", 0, 1024, command->threads ? "0" : NULL, help);
}

bv_flag_spelling bv_flag_spelled(const char *name) {
    bv_flag_spelling s;
    snprintf(s.text, sizeof s.text, "%s%s", name[1] ? "--" : "-", name);
    for (char *c = s.text; *c; c++)
        if (*c == '_') *c = '-'; /* settings have underscores */
    return s;
}

/* What the user typed for one row of the table; `values` grows for lists only. */
typedef struct typed {
    const char **values;
    size_t count;
} typed;

struct bv_flags {
    const bv_command *command;
    typed *typed; /* one a row */
    const char **arguments;
    size_t argument_count;
};

void bv_flags_free(bv_flags **flags) {
    bv_flags *f = *flags;
    if (!f) return;
    for (size_t i = 0; f->typed && i < bv_command_flag_count(f->command); i++)
        bv_free(f->typed[i].values);
    bv_free(f->typed);
    bv_free(f->arguments);
    bv_free(f);
    *flags = NULL;
}

static bv_status append(const char ***values, size_t *count, const char *value) {
    const char **larger = bv_realloc(*values, (*count + 1) * sizeof **values);
    if (!larger) return bv_fail_memory("flags");
    larger[(*count)++] = value;
    *values = larger;
    return BV_OK;
}

/* ---- parsing ---- */

static bv_status see_help(const bv_command *command, bv_error *error) {
    return bv_try(error, "beaver %s --help", command->name);
}

static const char *one_of(const char *const *names, size_t count, const char *name) {
    for (size_t i = 0; name && i < count; i++)
        if (!strcmp(names[i], name)) return names[i];
    return NULL;
}

/* The one of the names that nanoGPT, llama.cpp and others call so, or NULL. */
static const char *known_elsewhere(const char *flag, const char *const *names, size_t count) {
    static const char *const elsewhere[][2] = {
        {"max_new_tokens", "tokens"}, {"max_tokens", "tokens"}, {"n_predict", "tokens"},
        {"num_samples", "n"},         {"start", "prompt"},      {"dataset", "data"},
        {"out_dir", "out"},           {"output_dir", "out"},    {"init_from", "from"},
        {"vocab_size", "vocab"},
    };
    char key[64];
    snprintf(key, sizeof key, "%s", flag);
    for (char *c = key; *c; c++) *c = (char)(*c == '-' ? '_' : *c);
    const char *here = one_of(names, count, bv_settings_name_here(key));
    for (size_t i = 0; !here && i < sizeof elsewhere / sizeof *elsewhere; i++)
        if (!strcmp(elsewhere[i][0], key)) here = one_of(names, count, elsewhere[i][1]);
    return here;
}

static bv_status unknown(const bv_command *command, const char *word, size_t length) {
    const char *names[128];
    size_t count = 0;
    for (; count < bv_command_flag_count(command) && count < 127; count++)
        names[count] = bv_command_flag(command, count).name;
    names[count++] = "help";
    char name[64];
    const char *bare = word + strspn(word, "-");
    snprintf(name, sizeof name, "%.*s", (int)(length - (size_t)(bare - word)), bare);
    bv_error *error = bv_fail(BV_CODE_USAGE, "unknown flag %.*s", (int)length, word);
    const char *near = known_elsewhere(name, names, count);
    if (!near) near = bv_suggest(name, names, count);
    return near ? bv_try(error, "%s", bv_flag_spelled(near).text) : see_help(command, error);
}

static bv_status check_value(const bv_flag *flag, const char *value) {
    const bool limited = flag->min != 0 || flag->max != 0;
    const bv_flag_spelling what = bv_flag_spelled(flag->name);
    if (flag->type == BV_FLAG_INT) {
        int64_t ignored;
        return bv_parse_int(what.text, value, limited ? (int64_t)flag->min : INT64_MIN,
                            limited ? (int64_t)flag->max : INT64_MAX, &ignored);
    }
    if (flag->type == BV_FLAG_DOUBLE) {
        double ignored;
        return bv_parse_double(what.text, value, limited ? flag->min : -1e308,
                               limited ? flag->max : 1e308, &ignored);
    }
    if (flag->required && !*value)
        return bv_fail(BV_CODE_USAGE, "%s %s is empty", what.text, flag->value);
    return BV_OK;
}

/* Stores one flag; `value` is NULL when none followed. */
static bv_status store(bv_flags *f, size_t row, const char *value) {
    const bv_flag row_flag = bv_command_flag(f->command, row), *flag = &row_flag;
    const bv_flag_spelling name = bv_flag_spelled(flag->name);
    typed *t = &f->typed[row];
    if (flag->type == BV_FLAG_SWITCH) {
        if (value)
            return see_help(f->command, bv_fail(BV_CODE_USAGE, "%s takes no value", name.text));
        t->count = 1;
        return BV_OK;
    }
    if (!value)
        return bv_try(bv_fail(BV_CODE_USAGE, "%s needs a value", name.text), "%s=%s", name.text,
                      flag->value);
    if (t->count > 0 && flag->type != BV_FLAG_LIST)
        return bv_fail(BV_CODE_USAGE, "%s is given twice: %s and %s", name.text, t->values[0],
                       value);
    BV_TRY(check_value(flag, value));
    return append(&t->values, &t->count, value);
}

/* Does the word begin with the name? A dash and an underscore are one: settings have underscores.
 */
static bool same_name(const char *name, const char *word) {
    for (; *name; name++, word++) {
        const char c = *word == '-' ? '_' : *word;
        if (c != (*name == '-' ? '_' : *name)) return false;
    }
    return true;
}

/* One flag at argv[*at]; moves *at past what it took. */
static bv_status parse_flag(bv_flags *f, int argc, char **argv, int *at) {
    const char *word = argv[(*at)++];
    const char *equals = strchr(word, '=');
    const size_t length = equals ? (size_t)(equals - word) : strlen(word);
    const size_t count = bv_command_flag_count(f->command);
    size_t row = count;
    const size_t dashes = word[1] == '-' ? 2 : 1;
    for (size_t i = 0; length > dashes && i < count; i++) {
        const char *name = bv_command_flag(f->command, i).name;
        if (dashes == 1 && length != 2) break; /* one dash: one letter */
        if (strlen(name) == length - dashes && same_name(name, word + dashes)) row = i;
    }
    if (row == count) return unknown(f->command, word, length);
    if (equals) return store(f, row, equals + 1);
    if (bv_command_flag(f->command, row).type == BV_FLAG_SWITCH) return store(f, row, NULL);
    const char *next = *at < argc ? argv[*at] : NULL;
    const bool is_flag = next && !strncmp(next, "--", 2);
    if (!next || is_flag) return store(f, row, NULL);
    (*at)++;
    return store(f, row, next);
}

static bv_status parse_all(bv_flags *f, int argc, char **argv) {
    bool only_arguments = false;
    for (int at = 1; at < argc;) {
        const char *word = argv[at];
        if (only_arguments || word[0] != '-' || !word[1]) {
            BV_TRY(append(&f->arguments, &f->argument_count, word));
            at++;
        } else if (!strcmp(word, "--")) {
            only_arguments = true;
            at++;
        } else {
            BV_TRY(parse_flag(f, argc, argv, &at));
        }
    }
    return BV_OK;
}

static bv_status check_complete(const bv_flags *f) {
    const bv_command *c = f->command;
    for (size_t i = f->argument_count; i < c->argument_count; i++)
        if (!c->arguments[i].optional)
            return see_help(c, bv_fail(BV_CODE_USAGE, "%s is missing", c->arguments[i].name));
    const bool more = c->argument_count && c->arguments[c->argument_count - 1].repeated;
    if (f->argument_count > c->argument_count && !more)
        return see_help(c, bv_fail(BV_CODE_USAGE, "unexpected argument \"%s\"",
                                   f->arguments[c->argument_count]));
    for (size_t i = 0; i < c->flag_count; i++)
        if (c->flags[i].required && f->typed[i].count == 0)
            return see_help(c, bv_fail(BV_CODE_USAGE, "--%s %s is missing", c->flags[i].name,
                                       c->flags[i].value));
    return BV_OK;
}

static bool asks_for_help(int argc, char **argv) {
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) return true;
    return false;
}

static bv_status print_help(const bv_command *command) {
    bv_buffer text = {0};
    bv_flags_help(command, &text);
    bv_error *error = bv_buffer_error(&text);
    if (!error) error = bv_cli_print(text.data, text.size);
    bv_buffer_free(&text);
    return error;
}

bv_status bv_flags_parse(const bv_command *command, int argc, char **argv, bv_flags **out) {
    *out = NULL;
    if (asks_for_help(argc, argv)) return print_help(command);
    bv_flags *f = bv_calloc(1, sizeof *f);
    if (!f) return bv_fail_memory("flags");
    f->command = command;
    f->typed = bv_calloc(bv_command_flag_count(command), sizeof *f->typed);
    bv_error *error = f->typed ? BV_OK : bv_fail_memory("flags");
    if (!error) error = parse_all(f, argc, argv);
    if (!error) error = check_complete(f);
    /* A level of kernels that the environment asks for in vain is wrong for every command. */
    const bv_kernels *kernels;
    if (!error) error = bv_kernels_pick(&kernels);
    if (error) bv_flags_free(&f);
    *out = f;
    return error;
}

/* ---- asking ---- */

static size_t row_of(const bv_flags *f, const char *name) {
    const size_t count = bv_command_flag_count(f->command);
    size_t row = 0;
    while (row < count && strcmp(bv_command_flag(f->command, row).name, name) != 0) row++;
    BV_ASSERT(row < count);
    return row;
}

bool bv_flags_given(const bv_flags *flags, const char *name) {
    return flags->typed[row_of(flags, name)].count > 0;
}

/* The typed value, or the fallback, or NULL; checks the type that was asked for. */
static const char *value_of(const bv_flags *flags, const char *name, bv_flag_type type) {
    const size_t row = row_of(flags, name);
    const bv_flag flag = bv_command_flag(flags->command, row);
    BV_ASSERT(flag.type == type);
    const typed *t = &flags->typed[row];
    return t->count ? t->values[0] : flag.fallback;
}

bool bv_flags_bool(const bv_flags *flags, const char *name) {
    const size_t row = row_of(flags, name);
    BV_ASSERT(bv_command_flag(flags->command, row).type == BV_FLAG_SWITCH);
    return flags->typed[row].count > 0;
}

const char *bv_flags_string(const bv_flags *flags, const char *name) {
    return value_of(flags, name, BV_FLAG_STRING);
}

int64_t bv_flags_int(const bv_flags *flags, const char *name) {
    const char *text = value_of(flags, name, BV_FLAG_INT);
    int64_t value = 0;
    bv_error *error = text ? bv_parse_int(name, text, INT64_MIN, INT64_MAX, &value) : BV_OK;
    BV_ASSERT(!error);
    return value;
}

double bv_flags_double(const bv_flags *flags, const char *name) {
    const char *text = value_of(flags, name, BV_FLAG_DOUBLE);
    double value = 0;
    bv_error *error = text ? bv_parse_double(name, text, -1e308, 1e308, &value) : BV_OK;
    BV_ASSERT(!error);
    return value;
}

const char *const *bv_flags_list(const bv_flags *flags, const char *name, size_t *count) {
    const size_t row = row_of(flags, name);
    BV_ASSERT(bv_command_flag(flags->command, row).type == BV_FLAG_LIST);
    *count = flags->typed[row].count;
    return flags->typed[row].values;
}

const char *const *bv_flags_arguments(const bv_flags *flags, size_t *count) {
    *count = flags->argument_count;
    return flags->arguments;
}

const char *bv_flags_argument(const bv_flags *flags, size_t index) {
    return index < flags->argument_count ? flags->arguments[index] : NULL;
}
