#include "cli/commands.h"

#define ROW(name) &bv_cmd_##name,
static const bv_command *const all[] = {BV_COMMANDS(ROW)};

const bv_command bv_program = {
    .name = "",
    .example = "beaver data prepare book.txt --out data --vocab 2048\n"
               "beaver train --data data --out run --preset nano --minutes 10\n"
               "beaver generate run --prompt 'Once upon a time'",
    BV_SUBCOMMANDS(all),
};
