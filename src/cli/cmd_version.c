#include "cli/cli.h"
#include "cli/commands.h"
#include "version.h"

#include <string.h>

static bv_status run(const bv_flags *flags) {
    static const char text[] = "beaver " BV_VERSION " (" BV_REVISION ")\n";
    if (!bv_flags_bool(flags, "json")) return bv_cli_print(text, strlen(text));
    return bv_cli_json(json_pack("{ssss}", "version", BV_VERSION, "revision", BV_REVISION));
}

const bv_command bv_cmd_version = {
    .name = "version",
    .brief = "print the version of this program",
    .summary = "Prints the version, and the revision that it was built from.",
    .example = "beaver version --json",
    .run = run,
};
