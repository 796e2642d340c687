/*
 * beaver. An error is printed here, and only here, with the words that led to it, and becomes the
 * exit code: 2 for wrong usage, 1 for everything else that failed, 129, 130 and 143 after SIGHUP,
 * SIGINT and SIGTERM.
 */
#include "base/file.h"
#include "cli/cli.h"
#include "cli/commands.h"

#include <signal.h>
#include <string.h>

int main(int argc, char **argv) {
    bv_streams_guard();
    /* A closed pipe and a file that may not grow are errors of the write, not deaths. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    bv_json_begin();
    static char version[] = "version";
    if (argc == 2 && !strcmp(argv[1], "--version")) argv[1] = version;
    bv_error *error = bv_cli_run(&bv_program, argc, argv);
    if (error) bv_cli_say("%s: %s\n", bv_cli_name(), bv_error_text(error));
    const int code = bv_error_exit_code(error);
    bv_error_free(&error);
    return code;
}
