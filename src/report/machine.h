/*
 * What this machine is, as the Linux kernel tells it (/proc, /sys, sched_getaffinity, control
 * groups).
 * What is not told is left empty or 0: reading never fails. Thread-safe.
 */
#ifndef BV_REPORT_MACHINE_H
#define BV_REPORT_MACHINE_H

#include <stddef.h>
#include <stdint.h>

typedef struct bv_machine {
    char cpu[128];           /* model name, or the architecture where the kernel names none */
    char architecture[32];   /* as uname: x86_64, aarch64 */
    char kernel[96];         /* release */
    char features[256];      /* those that matter here, separated by blanks */
    int cores_online;        /* of the machine */
    int cores_usable;        /* that this process may run on */
    double cores_quota;      /* the least CPU limit of its cgroups, 0: none */
    uint64_t cache_bytes[3]; /* level 1 data, 2, 3: of one core's cache */
    int cache_sharing[3];    /* cores that share it */
    uint64_t memory_total, memory_available; /* bytes; limits of cgroups count */
} bv_machine;

void bv_machine_read(bv_machine *machine);

/* Largest memory that this program has had so far, bytes; 0: /proc does not tell. (What getrusage
 * tells is not less than what the program had that started this one.) */
uint64_t bv_machine_peak_memory(void);

#endif
