#include "base/cgroup.h"

#include "base/buffer.h"
#include "base/file.h"
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- where ---- */

/* The group we are in, by controller ("" for version 2), from /proc/self/cgroup. */
static bool own_group(const char *own, const char *controller, char *out, size_t size) {
    for (const char *line = own; line && *line; line = strchr(line, '\n')) {
        if (*line == '\n') line++;
        const char *list = strchr(line, ':');
        const char *path = list ? strchr(list + 1, ':') : NULL;
        if (!path) continue;
        const size_t length = strcspn(path + 1, "\n");
        char names[256];
        snprintf(names, sizeof names, ",%.*s,", (int)(path - list - 1), list + 1);
        char wanted[64];
        snprintf(wanted, sizeof wanted, ",%s,", controller);
        if (strcmp(controller, "") ? !strstr(names, wanted) : strcmp(names, ",,")) continue;
        snprintf(out, size, "%.*s", (int)length, path + 1);
        return true;
    }
    return false;
}

/* The mount point of a hierarchy and which group it shows, from /proc/self/mountinfo. */
static bool mount_point(const char *mounts, const char *type, const char *controller, char *root,
                        char *point, size_t size) {
    for (const char *line = mounts; line && *line; line = strchr(line, '\n')) {
        if (*line == '\n') line++;
        char text[1024], super[256], kind[64];
        snprintf(text, sizeof text, "%.*s", (int)strcspn(line, "\n"), line);
        const char *dash = strstr(text, " - ");
        if (!dash || sscanf(dash, " - %63s %*s %255s", kind, super) != 2) continue;
        if (sscanf(text, "%*s %*s %*s %511s %511s", root, point) != 2) continue;
        if (strcmp(kind, type)) continue;
        char options[300], wanted[64];
        snprintf(options, sizeof options, ",%s,", super);
        snprintf(wanted, sizeof wanted, ",%s,", controller);
        if (!*controller || strstr(options, wanted)) return strlen(point) < size;
    }
    return false;
}

size_t bv_cgroup_folder(const char *mounts, const char *own, const char *type,
                        const char *controller, char *out, size_t size) {
    char group[512], root[512], point[512];
    out[0] = 0;
    if (!own_group(own, controller, group, sizeof group)) return 0;
    if (!mount_point(mounts, type, controller, root, point, sizeof point)) return 0;
    /* In a container the mount may show only a part of the hierarchy. */
    const size_t cut = strcmp(root, "/") ? strlen(root) : 0;
    const char *below = strncmp(group, root, cut) ? "" : group + cut;
    const int n = snprintf(out, size, "%s%s", point, strcmp(below, "/") ? below : "");
    if (n >= 0 && (size_t)n < size) return strlen(point);
    out[0] = 0;
    return 0;
}

/* ---- what they limit ---- */

/* How a version names things. */
typedef struct names {
    const char *type, *cpu, *memory; /* of the mount, and controllers */
    const char *quota, *period;      /* period NULL: it stands behind the quota */
    const char *limit, *used;
    const char *pages[2]; /* of files, in memory.stat, at the beginning of lines */
} names;

static const names versions[] = {
    {"cgroup",
     "cpu",
     "memory",
     "cpu.cfs_quota_us",
     "cpu.cfs_period_us",
     "memory.limit_in_bytes",
     "memory.usage_in_bytes",
     {"total_inactive_file ", "total_active_file "}},
    {"cgroup2",
     "",
     "",
     "cpu.max",
     NULL,
     "memory.max",
     "memory.current",
     {"inactive_file ", "active_file "}},
};

#define NO_LIMIT ((uint64_t)1 << 60) /* version 1 says so by a number above this */

/* False, and "": there is no such file. */
static bool read_group(const char *group, const char *file, bv_buffer *text) {
    char path[700];
    bv_buffer_clear(text);
    snprintf(path, sizeof path, "%s/%s", group, file);
    bv_error *error = bv_file_read(path, text);
    const bool fine = !error && text->size > 0;
    bv_error_free(&error);
    return fine;
}

/* A word, "max", reads as 0; so does what is not there. */
static uint64_t read_number(const char *group, const char *file, bv_buffer *text) {
    return read_group(group, file, text) ? strtoull(text->data, NULL, 10) : 0;
}

static void limit_cores(bv_cgroup_limits *l, const names *n, const char *group, bv_buffer *text) {
    char *end;
    if (!read_group(group, n->quota, text)) return;
    const double quota = strtod(text->data, &end); /* "max" reads as 0, and -1 is none, too */
    const double period =
        n->period ? (double)read_number(group, n->period, text) : strtod(end, NULL);
    if (quota <= 0 || period <= 0) return;
    if (l->cores == 0 || quota / period < l->cores) l->cores = quota / period;
}

/* The number behind a word at the beginning of a line; 0: there is none. */
static uint64_t number_of_line(const char *text, const char *word) {
    for (const char *at = strstr(text, word); at; at = strstr(at + 1, word))
        if (at == text || at[-1] == '\n') return strtoull(at + strlen(word), NULL, 10);
    return 0;
}

static void limit_memory(bv_cgroup_limits *l, const names *n, const char *group, bv_buffer *text) {
    const uint64_t limit = read_number(group, n->limit, text);
    if (limit == 0 || limit >= NO_LIMIT) return;
    uint64_t used = read_number(group, n->used, text);
    const bool told = read_group(group, "memory.stat", text);
    for (int i = 0; told && i < 2; i++) {
        const uint64_t pages = number_of_line(text->data, n->pages[i]);
        used = used > pages ? used - pages : 0;
    }
    const uint64_t left = limit > used ? limit - used : 0;
    if (!l->memory_bytes || left < l->memory_left) l->memory_left = left;
    if (!l->memory_bytes || limit < l->memory_bytes) l->memory_bytes = limit;
}

typedef void look(bv_cgroup_limits *limits, const names *names, const char *group, bv_buffer *text);

/* At our group, and at all that hold it. */
static void look_at_groups(const char *mounts, const char *own, const names *n,
                           const char *controller, look *look_at, bv_cgroup_limits *limits) {
    char group[600];
    bv_buffer text = {0};
    const size_t root = bv_cgroup_folder(mounts, own, n->type, controller, group, sizeof group);
    for (char *end = group + strlen(group); root && end; end = strrchr(group + root, '/')) {
        *end = 0;
        look_at(limits, n, group, &text);
    }
    bv_buffer_free(&text);
}

void bv_cgroup_limits_of(const char *mounts, const char *own, bv_cgroup_limits *limits) {
    *limits = (bv_cgroup_limits){0};
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        const names *n = &versions[i];
        look_at_groups(mounts, own, n, n->cpu, limit_cores, limits);
        look_at_groups(mounts, own, n, n->memory, limit_memory, limits);
    }
}

void bv_cgroup_limits_read(bv_cgroup_limits *limits) {
    bv_buffer mounts = {0}, own = {0};
    bv_error *error = bv_file_read("/proc/self/mountinfo", &mounts);
    if (!error) error = bv_file_read("/proc/self/cgroup", &own);
    bv_cgroup_limits_of(mounts.data, error ? NULL : own.data, limits);
    bv_error_free(&error);
    bv_buffer_free(&mounts);
    bv_buffer_free(&own);
}

int bv_cgroup_threads(double cores) {
    return (int)fmin(fmax(ceil(cores - 0.01), 1), INT_MAX);
}
