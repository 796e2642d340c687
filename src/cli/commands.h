/*
 * The subcommands. A subcommand NAME is a file cmd_NAME.c with bv_cmd_NAME and one row here: its
 * name and a line of help, in the order in which they are listed.
 */
#ifndef BV_CLI_COMMANDS_H
#define BV_CLI_COMMANDS_H

#include "base/status.h"

/* clang-format off */
#define BV_COMMANDS(X)                                                                             \
    X(doctor, "what this machine is, and what Beaver will use")                                    \
    X(data, "turn text into data to train on")                                                     \
    X(tokenizer, "train, use and inspect tokenizers")                                              \
    X(train, "train a GPT")                                                                        \
    X(generate, "write text with a model")                                                         \
    X(eval, "measure a model on a text")                                                           \
    X(arena, "levels with hidden tests, and how well models program")                              \
    X(explain, "what a model is made of, needs, and how long it would take")                       \
    X(plot, "draw the loss curve of a run")                                                        \
    X(sandbox, "run a program where it can hurt nobody")                                           \
    X(bench, "this machine's limits, and Beaver's share of them")                                  \
    X(version, "print the version of this program")
/* clang-format on */

#define BV_COMMAND_DECLARE(name, help) bv_status bv_cmd_##name(int argc, char **argv);
BV_COMMANDS(BV_COMMAND_DECLARE)
#undef BV_COMMAND_DECLARE

#endif
