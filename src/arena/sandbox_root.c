/*
 * The root of a box: a tmpfs of our own with the binds, three devices, and one more tmpfs with a
 * size that shows as /work and /tmp; /dev/shm is a link to that. There is no /proc and no /sys. The
 * host's root is detached, so no path and no link leads to it.
 *
 * All but /work and /tmp is built once for a slot and a plan, in a mount namespace and a user
 * namespace of the slot's own, and is read-only when done. A box's mount namespace begins as a copy
 * of that, and belongs to the box's user namespace, which has no rights in the slot's: the kernel
 * locks what was copied, so that even who takes over a box can neither write there nor remount it,
 * and cannot unmount any part. What is written ends with the box's own tmpfs.
 *
 * Binds are cloned (open_tree) and made read-only, nosuid and nodev before they are attached
 * anywhere. The newer mount calls are made by number: C libraries have them only since lately.
 */
#include "arena/sandbox_box.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

/* include/uapi/linux/mount.h */
#define TREE_CLONE 1u
#define TREE_CLOEXEC ((unsigned)O_CLOEXEC)
#define AT_TREE_RECURSIVE 0x8000u
#define MOVE_FROM_EMPTY_PATH 0x4u
#define ATTRIBUTE_RDONLY 0x1u
#define ATTRIBUTE_NOSUID 0x2u
#define ATTRIBUTE_NODEV 0x4u
#define ATTRIBUTE_NOEXEC 0x8u

struct attributes {
    uint64_t set, clear, propagation, userns;
};

#define BASE "/tmp"    /* where the new root is put together, on top of whatever is there */
#define SPARE_INODES 3 /* the tmpfs's own, w, t */

static const bv_box_bind devices[] = {
    {.source = "/dev/null", .target = "/dev/null"},
    {.source = "/dev/zero", .target = "/dev/zero"},
    {.source = "/dev/urandom", .target = "/dev/urandom"},
};
#define DEVICE_COUNT (sizeof devices / sizeof *devices)
#define TREES_MAX 64

static const bv_box_bind *bind_at(const bv_box_plan *plan, size_t i) {
    return i < plan->bind_count ? &plan->binds[i] : &devices[i - plan->bind_count];
}

static bv_status check_same(const bv_box_bind *bind, const struct stat *s, bool device) {
    if (device ||
        (s->st_dev == bind->device && s->st_ino == bind->inode && s->st_mode == (mode_t)bind->mode))
        return BV_OK;
    return bv_fail(BV_CODE_FAULT, "%s has become another file since it was checked", bind->source);
}

/* Opens a detached read-only clone of a bind's source. *tree -1: absent, or a symbolic link. */
static bv_status clone_tree(const bv_box_bind *bind, bool device, int *tree) {
    struct stat s;
    *tree = -1;
    if (lstat(bind->source, &s)) {
        if (errno == ENOENT && bind->optional) return BV_OK;
        return bv_fail_errno("cannot show %s in a box", bind->source);
    }
    if (S_ISLNK(s.st_mode)) return check_same(bind, &s, device);
    const unsigned flags = TREE_CLONE | TREE_CLOEXEC | AT_TREE_RECURSIVE;
    *tree = (int)syscall(SYS_open_tree, AT_FDCWD, bind->source, flags);
    if (*tree < 0) return bv_fail_errno("cannot clone the mount of %s", bind->source);
    if (fstat(*tree, &s)) return bv_fail_errno("cannot look at %s", bind->source);
    BV_TRY(check_same(bind, &s, device));
    struct attributes a = {.set = ATTRIBUTE_RDONLY | ATTRIBUTE_NOSUID};
    a.set |= device ? ATTRIBUTE_NOEXEC : ATTRIBUTE_NODEV;
    if (syscall(SYS_mount_setattr, *tree, "", AT_EMPTY_PATH | AT_TREE_RECURSIVE, &a, sizeof a))
        return bv_fail_errno("cannot make %s read-only in a box", bind->source);
    return BV_OK;
}

/* Makes the folders above `path`, which is relative. */
static void make_parents(const char *path) {
    char part[PATH_MAX];
    for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        const size_t length = (size_t)(slash - path);
        if (length == 0 || length >= sizeof part) continue;
        memcpy(part, path, length);
        part[length] = 0;
        mkdir(part, 0755);
    }
}

/* Attaches a tree at its target below the current folder, or makes the same link. */
static bv_status attach(const bv_box_bind *bind, int tree) {
    const char *target = bind->target + strspn(bind->target, "/");
    make_parents(target);
    if (tree < 0) {
        char link[PATH_MAX];
        const ssize_t n = readlink(bind->source, link, sizeof link - 1);
        if (n < 0 && errno == ENOENT && bind->optional) return BV_OK;
        if (n < 0) return bv_fail_errno("cannot read the link %s", bind->source);
        link[n] = 0;
        if (symlink(link, target)) return bv_fail_errno("cannot make the link %s", bind->target);
        return BV_OK;
    }
    struct stat s;
    if (fstat(tree, &s)) return bv_fail_errno("cannot look at %s", bind->source);
    const int made = S_ISDIR(s.st_mode) ? mkdir(target, 0755) : mknod(target, S_IFREG | 0644, 0);
    if (made && errno != EEXIST) return bv_fail_errno("cannot make %s in a box", bind->target);
    if (syscall(SYS_move_mount, tree, "", AT_FDCWD, target, MOVE_FROM_EMPTY_PATH))
        return bv_fail_errno("cannot attach %s in a box", bind->target);
    return BV_OK;
}

static void describe_size(char *text, size_t size, uint64_t files_bytes, uint64_t files) {
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    /* One page and one inode more than allowed: only who wants too much fills it. */
    snprintf(text, size, "size=%llu,nr_inodes=%llu,mode=700",
             (unsigned long long)((files_bytes + page - 1) / page * page + page),
             (unsigned long long)(files + SPARE_INODES + 1));
}

/* ---- in a slot ---- */

/* Read-only is the file system itself, too, not only where it is mounted. */
static bv_status pivot(void) {
    const unsigned long read_only = MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV;
    if (syscall(SYS_pivot_root, ".", ".") || umount2(".", MNT_DETACH) || chdir("/"))
        return bv_fail_errno("cannot change to the root of a box");
    if (mount(NULL, "/", NULL, read_only, NULL))
        return bv_fail_errno("cannot make the root of a box read-only");
    return BV_OK;
}

static bv_status build(const bv_box_plan *plan, int *trees, size_t count) {
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
        return bv_fail_errno("cannot make mounts private");
    for (size_t i = 0; i < count; i++)
        BV_TRY(clone_tree(bind_at(plan, i), i >= plan->bind_count, &trees[i]));
    if (mount("tmpfs", BASE, "tmpfs", MS_NOSUID, "size=1m,nr_inodes=1k,mode=755") || chdir(BASE))
        return bv_fail_errno("cannot mount a tmpfs at %s", BASE);
    for (size_t i = 0; i < count; i++) BV_TRY(attach(bind_at(plan, i), trees[i]));
    /* Where the C library keeps semaphores and shared memory that have names. */
    if (mkdir("work", 0755) || mkdir("tmp", 0755) || symlink("../tmp", "dev/shm"))
        return bv_fail_errno("cannot make the folders of a box");
    return pivot();
}

bv_status bv_root_build(const bv_box_plan *plan) {
    const size_t count = plan->bind_count + DEVICE_COUNT;
    int trees[TREES_MAX];
    if (count > TREES_MAX) return bv_fail(BV_CODE_USAGE, "a root has at most 61 binds");
    for (size_t i = 0; i < count; i++) trees[i] = -1;
    bv_error *error = build(plan, trees, count);
    for (size_t i = 0; i < count; i++)
        if (trees[i] >= 0) close(trees[i]);
    return error;
}

/* ---- in a box ---- */

/* Two folders of one tmpfs. */
bv_status bv_root_finish(bv_box *box) {
    char size[96];
    describe_size(size, sizeof size, box->plan->files_bytes, box->plan->files);
    box->files_bytes = box->plan->files_bytes, box->files = box->plan->files;
    if (mount("tmpfs", "/work", "tmpfs", MS_NOSUID | MS_NODEV, size) || mkdir("/work/w", 0700) ||
        mkdir("/work/t", 0700) || mount("/work/t", "/tmp", NULL, MS_BIND, NULL) ||
        mount("/work/w", "/work", NULL, MS_BIND, NULL))
        return bv_fail_errno("cannot make the work folder of a box");
    snprintf(box->work_path, sizeof box->work_path, "/work");
    box->work = open("/work", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return box->work < 0 ? bv_fail_errno("cannot open the work folder") : BV_OK;
}

bv_status bv_root_resize(bv_box *box, uint64_t files_bytes, uint64_t files) {
    char size[96];
    if (files_bytes == box->files_bytes && files == box->files) return BV_OK;
    describe_size(size, sizeof size, files_bytes, files);
    if (mount(NULL, "/work", "tmpfs", MS_REMOUNT | MS_NOSUID | MS_NODEV, size))
        return bv_fail_errno("cannot give the work folder its size");
    box->files_bytes = files_bytes, box->files = files;
    return BV_OK;
}

bool bv_root_is_full(const bv_box *box) {
    struct statfs s;
    return fstatfs(box->work, &s) == 0 && (s.f_bfree == 0 || s.f_ffree == 0);
}
