/*
 * The program and its subcommands. A subcommand NAME is a file cmd_NAME.c with the bv_command
 * bv_cmd_NAME, and one row here, in the order in which they are listed.
 */
#ifndef BV_CLI_COMMANDS_H
#define BV_CLI_COMMANDS_H

#include "cli/flags.h"

/* clang-format off */
#define BV_COMMANDS(X)                                                                             \
    X(doctor)                                                                                      \
    X(data)                                                                                        \
    X(tokenizer)                                                                                   \
    X(train)                                                                                       \
    X(generate)                                                                                    \
    X(eval)                                                                                        \
    X(arena)                                                                                       \
    X(explain)                                                                                     \
    X(plot)                                                                                        \
    X(sandbox)                                                                                     \
    X(bench)                                                                                       \
    X(version)
/* clang-format on */

#define BV_COMMAND_DECLARE(name) extern const bv_command bv_cmd_##name;
BV_COMMANDS(BV_COMMAND_DECLARE)
#undef BV_COMMAND_DECLARE

extern const bv_command bv_program; /* the group of all */

#endif
