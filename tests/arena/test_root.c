/*
 * The root that the boxes of a slot share: what it shows and nothing more, that nothing of a box is
 * found in the next one, that who takes over a whole box cannot change it, and that each job gets
 * the root that it asks for, as that is now.
 */
#include "support/boxes.h"

#include "base/memory.h"
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static bv_sandbox_pool *make_pool(const boxes_mode *mode) {
    const bv_sandbox_options options = {.policy = mode->policy, .boxes = 1};
    bv_sandbox_pool *pool;
    assert_ok(bv_sandbox_pool_create(&options, &pool));
    return pool;
}

static bv_sandbox_job make_job(const char *const *argv) {
    bv_sandbox_job job = {.argv = argv};
    bv_sandbox_limits_default(&job.limits);
    job.limits.wall_ns = 120000000000, job.limits.cpu_ns = 60000000000; /* emulated, too */
    return job;
}

/* Runs a line of shell; its output, to be freed. */
static char *run_line(bv_sandbox_pool *pool, const bv_sandbox_root *root, const char *line) {
    const char *const argv[] = {"sh", "-c", line, NULL};
    bv_sandbox_job job = make_job(argv);
    bv_sandbox_result r = {0};
    job.root = root;
    assert_ok(bv_sandbox_run(pool, &job, &r));
    if (r.verdict != BV_VERDICT_OK) print_error("%s\n%s", r.reason, r.error.data);
    assert_int_equal(r.verdict, BV_VERDICT_OK);
    char *output = bv_strdup(r.output.data ? r.output.data : "");
    assert_non_null(output);
    bv_sandbox_result_free(&r);
    return output;
}

/* ---- mounts, as the kernel shows them from outside ---- */

/* Starts "sleep 60" and calls look(pid); what it returns. */
static bool look_at_program(const boxes_mode *mode, bool (*look)(pid_t pid)) {
    const char *const argv[] = {"sleep", "60", NULL};
    bv_sandbox_pool *pool = make_pool(mode);
    const bv_sandbox_job job = make_job(argv);
    bv_sandbox_box *box;
    bv_sandbox_result r = {0};
    assert_ok(bv_sandbox_start(pool, &job, 1, &box));
    const pid_t pid = boxes_find_program();
    const bool good = pid && look(pid);
    bv_sandbox_kill(box);
    assert_ok(bv_sandbox_wait(&box, 1, &r));
    bv_sandbox_result_free(&r);
    bv_sandbox_pool_destroy(&pool);
    return good;
}

static bool starts_with(const char *text, const char *start) {
    return strncmp(text, start, strlen(start)) == 0;
}

/* A bind of the system's root, or a mount of the host's below one. */
static bool is_bind(const char *point) {
    const bv_sandbox_root *root = &bv_sandbox_root_system;
    for (size_t i = 0; i < root->bind_count; i++) {
        const char *target = root->binds[i].target;
        const char after = starts_with(point, target) ? point[strlen(target)] : 'x';
        if (after == 0 || after == '/') return true;
    }
    return false;
}

/* `options` are the mount's own, `super` those of its file system. */
static bool is_right(const char *point, const char *type, const char *options, const char *super) {
    if (!strcmp(point, "/work") || !strcmp(point, "/tmp"))
        return !strcmp(type, "tmpfs") && starts_with(options, "rw,nosuid,nodev");
    if (!strcmp(point, "/"))
        return !strcmp(type, "tmpfs") && starts_with(options, "ro,nosuid,nodev") &&
               starts_with(super, "ro");
    if (!strcmp(point, "/dev/null") || !strcmp(point, "/dev/zero") ||
        !strcmp(point, "/dev/urandom"))
        return starts_with(options, "ro,nosuid,noexec");
    return is_bind(point) && starts_with(options, "ro,nosuid,nodev");
}

static bool check_mounts(pid_t pid) {
    bv_buffer text = {0};
    bool good = true;
    int count = 0;
    boxes_read_of(pid, "mountinfo", &text);
    for (char *line = text.data, *end; *line && (end = strchr(line, '\n')); line = end + 1) {
        char point[256], options[256], type[64], super[512];
        *end = 0;
        const char *dash = strstr(line, " - ");
        const bool read = dash &&
                          sscanf(line, "%*s %*s %*s %*s %255s %255s", point, options) == 2 &&
                          sscanf(dash, " - %63s %*s %511s", type, super) == 2;
        if (!read || !is_right(point, type, options, super)) {
            print_error("%s\n", line);
            good = false;
        }
        count++;
    }
    bv_buffer_free(&text);
    /* At least the root, three devices, /usr, /work (twice) and /tmp. */
    return good && count >= 8;
}

static bool look_at_mounts(const boxes_mode *mode, void *unused) {
    (void)unused;
    return look_at_program(mode, check_mounts);
}

/* ---- a box that was taken over: all rights in the box's own namespaces ---- */

static bool refused(const char *what, long result) {
    if (result >= 0) print_error("a box could %s\n", what);
    return result < 0;
}

/* include/uapi/linux/mount.h */
static long make_writable(const char *path) {
    const struct {
        uint64_t set, clear, propagation, userns;
    } a = {.clear = 1 /* MOUNT_ATTR_RDONLY */};
    return syscall(SYS_mount_setattr, AT_FDCWD, path, 0x8000 /* AT_RECURSIVE */, &a, sizeof a);
}

static bool is_locked(void) {
    const unsigned long same = MS_REMOUNT | MS_NOSUID | MS_NODEV;
    const bool good[] = {
        refused("write to /", open("/x", O_CREAT | O_WRONLY | O_CLOEXEC, 0600)),
        refused("make a folder in /dev", mkdir("/dev/x", 0700)),
        refused("write to /usr", open("/usr/x", O_CREAT | O_WRONLY | O_CLOEXEC, 0600)),
        refused("change the rights of /", chmod("/", 0777)),
        refused("make the mount of / writable", mount(NULL, "/", NULL, same | MS_BIND, NULL)),
        refused("make the file system of / writable", mount(NULL, "/", NULL, same, NULL)),
        refused("make /usr writable", mount(NULL, "/usr", NULL, same | MS_BIND, NULL)),
        refused("make all writable", make_writable("/")),
        refused("allow devices in /usr",
                mount(NULL, "/usr", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL)),
        refused("unmount /usr", umount2("/usr", MNT_DETACH)),
        refused("unmount a device", umount2("/dev/null", MNT_DETACH)),
        refused("look below a mount", mount("/dev", "/tmp", NULL, MS_BIND, NULL)),
        refused("open a namespace", open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC)),
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!good[i]) return false;
    return true;
}

/* It has these rights: where nothing is shared it may do as it likes. */
static bool has_rights(void) {
    return mkdir("/work/x", 0700) == 0 && mount("tmpfs", "/tmp", "tmpfs", 0, NULL) == 0 &&
           umount2("/tmp", 0) == 0 && mount(NULL, "/work", NULL, MS_REMOUNT, "size=8m") == 0;
}

static bool take_over(pid_t pid) {
    const pid_t child = fork();
    if (child == 0) {
        const int process = (int)syscall(SYS_pidfd_open, pid, 0);
        if (process < 0 || setns(process, CLONE_NEWUSER | CLONE_NEWNS) ||
            setresgid(1000, 1000, 1000) || setresuid(1000, 1000, 1000)) {
            print_error("cannot enter a box: %s\n", strerror(errno));
            _exit(2);
        }
        const bool rights = has_rights();
        if (!rights) print_error("no rights in a box: %s\n", strerror(errno));
        _exit(rights && is_locked() ? 0 : 1);
    }
    int status = -1;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool take_over_box(const boxes_mode *mode, void *unused) {
    (void)unused;
    return look_at_program(mode, take_over);
}

/* ---- one box after another ---- */

static bool leave_things(const boxes_mode *mode, void *unused) {
    static const char look[] = "ls -an1 / /dev /etc /work /tmp | sed 's/  *[A-Z][a-z][a-z] .*[0-9] "
                               "/ /' && stat -c '%n %a %u %g %i' / /dev /etc /usr";
    static const char leave[] =
        "for d in / /dev /etc /usr /usr/bin /work /tmp; do\n"
        "  echo x > $d/file; mkdir $d/folder; ln -s /work $d/link; chmod 777 $d; mkfifo $d/fifo\n"
        "done 2>/work/errors; rm -rf /dev/null /etc/alternatives; ls /work/file /tmp/file\n";
    bv_sandbox_pool *pool = make_pool(mode);
    (void)unused;
    char *first = run_line(pool, NULL, look);
    char *left = run_line(pool, NULL, leave);
    char *second = run_line(pool, NULL, look);
    const bool same = !strcmp(first, second);
    if (!same) print_error("before:\n%safter:\n%s", first, second);
    const bool wrote = !strcmp(left, "/tmp/file\n/work/file\n");
    const bool saw = strstr(first, " usr\n") && strstr(first, "null");
    bv_free(first), bv_free(left), bv_free(second);
    bv_sandbox_pool_destroy(&pool);
    return same && wrote && saw;
}

/* ---- which root ---- */

#define ROOTS 10 /* more than a slot keeps */

typedef struct shown {
    char *folder;
    char path[1024]; /* of the file in it */
    bv_sandbox_bind binds[16];
    bv_sandbox_root root;
} shown;

/* The system's root, with a file of our own. Its folder is found by everybody. */
static void show_file(shown *s, const char *name, const char *text) {
    const bv_sandbox_root *system = &bv_sandbox_root_system;
    s->folder = make_folder();
    assert_int_equal(chmod(s->folder, 0755), 0);
    snprintf(s->path, sizeof s->path, "%s/file", s->folder);
    assert_ok(bv_file_write(s->path, text, strlen(text)));
    assert_int_equal(chmod(s->path, 0644), 0);
    assert_true(system->bind_count < 16);
    memcpy(s->binds, system->binds, system->bind_count * sizeof *s->binds);
    s->binds[system->bind_count] = (bv_sandbox_bind){s->path, "/shown", false};
    s->root = (bv_sandbox_root){name, s->binds, system->bind_count + 1};
}

static bool take_turns(const boxes_mode *mode, void *unused) {
    bv_sandbox_pool *pool = make_pool(mode);
    shown all[ROOTS];
    char names[ROOTS][32];
    bool good = true;
    (void)unused;
    for (int i = 0; i < ROOTS; i++) {
        snprintf(names[i], sizeof names[i], "root %d", i);
        show_file(&all[i], names[i], names[i]);
    }
    /* Each again soon, and each when it was forgotten. */
    for (int i = 0; i < 3 * ROOTS; i++) {
        const int k = i % 3 == 2 ? i / 3 : i % ROOTS;
        char *text = run_line(pool, &all[k].root, "cat /shown");
        if (strcmp(text, names[k])) {
            print_error("%s instead of %s\n", text, names[k]);
            good = false;
        }
        bv_free(text);
    }
    for (int i = 0; i < ROOTS; i++) remove_folder(all[i].folder);
    bv_sandbox_pool_destroy(&pool);
    return good;
}

/* A box that was made ahead may still show what was there then. */
static bool replace_file(const boxes_mode *mode, void *unused) {
    const char *const argv[] = {"true", NULL};
    bv_sandbox_pool *pool = make_pool(mode);
    bv_sandbox_job job = make_job(argv);
    bv_sandbox_box *box;
    shown s, other;
    (void)unused;
    show_file(&s, "ours", "old");
    show_file(&other, "other", "new");
    char *before = run_line(pool, &s.root, "cat /shown");
    assert_int_equal(rename(other.path, s.path), 0);
    bv_free(run_line(pool, &s.root, "cat /shown"));
    char *after = run_line(pool, &s.root, "cat /shown");
    const bool good = !strcmp(before, "old") && !strcmp(after, "new");
    bv_free(before), bv_free(after);
    /* Others may write to it now. */
    assert_int_equal(chmod(s.path, 0666), 0);
    bv_free(run_line(pool, &s.root, "cat /shown"));
    job.root = &s.root;
    assert_fails(bv_sandbox_start(pool, &job, 1, &box), BV_CODE_USAGE, "changed by others");
    bv_free(run_line(pool, NULL, "true"));
    remove_folder(s.folder), remove_folder(other.folder);
    bv_sandbox_pool_destroy(&pool);
    return good;
}

/* ---- all of it, as root and as an ordinary user ---- */

static void try_mounts(bv_sandbox_policy policy, bool user) {
    boxes_try(look_at_mounts, policy, user, NULL);
}
static void try_take_over(bv_sandbox_policy policy, bool user) {
    boxes_try(take_over_box, policy, user, NULL);
}
static void try_leave(bv_sandbox_policy policy, bool user) {
    boxes_try(leave_things, policy, user, NULL);
}
static void try_turns(bv_sandbox_policy policy, bool user) {
    boxes_try(take_turns, policy, user, NULL);
}
static void try_replace(bv_sandbox_policy policy, bool user) {
    boxes_try(replace_file, policy, user, NULL);
}

BOXES_MODE(test_mounts, try_mounts, BV_POLICY_FULL, false)
BOXES_MODE(test_mounts_as_user, try_mounts, BV_POLICY_FULL, true)
BOXES_MODE(test_take_over, try_take_over, BV_POLICY_FULL, false)
BOXES_MODE(test_take_over_as_user, try_take_over, BV_POLICY_FULL, true)
BOXES_MODE(test_leave, try_leave, BV_POLICY_FULL, false)
BOXES_MODE(test_leave_as_user, try_leave, BV_POLICY_FULL, true)
BOXES_MODE(test_turns, try_turns, BV_POLICY_FULL, false)
BOXES_MODE(test_turns_as_user, try_turns, BV_POLICY_FULL, true)
BOXES_MODE(test_replace, try_replace, BV_POLICY_FULL, false)
BOXES_MODE(test_replace_as_user, try_replace, BV_POLICY_FULL, true)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mounts),    cmocka_unit_test(test_mounts_as_user),
        cmocka_unit_test(test_take_over), cmocka_unit_test(test_take_over_as_user),
        cmocka_unit_test(test_leave),     cmocka_unit_test(test_leave_as_user),
        cmocka_unit_test(test_turns),     cmocka_unit_test(test_turns_as_user),
        cmocka_unit_test(test_replace),   cmocka_unit_test(test_replace_as_user),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
