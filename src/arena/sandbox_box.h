/*
 * Box: what runs on the guest's side of a pool, in processes of ours (a slot and its boxes), each
 * mechanism in its own file. A slot is started by exec, so that none of the caller's memory is
 * near a guest; it and a box have one thread.
 */
#ifndef BV_ARENA_SANDBOX_BOX_H
#define BV_ARENA_SANDBOX_BOX_H

#include "arena/sandbox.h"
#include "arena/sandbox_wire.h"
#include <linux/filter.h>
#include <stdint.h>
#include <sys/types.h>

/* The ids that a program sees. */
#define BV_BOX_ID 1000

/* A bind, and which file its source was when the caller checked it: a slot shows no other. */
typedef struct bv_box_bind {
    const char *source, *target;
    bool optional;
    uint64_t device, inode, mode; /* 0: it was absent */
} bv_box_bind;

/* What a box is made from: in the payload of BV_FRAME_MAKE, when its slot does not know it yet. */
typedef struct bv_box_plan {
    bv_sandbox_policy policy;
    bool memory_counted; /* a control group counts memory: else RLIMIT_AS, and no memfd */
    bool warm_python;
    uid_t uid;            /* nested as root: whom the program becomes; else 0 */
    uint64_t files_bytes; /* of the tmpfs that is made ahead */
    uint64_t files;
    const char *scratch; /* nested: the host's folder for work folders */
    const char *root_name;
    struct sock_fprog filter; /* of system calls */
    bv_box_bind *binds;
    size_t bind_count;
} bv_box_plan;
void bv_box_plan_put(bv_buffer *out, const bv_box_plan *plan);
bv_status bv_box_plan_get(bv_wire_reader *in, bv_box_plan *plan); /* strings are borrowed */
void bv_box_plan_free(bv_box_plan *plan);                         /* of one that was got */

/* How many plans a slot keeps, and with them their roots: the caller says which place a new one
 * takes. */
#define BV_SLOT_PLANS 8

/* ---- a job as it arrives in a box ---- */

typedef struct bv_box_job {
    bv_sandbox_limits limits;
    char **argv, **env;
    bool warm_python;
    bv_sandbox_file *files; /* of a sealed one the bytes are NULL: a frame brings it */
    size_t file_count;
    char **wanted;
    size_t wanted_count;
} bv_box_job; /* strings are borrowed from the frame */
void bv_box_job_put(bv_buffer *out, const bv_sandbox_job *job);
bv_status bv_box_job_get(bv_wire_reader *in, bv_box_job *job); /* memory ends with the box */

/* What a box reports: the payload of BV_FRAME_RESULT. */
typedef struct bv_box_report {
    int wait_status;         /* as of waitpid                                          */
    int exec_errno;          /* why the program could not be started, 0: it was        */
    int forbidden;           /* number of the system call, -1: none                    */
    uint32_t forbidden_arch; /* whose number it is, as the kernel's audit names it */
    uint32_t disk_full;      /* files_bytes or files are used up                       */
    uint32_t killed;         /* the caller asked for it                                */
    uint32_t left;           /* processes that were there when the program had ended   */
    uint64_t cpu_ns;         /* of the program and all it waited for                   */
    uint64_t own_cpu_ns;     /* of the box itself                                      */
    uint64_t wall_ns;
    uint64_t peak_rss; /* of the largest process, bytes */
} bv_box_report;

/* ---- a box ---- */

/* The walls as they stand before the program: made by bv_box_prepare_*, used by the program. */
typedef struct bv_box {
    const bv_box_plan *plan;
    int control;          /* to the caller                                         */
    int work;             /* the work folder, open                                 */
    int proc;             /* the host's /proc, never the program's: see sandbox_limits.c   */
    int landlock;         /* ruleset, -1: none                                     */
    uid_t uid;            /* the plan's                                            */
    uint32_t user_tasks;  /* nested as an ordinary user: how many it had before            */
    char work_path[256];  /* "/work", or the host's path when nested               */
    char nested_top[224]; /* nested: what is removed at the end                    */
    char temporary[256];  /* nested: what stands in for /tmp */
    uint64_t files_bytes; /* as the tmpfs is now                                   */
    uint64_t files;
} bv_box;

/* The first process of a box. A byte on `control`, before all frames, says that the ids are mapped.
 * Never returns. */
void bv_box_main(const bv_box_plan *plan, int proc, int control) __attribute__((noreturn));

/* The program's process: raises the walls, sends READY with the listener of its forbidden calls,
 * executes the job (NULL: when it comes, in a frame). FAULT with a bv_program_failure when a step
 * failed; the socket closes when the program is executed. Never returns. With a job it may share
 * the memory of its box, which stands still then. */
typedef struct bv_program_start {
    const bv_box_job *job;
    int streams[3];
} bv_program_start;
void bv_program_main(const bv_box *box, int socket, const bv_program_start *given)
    __attribute__((noreturn));
typedef struct bv_program_failure {
    int number; /* errno */
    char stage[32];
} bv_program_failure;

/* ---- mechanisms ---- */

/* sandbox_namespace.c; `proc` is the host's /proc, open. A slot's own user namespace, and in it a
 * copy of the host's mounts. In it BV_BOX_ID is an id of the host that owns nothing (as root), or
 * our own. */
bv_status bv_namespace_settle(int proc);
int bv_namespace_mounts(int proc); /* our mount namespace, open, not below BV_SLOT_OWN; or -1 */
/* A child in new namespaces (or an ordinary one); 0 in the child. */
pid_t bv_namespace_fork(bool separate, int *process);
bv_status bv_namespace_map(int proc, pid_t pid); /* the child's ids are the slot's */
bv_status bv_namespace_become(void);             /* in the child, after that */
/* The host's id for the programs of this slot; *id 0: only our own can be had (an ordinary user, or
 * root of a user namespace with few ids). -1 and errno: it is not known. `shared`: another slot may
 * have the same. */
int bv_box_outer_id(pid_t slot, uid_t *id);
bool bv_box_id_is_shared(uid_t id);
#define BV_SLOT_OWN 100 /* descriptors from here on are a slot's, and not for its boxes */

/* sandbox_root.c: the root of `full`. A slot builds what its boxes share, once for a plan: all of
 * it read-only. It becomes the root of this process, whose mount namespace must be its own. */
bv_status bv_root_build(const bv_box_plan *plan);
/* What a box has for itself: /work and /tmp. */
bv_status bv_root_finish(bv_box *box);
bv_status bv_root_resize(bv_box *box, uint64_t files_bytes, uint64_t files);
bool bv_root_is_full(const bv_box *box);

/* sandbox_nested.c: the same for `nested`: a folder of the host. */
bv_status bv_nested_build(bv_box *box);
bool bv_nested_is_full(const bv_box *box);
void bv_nested_kill(const bv_box *box); /* all descendants that are seen now; NULL: of a slot */
/* Kills and waits until there is none. */
void bv_nested_reap(const bv_box *box, pid_t program, int *wait_status);
uint32_t bv_nested_user_tasks(void); /* 0 and errno: they cannot be counted */
void bv_nested_remove(const bv_box *box);

/* sandbox_landlock.c. ABI 0: the kernel has none; -1 and errno: it does not say. */
int bv_landlock_abi(void);
bv_status bv_landlock_prepare(bv_box *box);
int bv_landlock_enter(const bv_box *box); /* -1 and errno */

/* sandbox_seccomp.c. Compiled in the caller, once a kind. The filter belongs to who asked. */
typedef struct bv_seccomp_kind {
    bool nested;
    bool memory_counted; /* a control group counts memory: memfd is allowed */
    bool shared_id;      /* nested, and the program's id is the caller's own */
} bv_seccomp_kind;
bv_status bv_seccomp_compile(const bv_seccomp_kind *kind, struct sock_fprog *out);
int bv_seccomp_enter(const struct sock_fprog *filter);  /* the listener, or -1 and errno */
const char *bv_seccomp_name(uint32_t arch, int number); /* of a forbidden call, else "?" */

/* sandbox_limits.c: rlimits, capabilities and no_new_privs of this process. -1 and errno. */
int bv_limits_enter(const bv_box *box, const bv_sandbox_limits *limits);
int bv_privileges_bound(void); /* in a box: what its programs could ever have is nothing */
int bv_privileges_drop(const bv_box *box);
/* When memory is short, the kernel kills a program before its box, and the box before its slot,
 * which clears away what is left of both. `proc` is the host's /proc, open. A slot: what its boxes
 * offer themselves with; with CAP_SYS_RESOURCE neither is ever killed. */
int bv_memory_protect(int proc);
int bv_memory_offer(int proc, int score); /* a box. -1 and errno */
int bv_memory_expose(const bv_box *box);  /* a program. -1 and errno */

/* sandbox_slot.c. What a terminal sends to all who belong to it, slots and boxes do not hear; all
 * other signals are as they are for a new process. */
#define BV_SLOT_DEAF                                                                               \
    { SIGINT, SIGTERM, SIGHUP }
bv_status bv_slot_spawn(int *socket, pid_t *pid);

#endif
