/*
 * The tree of a box, counted from outside by /proc: for machines on which no control group counts.
 * It is a sample: what lives shorter than the time between two of them is seen only in the sums
 * that its parent has waited for.
 */
#ifndef BV_ARENA_SANDBOX_TREE_H
#define BV_ARENA_SANDBOX_TREE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct bv_tree_use {
    uint64_t cpu_ns;    /* of the living, and of those they waited for */
    uint64_t rss_bytes; /* sum; shared pages count in each             */
    uint32_t tasks;     /* processes and threads                       */
    bool with_delay;
    uint64_t delay_ns; /* only with that: of the task that waited longest for a core */
} bv_tree_use;

/* All descendants of `top`, without itself. */
void bv_tree_measure(pid_t top, bv_tree_use *use);

/* How long the one of these that waited longest for a core was ready to run (proc(5), schedstat),
 * of the living. 0 where the kernel does not tell. */
uint64_t bv_tree_delay_ns(pid_t top);

/* When a process started, in clock ticks since the machine did; 0: there is none, or it cannot be
 * read. Together with its number it is never used twice. */
uint64_t bv_tree_process_start(pid_t pid);
/* Is the process with this number and start surely gone? What cannot be read may be alive. */
bool bv_tree_process_gone(pid_t pid, uint64_t start);

/* Names of what outlives a process that is killed: PREFIX, by whom, and a number of it. Such a name
 * is stale when that process is surely gone: of another pid namespace nobody here knows. */
void bv_tree_own_name(const char *prefix, unsigned number, char *name, size_t size);
bool bv_tree_name_stale(const char *prefix, const char *name);

#endif
