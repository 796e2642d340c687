/*
 * The control groups that this process is in, of version 1 or 2, and what they and those above them
 * limit. `mounts` and `own` are the texts of /proc/self/mountinfo and /proc/self/cgroup. What is
 * not told limits nothing: reading never fails. Thread-safe.
 */
#ifndef BV_BASE_CGROUP_H
#define BV_BASE_CGROUP_H

#include <stddef.h>
#include <stdint.h>

/* The folder of our group in the hierarchy of a controller (type "cgroup"), or of version 2
 * ("cgroup2", controller ""): how many of its bytes are the mount point; 0, and "": it is not seen.
 */
size_t bv_cgroup_folder(const char *mounts, const char *own, const char *type,
                        const char *controller, char *out, size_t size);

typedef struct bv_cgroup_limits {
    double cores;          /* the least CPU time for each second, in seconds; 0: no limit */
    uint64_t memory_bytes; /* the least limit; 0: none */
    uint64_t memory_left;  /* the least that is left of one, where there is one; pages of files,
                              which go when memory is wanted, are not taken */
} bv_cgroup_limits;
void bv_cgroup_limits_read(bv_cgroup_limits *limits);
void bv_cgroup_limits_of(const char *mounts, const char *own, bv_cgroup_limits *limits);

/* Threads that so much time (`cores`, not 0) is worth, at least one: a part of a core's is worth
 * one more, since what it takes from others it gives back at their waits. */
int bv_cgroup_threads(double cores);

#endif
