/*
 * What about a machine slows computing down or may stop it, each with a remedy, for `doctor`.
 * Reading never fails: what the kernel does not tell is not complained about. Thread-safe.
 */
#ifndef BV_REPORT_ADVICE_H
#define BV_REPORT_ADVICE_H

#include "report/machine.h"
#include <stdbool.h>

typedef struct bv_advice {
    char what[200];
    char remedy[200];
} bv_advice;

#define BV_ADVICE_MAX 12

typedef struct bv_advice_list {
    bv_advice items[BV_ADVICE_MAX];
    size_t count;
} bv_advice_list;

/* What the machine is set up for, as read from the system; tests make their own. */
typedef struct bv_surroundings {
    bv_machine machine;
    int threads;            /* that would compute */
    const char *level;      /* that would be used */
    const char *best_level; /* the best that this program and this CPU have */
    char huge_pages[16];    /* "always", "madvise", "never"; empty: not told */
    char governor[32];      /* of CPU 0; empty: not told */
    double load;            /* of the last minute, processes that want a core */
    double free_disk_bytes; /* where runs would be written; negative: not told */
    bool limits_kept;       /* measured limits can be remembered */
    double share_of_best;   /* that a limit measured now is of the best seen; 1: it is the best */
} bv_surroundings;

/* Fills all but threads, level, best_level, limits_kept and share_of_best. */
void bv_surroundings_read(bv_surroundings *out);
void bv_advise(const bv_surroundings *surroundings, bv_advice_list *out);

#endif
