/*
 * The subcommands. A subcommand NAME is a file cmd_NAME.c with bv_cmd_NAME and one row here: its
 * name and a line of help, in the order in which they are listed.
 */
#ifndef BV_CLI_COMMANDS_H
#define BV_CLI_COMMANDS_H

#include "base/status.h"

/* clang-format off */
#define BV_COMMANDS(X)                                                                             \
    X(version, "print the version of this program")                                                \
    X(doctor, "say what this machine is, what it can reach, and what slows it down")               \
    X(bench, "measure this machine's limits, the kernels, and training")                           \
    X(explain, "say what a training consists of, needs, and how long it would take here")          \
    X(plot, "draw the loss of a run")
/* clang-format on */

#define BV_COMMAND_DECLARE(name, help) bv_status bv_cmd_##name(int argc, char **argv);
BV_COMMANDS(BV_COMMAND_DECLARE)
#undef BV_COMMAND_DECLARE

#endif
