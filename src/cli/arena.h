/* The subcommands of `beaver arena`, one file each group. */
#ifndef BV_CLI_ARENA_H
#define BV_CLI_ARENA_H

#include "base/status.h"

bv_status bv_arena_new(int argc, char **argv);
bv_status bv_arena_check(int argc, char **argv);
bv_status bv_arena_list(int argc, char **argv);
bv_status bv_arena_serve(int argc, char **argv);
bv_status bv_arena_judge(int argc, char **argv);
bv_status bv_arena_load(int argc, char **argv);
bv_status bv_arena_eval(int argc, char **argv);

#endif
