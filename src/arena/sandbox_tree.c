#include "arena/sandbox_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 256
#define TASKS_MAX 65536

typedef struct process {
    unsigned long long ticks, waited_ticks, threads, start, rss_pages;
} process;

static ssize_t read_text(const char *path, char *text, size_t size) {
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return -1;
    const ssize_t n = read(file, text, size - 1);
    close(file);
    text[n < 0 ? 0 : n] = 0;
    return n;
}

/* proc(5): fields 14 to 17 are times, 20 threads, 22 the start, 24 resident pages. */
static int read_process(pid_t pid, process *p) {
    char path[64], text[1024];
    unsigned long long utime, stime, cutime, cstime;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    if (read_text(path, text, sizeof text) <= 0) return -1;
    const char *after = strrchr(text, ')');
    if (!after) return -1;
    const int n = sscanf(after + 1,
                         " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %llu %llu "
                         "%*d %*d %llu %*d %llu %*u %llu",
                         &utime, &stime, &cutime, &cstime, &p->threads, &p->start, &p->rss_pages);
    if (n != 7) return -1;
    p->ticks = utime + stime;
    p->waited_ticks = cutime + cstime;
    return 0;
}

uint64_t bv_tree_process_start(pid_t pid) {
    process p;
    return read_process(pid, &p) ? 0 : p.start;
}

bool bv_tree_process_gone(pid_t pid, uint64_t start) {
    const uint64_t now = bv_tree_process_start(pid);
    return now ? now != start : kill(pid, 0) && errno == ESRCH;
}

static unsigned long long pid_namespace(void) {
    struct stat s;
    return stat("/proc/self/ns/pid", &s) ? 0 : (unsigned long long)s.st_ino;
}

/* Read anew each time: kept, it would be the parent's after a fork, and the next sweep would take
 * what it names for a dead one's. */
void bv_tree_own_name(const char *prefix, unsigned number, char *name, size_t size) {
    snprintf(name, size, "%s%d-%llu-%llu-%u", prefix, (int)getpid(),
             (unsigned long long)bv_tree_process_start(getpid()), pid_namespace(), number);
}

bool bv_tree_name_stale(const char *prefix, const char *name) {
    int pid;
    unsigned number;
    unsigned long long start, space;
    const size_t length = strlen(prefix);
    return !strncmp(name, prefix, length) &&
           sscanf(name + length, "%d-%llu-%llu-%u", &pid, &start, &space, &number) == 4 &&
           space == pid_namespace() && bv_tree_process_gone(pid, start);
}

static void add_children(pid_t pid, const char *task, bv_tree_use *use, int depth);

static void add_delay(pid_t pid, const char *task, bv_tree_use *use) {
    char path[320], text[100];
    unsigned long long delay_ns;
    snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", (int)pid, task);
    if (read_text(path, text, sizeof text) <= 0 || sscanf(text, "%*u %llu", &delay_ns) != 1) return;
    if (delay_ns > use->delay_ns) use->delay_ns = delay_ns;
}

static void add_task(pid_t pid, const char *task, bv_tree_use *use, int depth) {
    if (use->with_delay) add_delay(pid, task, use);
    add_children(pid, task, use, depth);
}

static void add_process(pid_t pid, bv_tree_use *use, int depth) {
    process p;
    if (use->tasks >= TASKS_MAX || depth > DEPTH_MAX || read_process(pid, &p)) return;
    const uint64_t tick_ns = 1000000000ull / (uint64_t)sysconf(_SC_CLK_TCK);
    use->tasks += (uint32_t)p.threads;
    use->rss_bytes += p.rss_pages * (uint64_t)sysconf(_SC_PAGESIZE);
    use->cpu_ns += (p.ticks + p.waited_ticks) * tick_ns;
    char path[64], task[32];
    snprintf(task, sizeof task, "%d", (int)pid);
    if (p.threads == 1) {
        add_task(pid, task, use, depth);
        return;
    }
    /* Any thread can be a parent. */
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *folder = opendir(path);
    for (struct dirent *e; folder && (e = readdir(folder));)
        if (e->d_name[0] != '.') add_task(pid, e->d_name, use, depth);
    if (folder) closedir(folder);
}

static void add_children(pid_t pid, const char *task, bv_tree_use *use, int depth) {
    char path[320], list[8192];
    snprintf(path, sizeof path, "/proc/%d/task/%s/children", (int)pid, task);
    if (read_text(path, list, sizeof list) <= 0) return;
    for (char *at = list, *end; *at; at = end) {
        const pid_t child = (pid_t)strtol(at, &end, 10);
        if (end == at || child <= 1) break;
        add_process(child, use, depth + 1);
    }
}

static void measure(pid_t top, bv_tree_use *use) {
    char task[32];
    snprintf(task, sizeof task, "%d", (int)top);
    add_children(top, task, use, 0);
}

void bv_tree_measure(pid_t top, bv_tree_use *use) {
    *use = (bv_tree_use){0};
    measure(top, use);
}

uint64_t bv_tree_delay_ns(pid_t top) {
    bv_tree_use use = {.with_delay = true};
    measure(top, &use);
    return use.delay_ns;
}
