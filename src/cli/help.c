#include "cli/flags.h"

#include <stdio.h>
#include <string.h>

#define WIDTH 80  /* of a terminal                      */
#define COLUMN 30 /* where explanations begin at latest */

void bv_help_wrap(const char *text, size_t column, size_t indent, bv_buffer *out) {
    while (*text) {
        const size_t word = strcspn(text, " \n");
        if (column > indent && column + 1 + word > WIDTH) {
            bv_buffer_printf(out, "\n%*s", (int)indent, "");
            column = indent;
        } else if (column > indent) {
            bv_buffer_text(out, " ");
            column++;
        }
        bv_buffer_append(out, text, word);
        column += word;
        text += word;
        text += strspn(text, " \n");
    }
    bv_buffer_text(out, "\n");
}

static void put_row(bv_buffer *out, const char *left, const char *help, size_t column) {
    bv_buffer_printf(out, "  %s", left);
    const size_t used = strlen(left) + 2;
    if (used + 2 > column)
        bv_buffer_printf(out, "\n%*s", (int)column, "");
    else
        bv_buffer_printf(out, "%*s", (int)(column - used), "");
    bv_help_wrap(help, column, column, out);
}

static void flag_left(const bv_flag *flag, char *text, size_t size) {
    snprintf(text, size, "%s%s%s", bv_flag_spelled(flag->name).text, flag->value ? " " : "",
             flag->value ? flag->value : "");
}

static void put_usage(bv_buffer *out, const bv_command *c) {
    bv_buffer_printf(out, "usage: beaver %s", c->name);
    for (size_t i = 0; i < c->argument_count; i++) {
        const bv_argument *a = &c->arguments[i];
        bv_buffer_printf(out, " %s%s%s%s", a->optional ? "[" : "", a->name,
                         a->repeated ? "..." : "", a->optional ? "]" : "");
    }
    for (size_t i = 0; i < c->flag_count; i++)
        if (c->flags[i].required)
            bv_buffer_printf(out, " --%s %s", c->flags[i].name, c->flags[i].value);
    bv_buffer_text(out, " [flags]\n\n");
}

void bv_help_example(const char *example, bv_buffer *out) {
    bv_buffer_text(out, "\nexample:\n");
    while (*example) {
        const size_t line = strcspn(example, "\n");
        bv_buffer_printf(out, "  %.*s\n", (int)line, example);
        example += line + (example[line] == '\n');
    }
}

static void put_flag(bv_buffer *out, const bv_command *c, const bv_flag *flag, size_t column) {
    char left[96], help[1024], other[64];
    const char *value = flag->fallback;
    flag_left(flag, left, sizeof left);
    if (!value && c->otherwise && c->otherwise(flag->name, other)) value = other;
    const bool tells = value && *value;
    snprintf(help, sizeof help, "%s%s%s%s%s", flag->help, tells ? " (default: " : "",
             tells ? value : "", tells ? ")" : "",
             flag->type == BV_FLAG_LIST ? " (may be repeated)" : "");
    put_row(out, left, help, column);
}

void bv_flags_help(const bv_command *c, bv_buffer *out) {
    size_t column = strlen("--help") + 4;
    char left[96];
    const size_t flags = bv_command_flag_count(c);
    for (size_t i = 0; i < flags + c->argument_count; i++) {
        const bv_flag flag = i < flags ? bv_command_flag(c, i) : (bv_flag){0};
        if (i < flags && !flag.help) continue;
        if (i < flags)
            flag_left(&flag, left, sizeof left);
        else
            snprintf(left, sizeof left, "%s", c->arguments[i - flags].name);
        if (strlen(left) + 4 > column) column = strlen(left) + 4;
    }
    if (column > COLUMN) column = COLUMN;
    put_usage(out, c);
    bv_help_wrap(c->summary, 0, 0, out);
    if (c->argument_count) bv_buffer_text(out, "\narguments:\n");
    for (size_t i = 0; i < c->argument_count; i++)
        put_row(out, c->arguments[i].name, c->arguments[i].help, column);
    bv_buffer_text(out, "\nflags:\n");
    for (size_t i = 0; i < flags; i++) {
        const bv_flag flag = bv_command_flag(c, i);
        if (flag.help) put_flag(out, c, &flag, column);
    }
    put_row(out, "--help", "print this", column);
    if (c->example) bv_help_example(c->example, out);
}
