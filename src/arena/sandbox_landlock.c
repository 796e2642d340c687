/*
 * Landlock: what a program may do with files, once more, by a mechanism that knows nothing of
 * mounts. Read and execute below the binds, all below the work folder and /tmp, read and write of
 * the devices; nothing else. From ABI 4 on no TCP, from ABI 6 on no signal and no abstract socket
 * out of the box. For `nested` this is the wall around the host's files, so it is needed there.
 *
 * The constants are ours (include/uapi/linux/landlock.h): distributions' headers are older than
 * kernels. What the kernel does not know is masked out by its ABI.
 */
#include "arena/sandbox_box.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/types.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    EXECUTE = 1 << 0,
    WRITE_FILE = 1 << 1,
    READ_FILE = 1 << 2,
    READ_DIR = 1 << 3,
    MAKE_CHAR = 1 << 6,
    MAKE_BLOCK = 1 << 11,
    REFER = 1 << 13,    /* ABI 2 */
    TRUNCATE = 1 << 14, /* ABI 3 */
    IOCTL_DEV = 1 << 15 /* ABI 5 */
};
#define NETWORK_ALL 3u /* bind and connect of TCP, ABI 4 */
#define SCOPE_ALL 3u   /* abstract sockets and signals, ABI 6 */
#define RULE_PATH_BENEATH 1
#define CREATE_VERSION 1u

struct ruleset_attributes {
    uint64_t files, network, scoped;
};
struct path_rule {
    uint64_t allowed;
    int32_t parent;
} __attribute__((packed));

int bv_landlock_abi(void) {
    const long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_VERSION);
    return abi < 0 && (errno == ENOSYS || errno == EOPNOTSUPP) ? 0 : (int)abi;
}

static uint64_t files_all(int abi) {
    const int bits = abi >= 5 ? 16 : abi >= 3 ? 15 : abi >= 2 ? 14 : 13;
    return (1u << bits) - 1;
}

static bv_status allow(int ruleset, const char *path, uint64_t rights) {
    struct path_rule rule = {.allowed = rights, .parent = open(path, O_PATH | O_CLOEXEC)};
    if (rule.parent < 0) {
        if (errno == ENOENT) return BV_OK; /* an optional bind that is absent */
        return bv_fail_errno("cannot open %s for Landlock", path);
    }
    struct stat s;
    if (!fstat(rule.parent, &s) && !S_ISDIR(s.st_mode))
        rule.allowed &= EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV;
    const long failed = syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0);
    bv_error *error = failed ? bv_fail_errno("cannot allow %s by Landlock", path) : BV_OK;
    close(rule.parent);
    return error;
}

static bv_status allow_all(const bv_box *box, int ruleset, uint64_t all) {
    const bool nested = box->plan->policy == BV_POLICY_NESTED;
    for (size_t i = 0; i < box->plan->bind_count; i++) {
        const bv_box_bind *b = &box->plan->binds[i];
        /* What a link of the root leads to is below another bind, or not there. */
        if (!nested && (b->mode == 0 || S_ISLNK(b->mode))) continue;
        BV_TRY(allow(ruleset, nested ? b->source : b->target, EXECUTE | READ_FILE | READ_DIR));
    }
    const char *const devices[] = {"/dev/null", "/dev/zero", "/dev/urandom"};
    for (size_t i = 0; i < 3; i++)
        BV_TRY(allow(ruleset, devices[i], (READ_FILE | WRITE_FILE | TRUNCATE) & all));
    const uint64_t work = all & ~(uint64_t)(MAKE_CHAR | MAKE_BLOCK | IOCTL_DEV);
    if (nested) return allow(ruleset, box->nested_top, work);
    BV_TRY(allow(ruleset, "/", READ_DIR)); /* the names in the box's own root */
    BV_TRY(allow(ruleset, "/tmp", work));
    return allow(ruleset, "/work", work);
}

bv_status bv_landlock_prepare(bv_box *box) {
    const int abi = bv_landlock_abi();
    box->landlock = -1;
    if (abi < 0) return bv_fail_errno("cannot ask for Landlock");
    if (abi == 0 && box->plan->policy == BV_POLICY_NESTED)
        return bv_fail(BV_CODE_FAULT, "Landlock, which this policy needs, is not there any more");
    if (abi == 0) return BV_OK;
    struct ruleset_attributes a = {files_all(abi), abi >= 4 ? NETWORK_ALL : 0,
                                   abi >= 6 ? SCOPE_ALL : 0};
    const size_t size = abi >= 6 ? sizeof a : abi >= 4 ? 16 : 8;
    const int ruleset = (int)syscall(SYS_landlock_create_ruleset, &a, size, 0);
    if (ruleset < 0) return bv_fail_errno("cannot make a Landlock ruleset");
    bv_error *error = allow_all(box, ruleset, a.files);
    if (error)
        close(ruleset);
    else
        box->landlock = ruleset;
    return error;
}

int bv_landlock_enter(const bv_box *box) {
    if (box->landlock < 0) return 0;
    return (int)syscall(SYS_landlock_restrict_self, box->landlock, 0);
}
