/*
 * Control groups: one folder a slot and hierarchy, below the group that we are in ourselves, so
 * that whatever limits us limits the boxes too. Version 1 (memory, pids, cpuacct, each its own
 * hierarchy) and version 2 (one). A slot moves in once; the boxes that it forks are born inside.
 * A counter that is not writable is absent, and somebody else counts: the supervisor. One that is
 * there and cannot be had for now (too many files are open, no memory) is an error.
 *
 * Version 2 allows no groups with controllers below a group that has processes. So a process that
 * is alone in a group that it may divide (a container, a service, systemd-run --scope) moves to the
 * leaf "beaver-own" in it, once, and its boxes are beside that; if it is not alone, or the group is
 * not its own to divide, the counters are absent. Nobody else is moved, and nothing above the group
 * is touched.
 */
#ifndef BV_ARENA_SANDBOX_CGROUP_H
#define BV_ARENA_SANDBOX_CGROUP_H

#include "base/status.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Where groups can be made on this machine; "" where they cannot. */
typedef struct bv_cgroup_bases {
    char memory[512], pids[512], cpu[512];
    bool version2;        /* all three are the same folder */
    const char *obstacle; /* why there is none; static */
    int failed;           /* errno: it is not known what there is */
} bv_cgroup_bases;
/* `mounts` and `own` are the texts of /proc/self/mountinfo and /proc/self/cgroup; NULL: read them.
 * Only folders in which we may make folders count. Version 2: may move this process, as above. */
void bv_cgroup_find(const char *mounts, const char *own, bv_cgroup_bases *bases);
/* Removes groups whose makers are dead, and kills what is still in them. */
void bv_cgroup_sweep(const bv_cgroup_bases *bases);

typedef struct bv_cgroup {
    bool memory, pids, cpu, version2;
    char paths[3][640];
    int memory_max, memory_peak, memory_now, memory_events; /* open files, -1: absent */
    int pids_max, pids_events, cpu_usage;
    uint64_t memory_base; /* what slot and idle box need themselves */
    uint64_t memory_limit, pids_limit;
    uint64_t oom_before, pids_before, cpu_before, peak_before;
    bool peak_begun; /* the kernel's peak is that since begin */
} bv_cgroup;

/* Makes the groups of a slot and moves it in. Where that is not allowed, the counter is absent; a
 * shortage is an error. Either way the group is to be removed. */
bv_status bv_cgroup_make(const bv_cgroup_bases *bases, unsigned index, pid_t slot,
                         bv_cgroup *group);
void bv_cgroup_remove(bv_cgroup *group); /* after the slot has ended */

/* Before a job: sets limits, remembers counters. `pids` counts the program's alone. Fails when a
 * limit cannot be set, or its counter has gone: the group must not be used then. */
bv_status bv_cgroup_begin(bv_cgroup *group, uint64_t memory_bytes, uint32_t pids);
uint64_t bv_cgroup_cpu_ns(const bv_cgroup *group); /* since begin */
bool bv_cgroup_memory_hit(const bv_cgroup *group); /* the kernel killed for memory since begin */
bool bv_cgroup_pids_hit(const bv_cgroup *group);   /* a fork was refused since begin */
/* Bytes since begin, without the base. Not exact: at least so many (version 2 before Linux 6.12,
 * after a job of the same group that needed more). */
uint64_t bv_cgroup_peak(const bv_cgroup *group, bool *exact);

#endif
