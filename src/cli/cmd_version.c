#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "version.h"

#include <string.h>

static const bv_command command = {
    .name = "version",
    .summary = "Prints the version, and the revision that it was built from.",
    .example = "beaver version --json",
};

bv_status bv_cmd_version(int argc, char **argv) {
    bv_flags *flags;
    BV_TRY(bv_flags_parse(&command, argc, argv, &flags));
    if (!flags) return BV_OK;
    const bool as_json = bv_flags_bool(flags, "json");
    bv_flags_free(&flags);
    if (as_json)
        return bv_cli_json(json_pack("{ssss}", "version", BV_VERSION, "revision", BV_REVISION));
    static const char text[] = "beaver " BV_VERSION " (" BV_REVISION ")\n";
    return bv_cli_print(text, strlen(text));
}
