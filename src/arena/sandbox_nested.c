/*
 * Nested: a box without namespaces, for containers that forbid them. The program sees the host's
 * paths, but Landlock opens only the root's binds, read-only, and a work folder that is made for it
 * and removed after it; seccomp leaves no socket but pairs; signals cannot leave it (Landlock's
 * scope). As root the program becomes a user that nothing belongs to, where ids are to be had. What
 * is weaker than `full` is said in docs/sandbox.md: names and attributes of the host's files can be
 * asked for, and the work folder's size is looked at now and then instead of being fixed.
 */
#include "arena/sandbox_box.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

bv_status bv_nested_build(bv_box *box) {
    box->uid = box->plan->uid;
    if (!box->uid && !(box->user_tasks = bv_nested_user_tasks()))
        return bv_fail_errno("cannot count the processes of our user");
    /* A slot's boxes have one name: who was killed before it could clear its folder away, left it
     * to the next. */
    snprintf(box->nested_top, sizeof box->nested_top, "%s/box-%d", box->plan->scratch,
             (int)getppid());
    bv_nested_remove(box);
    if (mkdir(box->nested_top, 0700))
        return bv_fail_errno("cannot make a work folder in %s", box->plan->scratch);
    snprintf(box->work_path, sizeof box->work_path, "%s/w", box->nested_top);
    snprintf(box->temporary, sizeof box->temporary, "%s/t", box->nested_top);
    if (mkdir(box->work_path, 0700) || mkdir(box->temporary, 0700))
        return bv_fail_errno("cannot make %s", box->work_path);
    box->work = open(box->work_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (box->work < 0) return bv_fail_errno("cannot open %s", box->work_path);
    const gid_t gid = (gid_t)box->uid;
    if (box->uid && (chown(box->nested_top, box->uid, gid) || fchown(box->work, box->uid, gid) ||
                     chown(box->temporary, box->uid, gid)))
        return bv_fail_errno("cannot give away %s", box->work_path);
    box->files_bytes = box->plan->files_bytes, box->files = box->plan->files;
    return BV_OK;
}

/* ---- size ---- */

static _Thread_local uint64_t seen_bytes, seen_files;

/* What the program made: not the folder itself, nor the two in it that it was given. */
static int count(const char *path, const struct stat *s, int type, struct FTW *at) {
    (void)path;
    if (type != FTW_NS && at->level > 1) seen_bytes += (uint64_t)s->st_blocks * 512, seen_files++;
    return 0;
}

bool bv_nested_is_full(const bv_box *box) {
    seen_bytes = seen_files = 0;
    nftw(box->nested_top, count, 16, FTW_PHYS);
    return seen_bytes > box->files_bytes || seen_files > box->files;
}

/* ---- the end ---- */

/* Signals every child and grandchild that /proc shows now. One that dies meanwhile hands its
 * children to us, so another pass finds them. */
static void signal_descendants(pid_t pid, int signal, int depth) {
    char path[96], list[16384];
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)pid);
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return;
    const ssize_t n = read(file, list, sizeof list - 1);
    close(file);
    list[n < 0 ? 0 : n] = 0;
    for (char *at = list, *end; *at; at = end) {
        const pid_t child = (pid_t)strtol(at, &end, 10);
        if (end == at || child <= 1) break;
        /* The last number of a full list may be cut. */
        if (!*end && n == (ssize_t)sizeof list - 1) break;
        if (depth < 64) signal_descendants(child, signal, depth + 1);
        kill(child, signal);
    }
}

/* By user, at once, where it has an id that nobody else has; else by walking the tree: first
 * stopping all, so that nobody forks away. Who calls this does so again until it has no child left.
 */
void bv_nested_kill(const bv_box *box) {
    if (box && box->uid && !bv_box_id_is_shared(box->uid)) {
        const pid_t killer = fork();
        if (killer == 0) {
            if (setresuid(box->uid, box->uid, box->uid) == 0) kill(-1, SIGKILL);
            _exit(0);
        }
        while (killer > 0 && waitpid(killer, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    signal_descendants(getpid(), SIGSTOP, 0);
    signal_descendants(getpid(), SIGKILL, 0);
}

void bv_nested_reap(const bv_box *box, pid_t program, int *wait_status) {
    for (;;) {
        int status;
        bool any = false;
        bv_nested_kill(box);
        for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) != 0; any = true) {
            if (pid < 0 && errno == EINTR) continue;
            if (pid < 0) return; /* no child is left, so no grandchild either */
            if (pid == program && wait_status) *wait_status = status;
        }
        const struct timespec pause = {0, 500000};
        if (!any) nanosleep(&pause, NULL);
    }
}

/* How many processes and threads the user has, who is not ours alone: what RLIMIT_NPROC counts. */
uint32_t bv_nested_user_tasks(void) {
    DIR *folder = opendir("/proc");
    uint32_t count = 0;
    for (struct dirent *e; folder && (e = readdir(folder));) {
        struct stat s;
        char path[300];
        if (e->d_name[0] < '1' || e->d_name[0] > '9') continue;
        snprintf(path, sizeof path, "/proc/%s/task", e->d_name);
        if (stat(path, &s) == 0 && s.st_uid == geteuid()) count += (uint32_t)s.st_nlink - 2;
    }
    if (folder) closedir(folder);
    return count;
}

/* Deletes all in the current folder, however deep: into a folder and back by "..", never by a path,
 * which can be too long, and never through a link. Nobody is left who could move anything. */
static void empty_folder(void) {
    for (unsigned depth = 0;;) {
        DIR *folder = opendir(".");
        int deeper = -1;
        for (struct dirent *e; folder && deeper < 0 && (e = readdir(folder));) {
            if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
            if (unlinkat(AT_FDCWD, e->d_name, 0) == 0) continue;
            if (unlinkat(AT_FDCWD, e->d_name, AT_REMOVEDIR) == 0) continue;
            fchmodat(AT_FDCWD, e->d_name, 0700, 0);
            deeper = open(e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        }
        if (folder) closedir(folder);
        if (deeper >= 0) {
            const int failed = fchdir(deeper);
            close(deeper);
            if (failed) return;
            depth++;
        } else {
            if (depth == 0 || chdir("..")) return;
            depth--;
        }
    }
}

void bv_nested_remove(const bv_box *box) {
    if (!box->nested_top[0] || chdir(box->nested_top)) return;
    empty_folder();
    if (chdir("/") == 0) rmdir(box->nested_top);
}
