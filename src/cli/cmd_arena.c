#include "cli/arena.h"
#include "cli/cli.h"
#include "cli/commands.h"

static const bv_subcommand subcommands[] = {
    {"new", "make a level to fill in", bv_arena_new},
    {"check", "run a level's own solutions: may it be published?", bv_arena_check},
    {"list", "the levels of a folder", bv_arena_list},
    {"serve", "a page and an API: sign up, submit, watch, scoreboard", bv_arena_serve},
    {"judge", "judge the submissions of a store", bv_arena_judge},
    {"load", "submit to an arena as many users would, and measure", bv_arena_load},
    {"eval", "how many programming problems a model solves: pass@k", bv_arena_eval},
};

bv_status bv_cmd_arena(int argc, char **argv) {
    static const bv_group group = {
        .name = "beaver arena",
        .example = "beaver arena check levels/*\n"
                   "beaver arena eval --set humaneval --samples canonical --data eval",
        .table = subcommands,
        .count = sizeof subcommands / sizeof *subcommands};
    return bv_cli_dispatch(&group, argc, argv);
}
