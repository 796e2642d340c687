#include "cli/arena.h"
#include "cli/commands.h"

static const bv_command *const subcommands[] = {&bv_arena_new,   &bv_arena_check, &bv_arena_list,
                                                &bv_arena_serve, &bv_arena_judge, &bv_arena_load,
                                                &bv_arena_eval};

const bv_command bv_cmd_arena = {
    .name = "arena",
    .brief = "levels with hidden tests, and how well models program",
    .example = "beaver arena check levels/*\n"
               "beaver arena eval --set humaneval --samples canonical --data eval",
    BV_SUBCOMMANDS(subcommands),
};
