/* What the files of the pool share: slots, boxes, and what supervision finds. Not public. */
#ifndef BV_ARENA_SANDBOX_POOL_H
#define BV_ARENA_SANDBOX_POOL_H

#include "arena/sandbox.h"
#include "arena/sandbox_box.h"
#include "arena/sandbox_cgroup.h"
#include <pthread.h>
#include <stdatomic.h>

typedef struct bv_slot {
    unsigned index;
    pid_t pid;   /* 0: not running */
    int socket;  /* -1 */
    bool in_use; /* by a caller */
    bool making; /* a box was asked for, and not yet taken */
    bool warm_python;
    uid_t uid;      /* nested as root: whom its programs become; else 0 */
    uint64_t asked; /* when its box was asked for: the oldest is the most likely to be ready */
    const bv_sandbox_root *root;    /* of the box that is ready or being made */
    bv_buffer plans[BV_SLOT_PLANS]; /* which it knows, by place */
    size_t next_plan;               /* the place that a new one takes */
    bv_cgroup group;
} bv_slot;

struct bv_sandbox_pool {
    bv_sandbox_policy policy;
    bv_slot *slots; /* for each box one, and with warm Python one more that has it */
    uint32_t slot_count;
    uint32_t count, free; /* boxes at once */
    bool warm_python;
    bv_cgroup_bases bases;
    char scratch[200]; /* nested: the folder of work folders, else "" */
    /* By what a control group counts, and by whose ids programs have. */
    struct sock_fprog filters[2][2];
    pthread_mutex_t mutex; /* guards in_use, free and filters */
    pthread_cond_t freed;
};

struct bv_sandbox_box {
    bv_sandbox_pool *pool;
    bv_slot *slot;
    const bv_sandbox_job *job;
    int control, process; /* socket, pidfd */
    pid_t pid;
    int output, error; /* to read, -1: closed or not captured */
    int kept[2];       /* the other ends: what their last writer's end would tell, the box says */
    uint64_t started;
    uint64_t kill_sent; /* when it was asked to end its tree, 0: not yet */
    bool hard_killed;
    atomic_bool killed_by_caller;
    bool over; /* reported, or gone */
    bool reported;
    bv_box_report report;
    char fault[160];             /* ours, "" for none */
    bv_sandbox_verdict trigger;  /* the limit that supervision saw first; OK: none */
    uint64_t cpu_ns, peak_bytes; /* as sampled */
    uint64_t delay_ns;           /* the machine's own part of its wall time */
    bool memory_hit, pids_hit, peak_exact;
};

/* sandbox_supervise.c: until all are over. */
void bv_supervise(bv_sandbox_box **boxes, size_t count, bv_sandbox_result *results);
/* sandbox_verdict.c: fills verdict, numbers and reason from what was found. */
void bv_verdict_decide(const bv_sandbox_box *box, bv_sandbox_result *result);

/* sandbox_make.c: the slots' side. */
bv_status bv_slot_begin(bv_sandbox_pool *pool, bv_slot *slot);
void bv_slot_end(bv_slot *slot);
/* BV_CODE_USAGE, and nothing is asked: the root's sources are not ours alone. */
bv_status bv_slot_ask(bv_sandbox_pool *pool, bv_slot *slot, const bv_sandbox_root *root);
/* Waits for the box that was asked for: fills control, process and pid. */
bv_status bv_slot_take(bv_slot *slot, bv_sandbox_box *box);

#endif
