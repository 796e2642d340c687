/* --policy, of what runs programs in boxes. */
#ifndef BV_CLI_POLICY_FLAG_H
#define BV_CLI_POLICY_FLAG_H

#include "arena/sandbox.h"
#include "cli/flags.h"

#define BV_POLICY_FLAG                                                                             \
    BV_STRING_FLAG("policy", "NAME", "full",                                                       \
                   "walls of the sandbox: full, or nested where a container forbids namespaces")

bv_status bv_policy_flag_read(const bv_flags *flags, bv_sandbox_policy *out);

#endif
