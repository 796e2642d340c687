/* Boxes for tests: a pool of the strongest policy that this machine allows, and tests that run once
 * for each policy and, as root, once more as an ordinary user. What selftest finds is never left
 * out. */
#ifndef BV_TESTS_SUPPORT_BOXES_H
#define BV_TESTS_SUPPORT_BOXES_H

#include "arena/sandbox.h"
#include "arena/sandbox_cgroup.h"
#include "arena/sandbox_selftest.h"
#include "support/check.h"
#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* Policy full, unless a wall of it is missing. */
static inline bv_sandbox_pool *boxes_open_with(bv_sandbox_options options) {
    bv_sandbox_pool *pool = NULL;
    options.policy = BV_POLICY_FULL;
    bv_error *error = bv_selftest_require(BV_POLICY_FULL);
    if (error) {
        print_message("policy full: %s\n", bv_error_text(error));
        bv_error_free(&error);
        options.policy = BV_POLICY_NESTED;
    }
    assert_ok(bv_sandbox_pool_create(&options, &pool));
    return pool;
}

static inline bv_sandbox_pool *boxes_open(uint32_t boxes) {
    return boxes_open_with((bv_sandbox_options){.boxes = boxes});
}

/* Ends a group whose beginning has set *state to its pool. */
static inline int boxes_teardown(void **state) {
    bv_sandbox_pool *pool = *state;
    bv_sandbox_pool_destroy(&pool);
    return 0;
}

/* How many names of a folder contain `part`; 0 without the folder. */
static inline size_t boxes_count_names(const char *folder, const char *part) {
    DIR *d = opendir(folder);
    size_t count = 0;
    for (struct dirent *e; d && (e = readdir(d));) count += strstr(e->d_name, part) != NULL;
    if (d) closedir(d);
    return count;
}

/* Control groups and work folders of the arena that this process is, or was. */
static inline size_t boxes_count_left(pid_t arena) {
    char group[64], folder[64];
    bv_cgroup_bases bases;
    bv_cgroup_find(NULL, NULL, &bases);
    snprintf(group, sizeof group, "beaver-box-%d-", (int)arena);
    snprintf(folder, sizeof folder, "beaver-sandbox-%d-", (int)arena);
    const char *const places[] = {bases.memory, bases.pids, bases.cpu};
    size_t count = boxes_count_names("/tmp", folder);
    for (int i = 0; i < 3; i++)
        if (places[i][0]) count += boxes_count_names(places[i], group);
    return count;
}

/* Nested, boxes have a folder each in that of their pool: how many there are in ours. */
static inline size_t boxes_count_work(void) {
    char own[64];
    size_t count = 0;
    snprintf(own, sizeof own, "beaver-sandbox-%d-", (int)getpid());
    DIR *d = opendir("/tmp");
    for (struct dirent *e; d && (e = readdir(d));) {
        char path[300];
        snprintf(path, sizeof path, "/tmp/%s", e->d_name);
        if (strstr(e->d_name, own)) count += boxes_count_names(path, "box-");
    }
    if (d) closedir(d);
    return count;
}

/* ---- a running program, seen from outside ---- */

/* A file of /proc/PID; empty when the process has gone meanwhile. */
static inline void boxes_read_of(pid_t pid, const char *name, bv_buffer *text) {
    char path[128];
    bv_buffer_clear(text);
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    bv_error *error = bv_file_read(path, text);
    bv_error_free(&error);
    bv_buffer_text(text, "");
}

static inline pid_t boxes_parent_of(pid_t pid) {
    bv_buffer text = {0};
    int parent = 0;
    boxes_read_of(pid, "stat", &text);
    const char *end = strrchr(text.data, ')');
    if (!end || sscanf(end, ") %*c %d", &parent) != 1) parent = 0;
    bv_buffer_free(&text);
    return parent;
}

/* The process "sleep" whose grandparent, a slot, is our child; 0: not there now. */
static inline pid_t boxes_look_for_program(void) {
    bv_buffer name = {0};
    pid_t found = 0;
    DIR *proc = opendir("/proc");
    assert_non_null(proc);
    for (struct dirent *e; !found && (e = readdir(proc));) {
        const pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);
        if (pid <= 0) continue;
        boxes_read_of(pid, "comm", &name);
        if (strcmp(name.data, "sleep\n")) continue;
        if (boxes_parent_of(boxes_parent_of(boxes_parent_of(pid))) == getpid()) found = pid;
    }
    closedir(proc);
    bv_buffer_free(&name);
    return found;
}

/* The same, when it has started; 0 after ten seconds. */
static inline pid_t boxes_find_program(void) {
    pid_t pid = 0;
    for (int i = 0; i < 1000 && !pid; i++) {
        pid = boxes_look_for_program();
        if (!pid) usleep(10000);
    }
    return pid;
}

/* ---- policies and users ---- */

typedef struct boxes_mode {
    bv_sandbox_policy policy;
    bool user; /* an ordinary one: not root */
} boxes_mode;

static inline const char *boxes_mode_name(const boxes_mode *m) {
    if (m->policy == BV_POLICY_FULL) return m->user ? "user full" : "full";
    return m->user ? "user nested" : "nested";
}

static inline void boxes_become_ordinary(void) {
    assert_int_equal(setgroups(0, NULL), 0);
    assert_int_equal(setresgid(65534, 65534, 65534), 0);
    assert_int_equal(setresuid(65534, 65534, 65534), 0);
    /* Or we could not start ourselves from /proc/self/exe. */
    assert_int_equal(prctl(PR_SET_DUMPABLE, 1), 0);
}

/* Calls `test` in a child, which may become another user, with a copy of `context`; it returns
 * whether all is well. An assertion that fails in it ends the child otherwise. Skips only what the
 * selftest, as that user, finds no walls for. */
static inline void boxes_try(bool (*test)(const boxes_mode *mode, void *context),
                             bv_sandbox_policy policy, bool user, void *context) {
    if (user && geteuid() != 0) skip();
    const pid_t child = fork();
    if (child == 0) {
        const boxes_mode mode = {policy, geteuid() != 0 || user};
        if (user) boxes_become_ordinary();
        bv_error *error = bv_selftest_require(policy);
        if (error) print_message("not here: %s\n", bv_error_text(error));
        const int code = error ? 77 : test(&mode, context) ? 0 : 1;
        bv_error_free(&error);
        fflush(NULL);
        _exit(code);
    }
    int status = -1;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* Whether any policy can be used here. */
static inline bool boxes_possible(void) {
    bv_selftest walls;
    bv_selftest_run(&walls);
    return walls.full || walls.nested;
}

/* Tests name_full, name_nested, and the same as an ordinary user, each of which calls
 * try(policy, user); BOXES_MODES(name) lists them. */
#define BOXES_MODE(name, try, policy, user)                                                        \
    static void name(void **state) {                                                               \
        (void)state;                                                                               \
        try(policy, user);                                                                         \
    }
#define BOXES_TRY_MODES(name, try)                                                                 \
    BOXES_MODE(name##_full, try, BV_POLICY_FULL, false)                                            \
    BOXES_MODE(name##_nested, try, BV_POLICY_NESTED, false)                                        \
    BOXES_MODE(name##_full_as_user, try, BV_POLICY_FULL, true)                                     \
    BOXES_MODE(name##_nested_as_user, try, BV_POLICY_NESTED, true)
#define BOXES_MODES(name)                                                                          \
    cmocka_unit_test(name##_full), cmocka_unit_test(name##_nested),                                \
        cmocka_unit_test(name##_full_as_user), cmocka_unit_test(name##_nested_as_user)

#endif
