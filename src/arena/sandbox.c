/* The pool: which slot serves whom, and the life of a job from start to result. */
#include "arena/sandbox_pool.h"

#include "arena/sandbox_selftest.h"
#include "arena/sandbox_tree.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/pool.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define BOXES_MAX 1024
#define TRIES 3
#define SCRATCH_PREFIX "beaver-sandbox-"
#define OTHER_DESCRIPTORS 64 /* of a process that has a pool */
#define SLOT_DESCRIPTORS 8   /* a socket, and a control group's counters */
#define BOX_DESCRIPTORS 8    /* a socket, a process, its streams */
#define LARGE (1 << 20)      /* a file that is sealed to be sent */

/* ---- the pool ---- */

/* An interpreter's memory would be copied to each box, and again to its program: what needs none is
 * run by slots that have none. */
static bool wants_python(const bv_sandbox_pool *pool, const bv_sandbox_job *job) {
    return pool->warm_python && job->warm_python;
}

static const char *temporary_folder(void) {
    const char *folder = getenv("TMPDIR");
    return folder && *folder == '/' ? folder : "/tmp";
}

/* Work folders of pools whose process is dead. */
static void sweep_scratch(const char *parent) {
    char **names = NULL;
    size_t count = 0;
    bv_error *error = bv_dir_list(parent, &names, &count);
    if (error) count = 0;
    bv_error_free(&error);
    for (size_t i = 0; i < count; i++) {
        char path[1024];
        struct stat s;
        snprintf(path, sizeof path, "%s/%s", parent, names[i]);
        if (bv_tree_name_stale(SCRATCH_PREFIX, names[i]) && !lstat(path, &s) &&
            S_ISDIR(s.st_mode) && s.st_uid == geteuid()) {
            error = bv_dir_remove(path);
            bv_error_free(&error);
        }
    }
    bv_names_free(names, count);
}

static bv_status make_scratch(bv_sandbox_pool *pool) {
    static atomic_uint serial;
    const char *parent = temporary_folder();
    char name[128];
    struct statvfs s;
    sweep_scratch(parent);
    if (pool->policy != BV_POLICY_NESTED) return BV_OK;
    if (statvfs(parent, &s) == 0 && (s.f_flag & ST_NOEXEC))
        return bv_try(bv_fail(BV_CODE_USAGE, "no program can be executed in %s (noexec)", parent),
                      "TMPDIR=FOLDER, one where programs can be");
    bv_tree_own_name(SCRATCH_PREFIX, serial++, name, sizeof name);
    snprintf(pool->scratch, sizeof pool->scratch, "%s/%s", parent, name);
    /* Others may pass, not look: the program of a box is another user, as root. */
    if (mkdir(pool->scratch, 0711)) {
        bv_error *error = bv_fail_errno("cannot make %s", pool->scratch);
        pool->scratch[0] = 0;
        return error;
    }
    return BV_OK;
}

uint64_t bv_sandbox_pool_descriptors(const bv_sandbox_pool *pool) {
    return OTHER_DESCRIPTORS + SLOT_DESCRIPTORS * pool->slot_count + BOX_DESCRIPTORS * pool->count;
}

/* A slot keeps some above BV_SLOT_OWN. What is not allowed and may be, is taken. */
static bv_status have_descriptors(const bv_sandbox_pool *pool) {
    struct rlimit limit;
    const rlim_t pools = bv_sandbox_pool_descriptors(pool);
    const rlim_t needed = pools < BV_SLOT_OWN + 28 ? BV_SLOT_OWN + 28 : pools;
    if (getrlimit(RLIMIT_NOFILE, &limit)) return bv_fail_errno("cannot ask for a limit");
    if (limit.rlim_cur >= needed) return BV_OK;
    const rlim_t before = limit.rlim_cur;
    limit.rlim_cur = needed;
    if (limit.rlim_max >= needed && setrlimit(RLIMIT_NOFILE, &limit) == 0) return BV_OK;
    return bv_try(bv_fail(BV_CODE_USAGE, "%u boxes at once need %llu open files; %llu are allowed",
                          pool->count, (unsigned long long)needed, (unsigned long long)before),
                  "ulimit -n %llu", (unsigned long long)needed);
}

static bv_status begin_slots(bv_sandbox_pool *pool, const bv_sandbox_root *root) {
    static atomic_uint serial; /* over all pools of this process: names of groups */
    for (uint32_t i = 0; i < pool->slot_count; i++) {
        bv_slot *slot = &pool->slots[i];
        slot->index = serial++;
        slot->warm_python = i >= pool->count;
        BV_TRY(bv_slot_begin(pool, slot));
        BV_TRY(bv_slot_ask(pool, slot, root));
    }
    return BV_OK;
}

bv_status bv_sandbox_pool_create(const bv_sandbox_options *options, bv_sandbox_pool **out) {
    const bv_sandbox_root *root = options->root ? options->root : &bv_sandbox_root_system;
    *out = NULL;
    BV_TRY(bv_selftest_require(options->policy));
    bv_sandbox_pool *pool = bv_calloc(1, sizeof *pool);
    if (!pool) return bv_fail_memory("a sandbox");
    pool->policy = options->policy;
    pool->warm_python = options->warm_python;
    pool->count = options->boxes ? options->boxes : 2 * (uint32_t)bv_default_threads();
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->freed, NULL);
    bv_error *error = BV_OK;
    if (pool->count > BOXES_MAX)
        error = bv_fail(BV_CODE_USAGE, "%u boxes at once are too many (at most %d)", pool->count,
                        BOXES_MAX);
    if (!error) pool->slot_count = pool->count * (pool->warm_python ? 2 : 1);
    if (!error) pool->slots = bv_calloc(pool->slot_count, sizeof *pool->slots);
    if (!error && !pool->slots) error = bv_fail_memory("a sandbox");
    pool->free = pool->count;
    bv_cgroup_find(NULL, NULL, &pool->bases);
    if (!error && (errno = pool->bases.failed))
        error = bv_fail_errno("cannot look for control groups");
    bv_cgroup_sweep(&pool->bases);
    if (!error) error = have_descriptors(pool);
    if (!error) error = make_scratch(pool);
    if (!error) error = begin_slots(pool, root);
    if (error) bv_sandbox_pool_destroy(&pool);
    *out = pool;
    return bv_while(error, "starting the sandbox");
}

void bv_sandbox_pool_destroy(bv_sandbox_pool **pool) {
    if (!pool || !*pool) return;
    bv_sandbox_pool *p = *pool;
    *pool = NULL;
    for (uint32_t i = 0; p->slots && i < p->slot_count; i++) bv_slot_end(&p->slots[i]);
    if (p->scratch[0]) {
        bv_error *error = bv_dir_remove(p->scratch);
        bv_error_free(&error); /* the next start tries again */
    }
    for (int i = 0; i < 4; i++) bv_free(p->filters[i / 2][i % 2].filter);
    pthread_cond_destroy(&p->freed);
    pthread_mutex_destroy(&p->mutex);
    bv_free(p->slots);
    bv_free(p);
}

uint32_t bv_sandbox_pool_boxes(const bv_sandbox_pool *pool) {
    return pool->count;
}

bv_sandbox_policy bv_sandbox_pool_policy(const bv_sandbox_pool *pool) {
    return pool->policy;
}

/* ---- slots: taken and given back ---- */

static bool is_better(const bv_slot *a, const bv_slot *b, const bv_sandbox_root *root) {
    if ((a->root == root) != (b->root == root)) return a->root == root;
    return a->asked < b->asked;
}

/* `count` slots, those with a box of this root first. Waits until so many boxes are free: then
 * there are as many slots of each kind. */
static void take_slots(bv_sandbox_pool *pool, const bv_sandbox_job *jobs, size_t count,
                       bv_sandbox_box **boxes) {
    pthread_mutex_lock(&pool->mutex);
    while (pool->free < count) pthread_cond_wait(&pool->freed, &pool->mutex);
    for (size_t k = 0; k < count; k++) {
        const bv_sandbox_root *root = jobs[k].root ? jobs[k].root : &bv_sandbox_root_system;
        const bool python = wants_python(pool, &jobs[k]);
        bv_slot *best = NULL;
        for (uint32_t i = 0; i < pool->slot_count; i++) {
            bv_slot *slot = &pool->slots[i];
            if (slot->warm_python != python || slot->in_use) continue;
            if (!best || is_better(slot, best, root)) best = slot;
        }
        best->in_use = true;
        pool->free--;
        boxes[k]->slot = best;
    }
    pthread_mutex_unlock(&pool->mutex);
}

static void give_back(bv_sandbox_pool *pool, bv_slot *slot) {
    pthread_mutex_lock(&pool->mutex);
    slot->in_use = false;
    pool->free++;
    pthread_cond_broadcast(&pool->freed);
    pthread_mutex_unlock(&pool->mutex);
}

static void let_go(bv_sandbox_box *box) {
    if (box->control >= 0) close(box->control);
    if (box->process >= 0) close(box->process);
    box->control = box->process = -1;
}

static bv_status ask_and_take(bv_sandbox_pool *pool, bv_slot *slot, const bv_sandbox_root *root,
                              bv_sandbox_box *box) {
    let_go(box); /* one that was lost */
    BV_TRY(bv_slot_ask(pool, slot, root));
    return bv_slot_take(slot, box);
}

/* The box that was made ahead, or a new one: of this root, from a slot that lives. Nothing of a job
 * has run yet, so what is lost (killed, when memory is short) is made again. */
static bv_status take_box(bv_sandbox_pool *pool, bv_sandbox_box *box, const bv_sandbox_root *root) {
    bv_slot *slot = box->slot;
    bv_error *error = BV_OK;
    if (slot->pid && slot->making && slot->root == root) {
        error = bv_slot_take(slot, box);
        if (!error) return BV_OK;
        bv_error_free(&error); /* the slot or its box died idle: once more from the beginning */
    } else if (slot->pid && slot->making) {
        bv_sandbox_box idle = {.control = -1, .process = -1};
        error = bv_slot_take(slot, &idle);
        bv_error_free(&error);
        let_go(&idle);
    }
    for (int i = 0; i < TRIES; i++) {
        if (slot->pid) {
            error = ask_and_take(pool, slot, root, box);
            if (!error || bv_error_code(error) == BV_CODE_USAGE) return error;
            bv_error_free(&error);
            let_go(box); /* nested, the slot would wait for it, and it for a job */
            bv_slot_end(slot);
        }
        BV_TRY(bv_slot_begin(pool, slot));
    }
    return ask_and_take(pool, slot, root, box);
}

/* ---- a job ---- */

static bv_status check_name(const char *name) {
    if (!name[0] || strlen(name) > 255 || strchr(name, '/') || !strcmp(name, ".") ||
        !strcmp(name, ".."))
        return bv_fail(BV_CODE_USAGE, "\"%s\" cannot be the name of a file in a box", name);
    return BV_OK;
}

static bv_status check_limits(const bv_sandbox_limits *l) {
    if (!l->cpu_ns || !l->wall_ns || !l->memory_bytes || !l->files_bytes || !l->files || !l->pids)
        return bv_try(bv_fail(BV_CODE_USAGE, "a job's limits must be greater than 0"),
                      "bv_sandbox_limits_default");
    const uint64_t most = (uint64_t)1 << 50;
    if (l->cpu_ns > most || l->wall_ns > most || l->memory_bytes > most || l->files_bytes > most ||
        l->output_bytes > most || l->stack_bytes > most || l->pids > 1 << 20)
        return bv_fail(BV_CODE_USAGE, "a job's limits are too large");
    if (l->descriptors < 8 || l->descriptors > 1 << 20)
        return bv_fail(BV_CODE_USAGE, "a job needs between 8 and 2^20 descriptors");
    return BV_OK;
}

static uint64_t pages_of(uint64_t bytes) {
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    return (bytes + page - 1) / page;
}

/* Files take whole pages. */
static bv_status check_files(const bv_sandbox_job *job, uint64_t *size, uint64_t *pages) {
    *size = *pages = 0;
    for (size_t i = 0; i < job->file_count; i++) {
        const char *name = job->files[i].name;
        BV_TRY(check_name(name));
        for (size_t k = 0; k < i; k++)
            if (!strcmp(job->files[k].name, name))
                return bv_fail(BV_CODE_USAGE, "two files of a job have the name \"%s\"", name);
        *size += job->files[i].size;
        *pages += pages_of(job->files[i].size);
    }
    return BV_OK;
}

static bv_status check_job(const bv_sandbox_job *job) {
    uint64_t size, pages;
    if (!job->argv || !job->argv[0] || !job->argv[0][0])
        return bv_fail(BV_CODE_USAGE, "a job names no program");
    BV_TRY(check_limits(&job->limits));
    BV_TRY(check_files(job, &size, &pages));
    for (size_t i = 0; i < job->wanted_count; i++) BV_TRY(check_name(job->wanted[i].name));
    if (size > job->limits.files_bytes || pages > pages_of(job->limits.files_bytes) ||
        job->file_count > job->limits.files)
        return bv_try(bv_fail(BV_CODE_USAGE, "%llu bytes in %zu files do not fit into a box",
                              (unsigned long long)size, job->file_count),
                      "a higher files limit");
    return BV_OK;
}

bv_status bv_sandbox_seal(const void *bytes, size_t size, int *descriptor) {
    const int file = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    const char *at = bytes;
    *descriptor = -1;
    if (file < 0) return bv_fail_errno("cannot make a file in memory");
    for (size_t left = size; left > 0;) {
        const ssize_t n = write(file, at, left);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            bv_error *error = bv_fail_errno("cannot write a file in memory");
            close(file);
            return error;
        }
        at += n, left -= (size_t)n;
    }
    lseek(file, 0, SEEK_SET);
    fcntl(file, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
    *descriptor = file;
    return BV_OK;
}

static bv_status send_sealed(const bv_sandbox_box *box, const bv_sandbox_job *job) {
    for (size_t i = 0; i < job->file_count; i++)
        if (job->files[i].sealed > 0)
            BV_TRY(bv_wire_send(box->control, BV_FRAME_PLACE, NULL, 0, &job->files[i].sealed, 1));
    return BV_OK;
}

/* A job whose large files are all sealed: in its frame they would be in the box's memory twice. */
static bv_status seal_large(const bv_sandbox_job *job, bv_sandbox_job *sealed) {
    bv_sandbox_file *files = bv_calloc(job->file_count, sizeof *files);
    *sealed = *job;
    if (!files) return bv_fail_memory("a job");
    sealed->files = files;
    for (size_t i = 0; i < job->file_count; i++) files[i] = job->files[i];
    for (size_t i = 0; i < job->file_count; i++)
        if (files[i].sealed <= 0 && files[i].size >= LARGE)
            BV_TRY(bv_sandbox_seal(files[i].bytes, files[i].size, &files[i].sealed));
    return BV_OK;
}

static void unseal(const bv_sandbox_job *job, const bv_sandbox_job *sealed) {
    if (sealed->files == job->files) return;
    for (size_t i = 0; i < job->file_count; i++)
        if (sealed->files[i].sealed > 0 && job->files[i].sealed <= 0)
            close(sealed->files[i].sealed);
    bv_free((bv_sandbox_file *)sealed->files);
}

/* Sends the job with its three descriptors; keeps both ends of output and error. */
static bv_status send_frames(bv_sandbox_box *box, const bv_sandbox_job *job) {
    int output[2] = {-1, -1}, errors[2] = {-1, -1}, input = -1;
    bv_buffer payload = {0};
    bv_box_job_put(&payload, job);
    bv_error *error = bv_buffer_error(&payload);
    if (!error && !job->input_connected && job->input_size > 0)
        error = bv_sandbox_seal(job->input, job->input_size, &input);
    if (!error &&
        (pipe2(errors, O_CLOEXEC) || (!job->output_connected && pipe2(output, O_CLOEXEC))))
        error = bv_fail_errno("cannot make pipes for a program");
    box->output = output[0], box->kept[0] = output[1];
    box->error = errors[0], box->kept[1] = errors[1];
    if (!error) {
        const int ends[] = {job->output_connected ? job->output_fd : output[1], errors[1],
                            job->input_connected ? job->input_fd : input};
        box->started = bv_clock_ns();
        error = bv_wire_send(box->control, BV_FRAME_JOB, payload.data, payload.size, ends,
                             ends[2] < 0 ? 2 : 3);
        if (!error) error = send_sealed(box, job);
    }
    if (input >= 0) close(input);
    bv_buffer_free(&payload);
    return error;
}

static bv_status send_job(bv_sandbox_box *box, const bv_sandbox_job *job) {
    bv_sandbox_job sealed;
    bv_error *error = seal_large(job, &sealed);
    if (!error) error = send_frames(box, &sealed);
    unseal(job, &sealed);
    return error;
}

/* Who is gone before it has heard its whole job says why by its counters, in its verdict: files
 * that are placed count as memory, too. */
static bool is_gone(const bv_sandbox_box *box) {
    struct pollfd p = {.fd = box->control, .events = POLLIN};
    return poll(&p, 1, 0) == 1 && (p.revents & POLLHUP);
}

static bv_status start_one(bv_sandbox_pool *pool, const bv_sandbox_job *job, bv_sandbox_box *box) {
    BV_TRY(take_box(pool, box, job->root ? job->root : &bv_sandbox_root_system));
    bv_slot *slot = box->slot;
    bv_error *error = bv_cgroup_begin(&slot->group, job->limits.memory_bytes, job->limits.pids);
    if (!error) {
        error = send_job(box, job);
        if (error && is_gone(box)) bv_error_free(&error);
        return error;
    }
    /* A group that does not limit is of no use: the next job of this slot finds another. */
    let_go(box);
    bv_slot_end(slot);
    return error;
}

/* A box is used once: what it held is closed (so it ends), and its slot makes the next one. */
static void end_box(bv_sandbox_box *box) {
    const int ends[] = {box->control, box->process, box->output,
                        box->error,   box->kept[0], box->kept[1]};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (ends[i] >= 0) close(ends[i]);
    bv_slot *slot = box->slot;
    if (slot) {
        if (slot->pid && slot->root) {
            bv_error *error = bv_slot_ask(box->pool, slot, slot->root);
            if (error) bv_slot_end(slot);
            bv_error_free(&error);
        }
        give_back(box->pool, slot);
    }
    bv_free(box);
}

bv_status bv_sandbox_start(bv_sandbox_pool *pool, const bv_sandbox_job *jobs, size_t count,
                           bv_sandbox_box **boxes) {
    bv_error *error = BV_OK;
    if (count == 0 || count > pool->count || count > 64)
        return bv_fail(BV_CODE_USAGE, "%zu jobs at once in a pool of %u boxes", count, pool->count);
    for (size_t i = 0; i < count; i++) BV_TRY(check_job(&jobs[i]));
    for (size_t i = 0; i < count; i++) {
        boxes[i] = bv_calloc(1, sizeof **boxes);
        if (!boxes[i]) {
            while (i > 0) bv_free(boxes[--i]);
            return bv_fail_memory("a box");
        }
        *boxes[i] = (bv_sandbox_box){.pool = pool,
                                     .job = &jobs[i],
                                     .control = -1,
                                     .process = -1,
                                     .output = -1,
                                     .error = -1,
                                     .kept = {-1, -1}};
        boxes[i]->report.forbidden = -1;
    }
    take_slots(pool, jobs, count, boxes);
    for (size_t i = 0; i < count && !error; i++) error = start_one(pool, &jobs[i], boxes[i]);
    for (size_t i = 0; error && i < count; i++) {
        end_box(boxes[i]);
        boxes[i] = NULL;
    }
    return bv_while(error, "starting a program in a box");
}

static bv_status prepare_result(const bv_sandbox_job *job, bv_sandbox_result *result) {
    result->fetched = bv_calloc(job->wanted_count, sizeof *result->fetched);
    if (!result->fetched) return bv_fail_memory("a result");
    result->fetched_count = job->wanted_count;
    for (size_t i = 0; i < job->wanted_count; i++) {
        result->fetched[i].name = bv_strdup(job->wanted[i].name);
        if (!result->fetched[i].name) return bv_fail_memory("a result");
    }
    return BV_OK;
}

bv_status bv_sandbox_wait(bv_sandbox_box **boxes, size_t count, bv_sandbox_result *results) {
    bv_error *error = BV_OK;
    for (size_t i = 0; i < count && !error; i++) error = prepare_result(boxes[i]->job, &results[i]);
    if (!error) bv_supervise(boxes, count, results);
    for (size_t i = 0; i < count; i++) {
        end_box(boxes[i]);
        boxes[i] = NULL;
    }
    return error;
}

/* What is ours to blame says nothing about the program, so it runs again: a box, or its slot, may
 * have been killed when the machine's memory was short. */
bv_status bv_sandbox_run(bv_sandbox_pool *pool, const bv_sandbox_job *job,
                         bv_sandbox_result *result) {
    const int tries = job->input_connected || job->output_connected ? 1 : TRIES;
    for (int i = 1;; i++) {
        bv_sandbox_box *box;
        BV_TRY(bv_sandbox_start(pool, job, 1, &box));
        BV_TRY(bv_sandbox_wait(&box, 1, result));
        if (result->verdict != BV_VERDICT_FAULT || i >= tries) return BV_OK;
        bv_sandbox_result_free(result);
    }
}

void bv_sandbox_kill(bv_sandbox_box *box) {
    box->killed_by_caller = true; /* supervision looks at it at its next tick */
}

void bv_sandbox_result_free(bv_sandbox_result *result) {
    for (size_t i = 0; i < result->fetched_count; i++) {
        bv_free(result->fetched[i].name);
        bv_buffer_free(&result->fetched[i].bytes);
    }
    bv_free(result->fetched);
    bv_buffer_free(&result->output);
    bv_buffer_free(&result->error);
    *result = (bv_sandbox_result){0};
}
