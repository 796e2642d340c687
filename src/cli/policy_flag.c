#include "cli/policy_flag.h"

bv_status bv_policy_flag_read(const bv_flags *flags, bv_sandbox_policy *out) {
    const char *name = bv_flags_string(flags, "policy");
    if (bv_sandbox_policy_parse(name, out)) return BV_OK;
    return bv_try(bv_fail(BV_CODE_USAGE, "--policy: there is no policy \"%s\"", name),
                  "--policy full, or --policy nested");
}
