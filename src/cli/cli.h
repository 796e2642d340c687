/*
 * What subcommands share: output and dispatch. Human text goes to standard error, results (JSON,
 * generated text, help) to standard output, where a failed write is an error like any other. A
 * subcommand never prints its error: it returns it, and main.c prints it and picks the exit
 * code.
 */
#ifndef BV_CLI_CLI_H
#define BV_CLI_CLI_H

#include "base/json.h"
#include "base/status.h"
#include "cli/flags.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Human text on standard error; adds nothing, so end with a newline. */
void bv_cli_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A line of a log, for who takes a function for that; the context is not used. */
void bv_cli_log(void *context, const char *text);

/* Columns of the terminal that standard error is, as wide as it is just now (80 where it does not
 * know); 0 where it is none, or one that can only append (TERM=dumb). */
size_t bv_cli_columns(void);

/* Behind a read or a write that failed: is it to be made again? Yes where a signal came between;
 * and where another program that has the same pipe or terminal made it non-blocking, when it is
 * ready (events: POLLIN or POLLOUT). */
bool bv_cli_again(int fd, short events);

/* Bytes on standard output, flushed. */
bv_status bv_cli_print(const void *bytes, size_t size);
/* The same on standard error, for what must not be lost without a word (bv_cli_say is for people).
 */
bv_status bv_cli_print_error(const void *bytes, size_t size);

/* One line of JSON on standard output, flushed. Takes the reference, also on failure; NULL is
 * an error (bv_json_text). */
bv_status bv_cli_json(json_t *value);

/* A path for JSON, whatever its bytes (bv_json_string). */
json_t *bv_cli_path(const char *path);

/* A log-probability with all its bits: for JSON (null where it is not known), and as the line of
 * its token on standard output. */
json_t *bv_cli_logprob(bool known, double logprob);
bv_status bv_cli_print_logprob(uint32_t token, bool known, double logprob);

/* Parses the flags and runs the command; of a group the subcommand that argv[1] names, or prints
 * their list. argv[0] is its own (last) name. */
bv_status bv_cli_run(const bv_command *command, int argc, char **argv);

/* The words that led to the command that runs, e.g. "beaver tokenizer train". */
const char *bv_cli_name(void);

#endif
