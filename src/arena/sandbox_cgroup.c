#include "arena/sandbox_cgroup.h"
#include "arena/sandbox_tree.h"

#include "base/buffer.h"
#include "base/cgroup.h"
#include "base/file.h"
#include "base/memory.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PREFIX "beaver-box-"
#define LEAF "beaver-own" /* version 2: where we are ourselves */
#define OWN_PROCESSES 2   /* a slot and the first process of its box are in the group too */

/* Errors that say nothing about what this machine allows. */
static bool is_shortage(int number) {
    return number == EMFILE || number == ENFILE || number == ENOMEM || number == ENOSPC ||
           number == EAGAIN || number == EIO || number == EINTR;
}

/* ---- where ---- */

static bool has_word(const char *folder, const char *file, const char *word) {
    char path[700];
    bv_buffer text = {0};
    snprintf(path, sizeof path, "%s/%s", folder, file);
    bv_error *error = bv_file_read(path, &text);
    bool found = false;
    for (const char *at = text.data; !error && at && (at = strstr(at, word)); at++) {
        const char after = at[strlen(word)];
        found = found || ((at == text.data || at[-1] == ' ') && (!after || strchr(" \n", after)));
    }
    bv_error_free(&error);
    bv_buffer_free(&text);
    return found;
}

static void find_version1(const char *mounts, const char *own, const char *controller, char *out,
                          size_t size) {
    bv_cgroup_folder(mounts, own, "cgroup", controller, out, size);
    if (out[0] && access(out, W_OK | X_OK)) out[0] = 0;
}

/* ---- version 2 ---- */

/* Does it pass on to groups below it what a box needs? The count of CPU time is always there. */
static bool passes_on(const char *folder) {
    return has_word(folder, "cgroup.subtree_control", "memory") &&
           has_word(folder, "cgroup.subtree_control", "pids");
}

/* May we make groups in it, and move processes between them? */
static bool is_writable(const char *folder) {
    char path[700];
    snprintf(path, sizeof path, "%s/cgroup.procs", folder);
    return access(folder, W_OK | X_OK) == 0 && access(path, W_OK) == 0;
}

static bool write_text(const char *folder, const char *name, const char *text) {
    char path[1200];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    const int file = open(path, O_WRONLY | O_CLOEXEC);
    if (file < 0) return false;
    const bool done = write(file, text, strlen(text)) == (ssize_t)strlen(text);
    close(file);
    return done;
}

static bool pass_on(const char *folder) {
    return write_text(folder, "cgroup.subtree_control", "+memory +pids");
}

static bool move_in(const char *folder, pid_t pid) {
    char text[32];
    snprintf(text, sizeof text, "%d", (int)pid);
    return write_text(folder, "cgroup.procs", text);
}

/* Are we the only process of the group? Those that we cannot see are listed as 0. */
static bool is_alone(const char *folder) {
    char path[700], own[32];
    bv_buffer text = {0};
    snprintf(path, sizeof path, "%s/cgroup.procs", folder);
    snprintf(own, sizeof own, "%d\n", (int)getpid());
    bv_error *error = bv_file_read(path, &text);
    const bool alone = !error && text.data && !strcmp(text.data, own);
    bv_error_free(&error);
    bv_buffer_free(&text);
    return alone;
}

/* A group that passes controllers on may have no processes itself (cgroups(7), "no internal
 * processes"), unless it is the root of all. So who is alone in a group moves one down, into a leaf
 * of a fixed name, and boxes get leaves beside it. Nobody else is ever moved. */
static bool divide(const char *folder) {
    char leaf[700];
    snprintf(leaf, sizeof leaf, "%s/" LEAF, folder);
    if (mkdir(leaf, 0755) && errno != EEXIST) return false;
    if (move_in(leaf, getpid()) && pass_on(folder)) return true;
    move_in(folder, getpid());
    rmdir(leaf);
    return false;
}

/* NULL, and `group` is where boxes' groups can be made; or what hinders. */
static const char *settle(char *group) {
    char *slash = strrchr(group, '/');
    const bool in_leaf = slash && !strcmp(slash, "/" LEAF);
    if (in_leaf) *slash = 0; /* we or our parent moved there, or somebody put us there */
    if (!is_writable(group)) return "not writable";
    if (passes_on(group)) return NULL;
    if (!has_word(group, "cgroup.controllers", "memory") ||
        !has_word(group, "cgroup.controllers", "pids"))
        return "our group has no controllers";
    if (!in_leaf && !is_alone(group)) return "other processes are in our group";
    return (in_leaf ? pass_on(group) : divide(group)) ? NULL : "controllers cannot be enabled";
}

void bv_cgroup_find(const char *mounts, const char *own, bv_cgroup_bases *b) {
    bv_buffer mount_text = {0}, own_text = {0};
    bv_error *error = mounts ? BV_OK : bv_file_read("/proc/self/mountinfo", &mount_text);
    if (!error && !own) error = bv_file_read("/proc/self/cgroup", &own_text);
    const int number = errno;
    *b = (bv_cgroup_bases){.obstacle = error ? "not to be read" : "not writable",
                           .failed = error && is_shortage(number) ? number : 0};
    if (!error) {
        if (!mounts) mounts = mount_text.data;
        if (!own) own = own_text.data;
        find_version1(mounts, own, "memory", b->memory, sizeof b->memory);
        find_version1(mounts, own, "pids", b->pids, sizeof b->pids);
        find_version1(mounts, own, "cpuacct", b->cpu, sizeof b->cpu);
        char unified[512];
        bv_cgroup_folder(mounts, own, "cgroup2", "", unified, sizeof unified);
        if (!b->memory[0] && !b->pids[0] && unified[0]) b->obstacle = settle(unified);
        if (!b->obstacle) {
            snprintf(b->memory, sizeof b->memory, "%s", unified);
            snprintf(b->pids, sizeof b->pids, "%s", unified);
            snprintf(b->cpu, sizeof b->cpu, "%s", unified);
            b->version2 = true;
        }
    }
    bv_error_free(&error);
    bv_buffer_free(&mount_text);
    bv_buffer_free(&own_text);
}

/* ---- leftovers ---- */

static void kill_members(const char *folder) {
    char path[1200];
    bv_buffer text = {0};
    snprintf(path, sizeof path, "%s/cgroup.procs", folder);
    bv_error *error = bv_file_read(path, &text);
    for (char *at = text.data, *end; !error && at && *at; at = end) {
        const long pid = strtol(at, &end, 10);
        if (end == at) break;
        if (pid > 1 && pid != getpid()) kill((pid_t)pid, SIGKILL);
    }
    bv_error_free(&error);
    bv_buffer_free(&text);
}

/* Members that were killed are still there for a moment. Version 2 kills all at once (from Linux
 * 5.14 on). */
static void remove_group(const char *folder) {
    for (int try = 0; try < 200 && rmdir(folder) && errno == EBUSY; try++) {
        const struct timespec pause = {0, 5000000};
        if (!write_text(folder, "cgroup.kill", "1")) kill_members(folder);
        nanosleep(&pause, NULL);
    }
}

static void sweep(const char *base) {
    char **names = NULL;
    size_t count = 0;
    bv_error *error = bv_dir_list(base, &names, &count);
    if (error) count = 0;
    for (size_t i = 0; i < count; i++) {
        char path[1024];
        if (!bv_tree_name_stale(PREFIX, names[i])) continue;
        snprintf(path, sizeof path, "%s/%s", base, names[i]);
        remove_group(path);
    }
    bv_names_free(names, count);
    bv_error_free(&error);
}

void bv_cgroup_sweep(const bv_cgroup_bases *bases) {
    if (bases->memory[0]) sweep(bases->memory);
    if (bases->pids[0] && !bases->version2) sweep(bases->pids);
    if (bases->cpu[0] && !bases->version2) sweep(bases->cpu);
}

/* ---- a group ---- */

static const bv_cgroup no_group = {.memory_max = -1,
                                   .memory_peak = -1,
                                   .memory_now = -1,
                                   .memory_events = -1,
                                   .pids_max = -1,
                                   .pids_events = -1,
                                   .cpu_usage = -1};

static int open_counter(const char *folder, const char *name, int flags) {
    char path[800];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return open(path, flags | O_CLOEXEC);
}

/* The number after `word`, or the first one of the file. */
static bool get_counter(int file, const char *word, uint64_t *number) {
    char text[1024];
    const ssize_t n = file < 0 ? -1 : pread(file, text, sizeof text - 1, 0);
    text[n < 0 ? 0 : n] = 0;
    const char *at = word ? strstr(text, word) : text;
    if (n > 0 && at) *number = strtoull(at + (word ? strlen(word) : 0), NULL, 10);
    return n > 0 && at;
}

/* A counter that cannot be read is 0, and accuses nobody. */
static uint64_t read_counter(int file, const char *word) {
    uint64_t number = 0;
    return get_counter(file, word, &number) ? number : 0;
}

static bool write_counter(int file, uint64_t number) {
    char text[32];
    const int n = snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    return pwrite(file, text, (size_t)n, 0) == n;
}

static bv_status join(const char *base, unsigned index, pid_t slot, char *path, size_t size) {
    char name[128];
    path[0] = 0;
    if (!base[0]) return BV_OK;
    bv_tree_own_name(PREFIX, index, name, sizeof name);
    snprintf(path, size, "%s/%s", base, name);
    if ((!mkdir(path, 0755) || errno == EEXIST) && move_in(path, slot)) return BV_OK;
    const int number = errno;
    rmdir(path);
    path[0] = 0;
    errno = number;
    return is_shortage(number) ? bv_fail_errno("cannot make a control group for a box") : BV_OK;
}

static void open_memory(bv_cgroup *g) {
    const char *folder = g->paths[0];
    const bool two = g->version2;
    g->memory_max = open_counter(folder, two ? "memory.max" : "memory.limit_in_bytes", O_RDWR);
    g->memory_now =
        open_counter(folder, two ? "memory.current" : "memory.usage_in_bytes", O_RDONLY);
    const char *peak = two ? "memory.peak" : "memory.max_usage_in_bytes";
    g->memory_peak = open_counter(folder, peak, O_RDWR);
    if (g->memory_peak < 0) g->memory_peak = open_counter(folder, peak, O_RDONLY);
    g->memory_events = open_counter(folder, two ? "memory.events" : "memory.oom_control", O_RDONLY);
    g->memory = g->memory_max >= 0 && g->memory_now >= 0 && g->memory_events >= 0;
    /* Swap would make a limit of memory one of speed. */
    if (g->memory && two) write_text(folder, "memory.swap.max", "0");
    if (g->memory && !two) write_text(folder, "memory.swappiness", "0");
}

static void open_rest(bv_cgroup *g) {
    const char *usage = g->version2 ? "cpu.stat" : "cpuacct.usage";
    if (g->paths[1][0]) {
        g->pids_max = open_counter(g->paths[1], "pids.max", O_RDWR);
        g->pids_events = open_counter(g->paths[1], "pids.events", O_RDONLY);
        g->pids = g->pids_max >= 0 && g->pids_events >= 0;
    }
    if (g->paths[2][0]) g->cpu_usage = open_counter(g->paths[2], usage, O_RDONLY);
    g->cpu = g->cpu_usage >= 0;
}

bv_status bv_cgroup_make(const bv_cgroup_bases *bases, unsigned index, pid_t slot, bv_cgroup *g) {
    *g = no_group;
    g->version2 = bases->version2;
    const char *list[] = {bases->memory, bases->pids, bases->cpu};
    for (int i = 0; i < (g->version2 ? 1 : 3); i++)
        BV_TRY(join(list[i], index, slot, g->paths[i], sizeof g->paths[i]));
    for (int i = 1; i < 3 && g->version2; i++) memcpy(g->paths[i], g->paths[0], sizeof *g->paths);
    errno = 0;
    if (g->paths[0][0]) open_memory(g);
    open_rest(g);
    const bool whole = (g->memory || !g->paths[0][0]) && (g->pids || !g->paths[1][0]) &&
                       (g->cpu || !g->paths[2][0]);
    return whole || !is_shortage(errno) ? BV_OK
                                        : bv_fail_errno("cannot open the control group of a box");
}

void bv_cgroup_remove(bv_cgroup *g) {
    const int files[] = {g->memory_max, g->memory_peak, g->memory_now, g->memory_events,
                         g->pids_max,   g->pids_events, g->cpu_usage};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (files[i] >= 0) close(files[i]);
    for (int i = 0; i < (g->version2 ? 1 : 3); i++)
        if (g->paths[i][0]) remove_group(g->paths[i]);
    *g = no_group;
}

static uint64_t cpu_ns(const bv_cgroup *g) {
    if (g->version2) return 1000 * read_counter(g->cpu_usage, "usage_usec ");
    return read_counter(g->cpu_usage, NULL);
}

/* A counter that was there and is not any more limits nothing: its controller was taken away. */
static bv_status fail_gone(const char *what) {
    return bv_fail(BV_CODE_FAULT, "the control group of a box has lost its %s controller", what);
}

static bv_status begin_memory(bv_cgroup *g, uint64_t memory_bytes) {
    if (!g->memory_base) g->memory_base = read_counter(g->memory_now, NULL);
    const uint64_t limit = g->memory_base + memory_bytes;
    if (!get_counter(g->memory_events, "oom_kill ", &g->oom_before)) return fail_gone("memory");
    if (limit != g->memory_limit && !write_counter(g->memory_max, limit))
        return bv_fail_errno("cannot set the memory limit of a box");
    g->memory_limit = limit;
    /* Version 2 begins anew from Linux 6.12 on, and refuses before that. */
    g->peak_begun = g->memory_peak >= 0 && write_counter(g->memory_peak, 0);
    if (!g->peak_begun) g->peak_before = read_counter(g->memory_peak, NULL);
    return BV_OK;
}

bv_status bv_cgroup_begin(bv_cgroup *g, uint64_t memory_bytes, uint32_t pids) {
    if (g->memory) BV_TRY(begin_memory(g, memory_bytes));
    if (g->pids) {
        const uint64_t limit = (uint64_t)pids + OWN_PROCESSES;
        if (!get_counter(g->pids_events, "max ", &g->pids_before)) return fail_gone("pids");
        if (limit != g->pids_limit && !write_counter(g->pids_max, limit))
            return bv_fail_errno("cannot set the limit of processes of a box");
        g->pids_limit = limit;
    }
    if (g->cpu) g->cpu_before = cpu_ns(g);
    return BV_OK;
}

uint64_t bv_cgroup_cpu_ns(const bv_cgroup *g) {
    const uint64_t now = g->cpu ? cpu_ns(g) : 0;
    return now > g->cpu_before ? now - g->cpu_before : 0;
}

bool bv_cgroup_memory_hit(const bv_cgroup *g) {
    return g->memory && read_counter(g->memory_events, "oom_kill ") > g->oom_before;
}

bool bv_cgroup_pids_hit(const bv_cgroup *g) {
    return g->pids && read_counter(g->pids_events, "max ") > g->pids_before;
}

/* A peak that cannot begin anew is this job's if it has grown. Else the group was at its limit when
 * the kernel killed for it, and without that, what it holds now is the least that is known. */
uint64_t bv_cgroup_peak(const bv_cgroup *g, bool *exact) {
    uint64_t peak = g->memory ? read_counter(g->memory_peak, NULL) : 0;
    *exact = g->memory && (g->peak_begun || peak > g->peak_before || bv_cgroup_memory_hit(g));
    if (!*exact)
        peak = read_counter(g->memory_now, NULL);
    else if (!g->peak_begun && peak <= g->peak_before)
        peak = g->memory_limit;
    return peak > g->memory_base ? peak - g->memory_base : 0;
}
