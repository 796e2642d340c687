/*
 * Every wall that the selftest finds on this machine stands around a running program: seen from
 * outside, in what the kernel says about its process. A wall that this test does not know fails it.
 */
#include "support/boxes.h"

#include <sys/stat.h>

/* ---- what the kernel says about it ---- */

/* In another namespace than we are. */
static bool is_apart(pid_t pid, const char *kind) {
    char path[64], own[64];
    struct stat his, ours;
    snprintf(path, sizeof path, "/proc/%d/ns/%s", (int)pid, kind);
    snprintf(own, sizeof own, "/proc/self/ns/%s", kind);
    return stat(path, &his) == 0 && stat(own, &ours) == 0 && his.st_ino != ours.st_ino;
}

static bool has_line(pid_t pid, const char *file, const char *line) {
    bv_buffer text = {0};
    char with[160];
    boxes_read_of(pid, file, &text);
    snprintf(with, sizeof with, "%s\n", line);
    const bool found = strstr(text.data, with) != NULL;
    bv_buffer_free(&text);
    return found;
}

/* Its control group of this kind is a box's. */
static bool is_counted(pid_t pid, const char *controller) {
    bv_buffer text = {0};
    bool counted = false;
    boxes_read_of(pid, "cgroup", &text);
    for (char *line = text.data; line && *line;) {
        char *end = strchr(line, '\n');
        if (end) *end++ = 0;
        const bool is_ours = strstr(line, "/beaver-box-") != NULL;
        counted = counted || (is_ours && (strstr(line, controller) || !strncmp(line, "0::", 3)));
        line = end;
    }
    bv_buffer_free(&text);
    return counted;
}

static bool has_read_only_root(pid_t pid) {
    bv_buffer text = {0};
    boxes_read_of(pid, "mountinfo", &text);
    const char *root = strstr(text.data, " / / ro");
    const bool is_small = root && strstr(root, "tmpfs") && !strstr(text.data, " /proc ");
    bv_buffer_free(&text);
    return is_small;
}

static bool owns_nothing(pid_t pid) {
    bv_buffer text = {0};
    unsigned user = 0;
    boxes_read_of(pid, "status", &text);
    const char *at = strstr(text.data, "Uid:");
    const bool found = at && sscanf(at, "Uid: %u", &user) == 1;
    bv_buffer_free(&text);
    return found && user != geteuid() && user >= 32768 && has_line(pid, "status", "Groups:\t ");
}

static bool has_proc(pid_t pid) {
    bv_buffer text = {0};
    boxes_read_of(pid, "status", &text);
    const bool found = text.size > 0;
    bv_buffer_free(&text);
    return found;
}
static bool user_apart(pid_t pid) {
    return is_apart(pid, "user");
}
static bool mount_apart(pid_t pid) {
    return is_apart(pid, "mnt");
}
static bool pid_apart(pid_t pid) {
    return is_apart(pid, "pid");
}
static bool network_apart(pid_t pid) {
    return is_apart(pid, "net");
}
static bool ipc_apart(pid_t pid) {
    return is_apart(pid, "ipc");
}
static bool uts_apart(pid_t pid) {
    return is_apart(pid, "uts");
}
static bool cgroup_apart(pid_t pid) {
    return is_apart(pid, "cgroup");
}
static bool memory_counted(pid_t pid) {
    return is_counted(pid, "memory");
}
static bool pids_counted(pid_t pid) {
    return is_counted(pid, "pids");
}
static bool cpu_counted(pid_t pid) {
    return is_counted(pid, "cpuacct");
}
static bool has_no_privileges(pid_t pid) {
    return has_line(pid, "status", "NoNewPrivs:\t1") &&
           has_line(pid, "status", "CapEff:\t0000000000000000") &&
           has_line(pid, "status", "CapPrm:\t0000000000000000") &&
           has_line(pid, "status", "CapInh:\t0000000000000000") &&
           has_line(pid, "status", "CapAmb:\t0000000000000000");
}
static bool is_filtered(pid_t pid) {
    return has_line(pid, "status", "Seccomp:\t2");
}

/* What selftest calls it, the policies that raise it wherever it holds, and how it shows. */
static const struct {
    const char *name;
    bool full, nested;
    bool (*stands)(pid_t pid);
} known[] = {
    {"/proc", true, true, has_proc},
    {"user namespace", true, false, user_apart},
    {"mount namespace", true, false, mount_apart},
    {"pid namespace", true, false, pid_apart},
    {"network namespace", true, false, network_apart},
    {"ipc namespace", true, false, ipc_apart},
    {"uts namespace", true, false, uts_apart},
    {"cgroup namespace", true, false, cgroup_apart},
    {"read-only root", true, false, has_read_only_root},
    {"no new privileges", true, true, has_no_privileges},
    {"system call filter", true, true, is_filtered},
    {"Landlock", false, true, NULL}, /* the kernel does not tell: test_landlock */
    {"memory control group", true, true, memory_counted},
    {"pids control group", true, true, pids_counted},
    {"cpu control group", true, true, cpu_counted},
    {"an id of its own", true, true, owns_nothing},
};
#define KNOWN (sizeof known / sizeof *known)

static int count_missing(const boxes_mode *mode, pid_t pid) {
    bv_selftest found;
    int missing = 0, looked = 0;
    bv_selftest_run(&found);
    for (size_t i = 0; i < found.count; i++) {
        size_t k = 0;
        while (k < KNOWN && strcmp(known[k].name, found.walls[i].name)) k++;
        if (k == KNOWN) {
            print_error("the wall \"%s\" is looked at by no test\n", found.walls[i].name);
            missing++;
        } else if (found.walls[i].grade == BV_WALL_HOLDS && known[k].stands &&
                   (mode->policy == BV_POLICY_FULL ? known[k].full : known[k].nested)) {
            looked++;
            if (known[k].stands(pid)) continue;
            print_error("%s: no %s\n", boxes_mode_name(mode), known[k].name);
            missing++;
        }
    }
    print_message("%s: %d walls, %d missing\n", boxes_mode_name(mode), looked, missing);
    return missing;
}

/* ---- what stands on any machine ---- */

static int count_more_missing(const boxes_mode *mode, pid_t pid) {
    static const char *const limits[] = {
        "Max core file size        0                    0                    bytes     ",
        "Max open files            256                  256                  files     ",
    };
    char path[64];
    int missing = 0, session = 0;
    bv_buffer text = {0};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        if (!has_line(pid, "limits", limits[i])) {
            print_error("%s: no limit: %s\n", boxes_mode_name(mode), limits[i]);
            missing++;
        }
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    const size_t descriptors = boxes_count_names(path, "") - 2; /* without . and .. */
    if (descriptors != 3) {
        print_error("%s: %zu descriptors\n", boxes_mode_name(mode), descriptors);
        missing++;
    }
    boxes_read_of(pid, "stat", &text);
    const char *end = strrchr(text.data, ')');
    if (!end || sscanf(end, ") %*c %*d %*d %d", &session) != 1 || session == getsid(0)) {
        print_error("%s: session %d\n", boxes_mode_name(mode), session);
        missing++;
    }
    bv_buffer_free(&text);
    return missing;
}

static bool look_at_walls(const boxes_mode *mode, void *unused) {
    const bv_sandbox_options options = {.policy = mode->policy, .boxes = 1};
    const char *const argv[] = {"sleep", "60", NULL};
    bv_sandbox_pool *pool;
    bv_sandbox_job job = {.argv = argv};
    bv_sandbox_box *box;
    bv_sandbox_result r = {0};
    (void)unused;
    bv_sandbox_limits_default(&job.limits);
    job.limits.wall_ns = 120000000000;
    assert_ok(bv_sandbox_pool_create(&options, &pool));
    assert_ok(bv_sandbox_start(pool, &job, 1, &box));
    const pid_t pid = boxes_find_program();
    const int missing = pid ? count_missing(mode, pid) + count_more_missing(mode, pid) : 1;
    if (!pid) print_error("%s: the program is not found\n", boxes_mode_name(mode));
    bv_sandbox_kill(box);
    assert_ok(bv_sandbox_wait(&box, 1, &r));
    const bool killed = r.killed_by_caller && r.verdict == BV_VERDICT_FAILED;
    bv_sandbox_result_free(&r);
    bv_sandbox_pool_destroy(&pool);
    return missing == 0 && killed;
}

/* Nested, nothing but Landlock keeps a file that everybody may read from a program. */
static bool look_at_landlock(const boxes_mode *mode, void *unused) {
    const bv_sandbox_options options = {.policy = mode->policy, .boxes = 1};
    const char *const argv[] = {"cat", "/etc/passwd", NULL};
    bv_sandbox_pool *pool;
    bv_sandbox_job job = {.argv = argv};
    bv_sandbox_result r = {0};
    (void)unused;
    bv_sandbox_limits_default(&job.limits);
    job.limits.wall_ns = 120000000000;
    assert_ok(bv_sandbox_pool_create(&options, &pool));
    assert_ok(bv_sandbox_run(pool, &job, &r));
    const bool refused = r.verdict == BV_VERDICT_FAILED && r.output.size == 0 && r.error.data &&
                         strstr(r.error.data, "Permission denied");
    if (!refused) print_error("%s: %s %s\n", boxes_mode_name(mode), r.reason, r.error.data);
    bv_sandbox_result_free(&r);
    bv_sandbox_pool_destroy(&pool);
    return refused;
}

static void try_walls(bv_sandbox_policy policy, bool user) {
    boxes_try(look_at_walls, policy, user, NULL);
}
static void try_landlock(bv_sandbox_policy policy, bool user) {
    boxes_try(look_at_landlock, policy, user, NULL);
}

BOXES_TRY_MODES(test, try_walls)
BOXES_MODE(test_landlock, try_landlock, BV_POLICY_NESTED, false)
BOXES_MODE(test_landlock_as_user, try_landlock, BV_POLICY_NESTED, true)

int main(void) {
    const struct CMUnitTest tests[] = {
        BOXES_MODES(test),
        cmocka_unit_test(test_landlock),
        cmocka_unit_test(test_landlock_as_user),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
