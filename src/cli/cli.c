#include "cli/cli.h"

#include "base/buffer.h"
#include "base/memory.h"
#include "base/order.h"
#include "base/text.h"
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static char name[128] = "beaver"; /* written by the main thread before a subcommand runs */

const char *bv_cli_name(void) {
    return name;
}

void bv_cli_say(const char *format, ...) {
    va_list list;
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
}

void bv_cli_log(void *context, const char *text) {
    (void)context;
    bv_cli_say("%s\n", text);
}

size_t bv_cli_columns(void) {
    struct winsize size;
    const char *kind = getenv("TERM");
    if (!isatty(STDERR_FILENO) || (kind && !strcmp(kind, "dumb"))) return 0;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
}

bool bv_cli_again(int fd, short events) {
    struct pollfd wanted = {.fd = fd, .events = events};
    return errno == EINTR || (errno == EAGAIN && (poll(&wanted, 1, -1) > 0 || errno == EINTR));
}

static bv_status write_stream(int stream, const char *name, const void *bytes, size_t size) {
    const char *p = bytes;
    while (size > 0) {
        const ssize_t n = write(stream, p, size);
        if (n < 0 && bv_cli_again(stream, POLLOUT)) continue;
        if (n < 0) return bv_fail_errno("cannot write %s", name);
        p += n;
        size -= (size_t)n;
    }
    return BV_OK;
}

bv_status bv_cli_print(const void *bytes, size_t size) {
    return write_stream(STDOUT_FILENO, "standard output", bytes, size);
}

bv_status bv_cli_print_error(const void *bytes, size_t size) {
    return write_stream(STDERR_FILENO, "standard error", bytes, size);
}

bv_status bv_cli_json(json_t *value) {
    bv_buffer line = {0};
    bv_error *error = bv_json_text(value, 0, &line);
    bv_buffer_text(&line, "\n");
    if (!error) error = bv_buffer_error(&line);
    if (!error) error = bv_cli_print(line.data, line.size);
    bv_buffer_free(&line);
    json_decref(value);
    return error;
}

json_t *bv_cli_path(const char *path) {
    return bv_json_string(path, strlen(path));
}

json_t *bv_cli_logprob(bool known, double logprob) {
    char text[64];
    snprintf(text, sizeof text, "%a", logprob);
    return known ? json_string(text) : json_null();
}

bv_status bv_cli_print_logprob(uint32_t token, bool known, double logprob) {
    char line[96];
    const int n = known ? snprintf(line, sizeof line, "%u %a %.6f\n", token, logprob, logprob)
                        : snprintf(line, sizeof line, "%u -\n", token);
    return bv_cli_print(line, (size_t)n);
}

/* The last word of its name. */
static const char *word_of(const bv_command *command) {
    const char *blank = strrchr(command->name, ' ');
    return blank ? blank + 1 : command->name;
}

static bv_status print_list(const bv_command *group) {
    bv_buffer text = {0};
    size_t column = 0;
    for (size_t i = 0; i < group->subcommand_count; i++)
        column = bv_larger(column, strlen(word_of(group->subcommands[i])));
    bv_buffer_printf(&text, "usage: %s SUBCOMMAND [arguments] [flags]\n\nsubcommands:\n", name);
    for (size_t i = 0; i < group->subcommand_count; i++)
        bv_buffer_printf(&text, "  %-*s  %s\n", (int)column, word_of(group->subcommands[i]),
                         group->subcommands[i]->brief);
    bv_buffer_printf(&text, "\n%s SUBCOMMAND --help explains one.\n", name);
    bv_help_example(group->example, &text);
    bv_error *error = bv_buffer_error(&text);
    if (!error) error = bv_cli_print(text.data, text.size);
    bv_buffer_free(&text);
    return error;
}

static bv_status unknown(const bv_command *group, const char *word) {
    bv_error *error = bv_fail(BV_CODE_USAGE, "unknown subcommand \"%s\"", word);
    const char **names = bv_calloc(group->subcommand_count + 1, sizeof *names);
    for (size_t i = 0; names && i < group->subcommand_count; i++)
        names[i] = word_of(group->subcommands[i]);
    const char *near = names ? bv_suggest(word, names, group->subcommand_count) : NULL;
    error = bv_try(error, "%s %s", name, near ? near : "--help");
    bv_free(names);
    return error;
}

/* GROUP help WORD... is GROUP WORD... --help. */
static bv_status help(const bv_command *group, int argc, char **argv) {
    if (argc < 3) return print_list(group);
    char **words = bv_calloc((size_t)argc + 1, sizeof *words);
    if (!words) return bv_fail_memory("arguments");
    static char wish[] = "--help";
    words[0] = argv[0];
    memcpy(words + 1, argv + 2, (size_t)(argc - 2) * sizeof *words);
    words[argc - 1] = wish;
    bv_error *error = bv_cli_run(group, argc, words);
    bv_free(words);
    return error;
}

static bv_status choose(const bv_command *group, int argc, char **argv) {
    const char *word = argc > 1 ? argv[1] : "--help";
    if (!strcmp(word, "--help") || !strcmp(word, "-h")) return print_list(group);
    if (!strcmp(word, "help")) return help(group, argc, argv);
    for (size_t i = 0; i < group->subcommand_count; i++)
        if (!strcmp(word_of(group->subcommands[i]), word))
            return bv_cli_run(group->subcommands[i], argc - 1, argv + 1);
    return unknown(group, word);
}

bv_status bv_cli_run(const bv_command *command, int argc, char **argv) {
    bv_flags *flags;
    snprintf(name, sizeof name, "beaver%s%s", *command->name ? " " : "", command->name);
    if (!command->run) return choose(command, argc, argv);
    BV_TRY(bv_flags_parse(command, argc, argv, &flags));
    bv_error *error = flags ? command->run(flags) : BV_OK; /* --help was printed */
    bv_flags_free(&flags);
    return error;
}
