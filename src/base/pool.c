#include "base/pool.h"

#include "base/cgroup.h"
#include "base/clock.h"
#include "base/memory.h"
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * A run bumps `epoch`; workers wait for it to move, do their part, and count themselves in
 * `finished`, which is never set back. What is read together stands on one line of the cache, and
 * few lines change hands: between cores that share no cache each takes a sixth of a microsecond,
 * and a step of a small model has two hundred runs.
 *
 * Waiting spins first, if every thread can have a core of its own: a spinning thread that keeps
 * another from running would be fatal. Then it sleeps on a futex. So does one that finds itself on
 * the core of another thread of the pool: when it is woken the scheduler finds it a core that is
 * free. (Threads are not pinned: two programs would pin theirs to the same cores.)
 */

#define SPINS 20000
#define LOOK_ROUND 64 /* spins between two looks at who is on which core */

typedef struct place {
    _Alignas(64) _Atomic int core;      /* where a thread was last seen */
    _Alignas(64) _Atomic uint64_t left; /* of its share: the first index, above it the end */
} place;

static _Thread_local int self; /* this thread's part: 0 for a caller */

typedef struct worker {
    bv_pool *pool;
    int part;
    pthread_t thread;
    cpu_set_t cores; /* where it may run; empty: not known */
} worker;

struct bv_pool {
    int threads;
    int spins;            /* 0 when there are more threads than cores */
    bv_pool_watch *watch; /* NULL: nobody wants to know */
    void *watch_context;
    worker *workers;
    place *places; /* one a part */
    int started;
    /* Written by the caller, before `epoch` moves. */
    _Alignas(64) _Atomic uint32_t epoch; /* runs, modulo 2^32 */
    bool stop;
    bv_pool_task *task;
    void *context;
    _Alignas(64) _Atomic uint32_t finished; /* parts of workers in all runs, modulo 2^32 */
    _Alignas(64) _Atomic int sleepers;
};

/* What `finished` is when all workers have done their parts of the run. */
static uint32_t finished_after(const bv_pool *pool, uint32_t epoch) {
    return epoch * ((uint32_t)pool->threads - 1);
}

static void pause_briefly(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Says where this thread is, and whether another one of the pool was last seen there. */
static bool shares_core(bv_pool *pool) {
    const int core = sched_getcpu();
    bool shared = false;
    _Atomic int *seen = &pool->places[self].core;
    if (atomic_load_explicit(seen, memory_order_relaxed) != core) /* others keep the line */
        atomic_store_explicit(seen, core, memory_order_relaxed);
    for (int i = 0; i < pool->threads; i++) {
        const int other = atomic_load_explicit(&pool->places[i].core, memory_order_relaxed);
        if (i != self && other == core && core >= 0) shared = true;
    }
    return shared;
}

static void wait_while(bv_pool *pool, _Atomic uint32_t *word, uint32_t value) {
    for (int i = 0; i < pool->spins; i++) {
        if (atomic_load_explicit(word, memory_order_acquire) != value) return;
        if (i % LOOK_ROUND == LOOK_ROUND - 1 && shares_core(pool)) break;
        pause_briefly();
    }
    /* Counted before the kernel compares the word: whoever moves the word and then sees no sleeper
     * knows that a later sleeper will see the moved word. Both orders are sequentially consistent.
     */
    atomic_fetch_add(&pool->sleepers, 1);
    while (atomic_load(word) == value)
        syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
    atomic_fetch_sub(&pool->sleepers, 1);
}

/* After the word has moved (sequentially consistent). */
static void wake_all(bv_pool *pool, _Atomic uint32_t *word) {
    if (atomic_load(&pool->sleepers) == 0) return;
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static void run_part(bv_pool *pool, int part) {
    if (!pool->watch) {
        pool->task(pool->context, part, pool->threads);
        return;
    }
    const uint64_t begin = bv_clock_ns();
    pool->task(pool->context, part, pool->threads);
    pool->watch(pool->watch_context, part, begin, bv_clock_ns());
}

/* What a task reads first mostly stands on the caller's stack, in frames one after another, and is
 * in the caller's cache: all of it is asked for at once, not pointer by pointer. */
static void fetch_context(const void *context) {
    for (size_t i = 0; i < 8; i++) __builtin_prefetch((const void *)((uintptr_t)context + 64 * i));
}

static void *work(void *argument) {
    const worker *w = argument;
    bv_pool *pool = w->pool;
    uint32_t seen = 0;
    self = w->part;
    if (CPU_COUNT(&w->cores)) sched_setaffinity(0, sizeof w->cores, &w->cores);
    for (;;) {
        wait_while(pool, &pool->epoch, seen);
        seen++;
        if (pool->stop) return NULL;
        fetch_context(pool->context);
        run_part(pool, self);
        if (atomic_fetch_add(&pool->finished, 1) + 1 == finished_after(pool, seen))
            wake_all(pool, &pool->finished);
    }
}

int bv_usable_cores(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores > 0 ? (int)cores : 1;
}

/* A new thread begins on another core than its creator's, if there is one: there it would wait for
 * its creator's time slice to end, and again for each of the next ones. Then it may go anywhere. */
static void begin_elsewhere(pthread_attr_t *attributes, cpu_set_t *cores) {
    const int here = sched_getcpu();
    CPU_ZERO(cores);
    if (here < 0 || sched_getaffinity(0, sizeof *cores, cores) != 0) return;
    cpu_set_t others = *cores;
    CPU_CLR((size_t)here, &others);
    if (CPU_COUNT(&others)) pthread_attr_setaffinity_np(attributes, sizeof others, &others);
}

int bv_default_threads(void) {
    const int cores = bv_usable_cores();
    bv_cgroup_limits limits;
    bv_cgroup_limits_read(&limits);
    const int given = limits.cores > 0 ? bv_cgroup_threads(limits.cores) : cores;
    return given < cores ? given : cores;
}

static bool start_worker(bv_pool *pool, int part) {
    worker *w = &pool->workers[part - 1];
    pthread_attr_t attributes;
    w->pool = pool;
    w->part = part;
    if (pthread_attr_init(&attributes)) return false;
    begin_elsewhere(&attributes, &w->cores);
    /* Signals are the caller's business: workers inherit a mask without them, but for crashes. */
    sigset_t all, before;
    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int failed = pthread_create(&w->thread, &attributes, work, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (failed) return false;
    pool->started++;
    return true;
}

bv_status bv_pool_create(int threads, bv_pool **out) {
    const int cores = bv_usable_cores();
    if (threads == 0) threads = bv_default_threads();
    BV_ASSERT(threads >= 1);
    bv_pool *pool = bv_malloc_aligned(sizeof *pool);
    if (!pool) return bv_fail_memory("threads");
    pool->threads = threads;
    pool->spins = threads <= cores ? SPINS : 0;
    pool->workers = bv_calloc((size_t)threads, sizeof *pool->workers);
    pool->places = bv_malloc_aligned((size_t)threads * sizeof *pool->places);
    for (int part = 0; pool->places && part < threads; part++)
        atomic_init(&pool->places[part].core, -1);
    for (int part = 1; pool->workers && pool->places && part < threads; part++)
        if (!start_worker(pool, part)) break;
    if (!pool->workers || !pool->places || pool->started != threads - 1) {
        bv_pool_destroy(&pool);
        return bv_try(bv_fail(BV_CODE_MEMORY, "cannot start %d threads", threads),
                      "fewer --threads");
    }
    *out = pool;
    return BV_OK;
}

void bv_pool_destroy(bv_pool **pool) {
    bv_pool *p = *pool;
    if (!p) return;
    p->stop = true;
    atomic_fetch_add(&p->epoch, 1);
    wake_all(p, &p->epoch);
    for (int i = 0; i < p->started; i++) pthread_join(p->workers[i].thread, NULL);
    bv_free(p->workers);
    bv_free_aligned(p->places);
    bv_free_aligned(p);
    *pool = NULL;
}

int bv_pool_threads(const bv_pool *pool) {
    return pool ? pool->threads : 1;
}

void bv_pool_run(bv_pool *pool, bv_pool_task *task, void *context) {
    if (!pool) {
        task(context, 0, 1);
        return;
    }
    pool->task = task;
    pool->context = context;
    if (pool->threads == 1) {
        run_part(pool, 0);
        return;
    }
    const uint32_t all = finished_after(pool, atomic_fetch_add(&pool->epoch, 1) + 1);
    wake_all(pool, &pool->epoch);
    run_part(pool, 0);
    for (uint32_t now; (now = atomic_load_explicit(&pool->finished, memory_order_acquire)) != all;)
        wait_while(pool, &pool->finished, now);
}

void bv_pool_watch_set(bv_pool *pool, bv_pool_watch *watch, void *context) {
    pool->watch_context = context;
    pool->watch = watch;
}

void bv_pool_range(size_t count, size_t unit, int part, int parts, size_t *begin, size_t *end) {
    const size_t units = (count + unit - 1) / unit;
    const size_t first = units * (size_t)part / (size_t)parts * unit;
    const size_t last = units * ((size_t)part + 1) / (size_t)parts * unit;
    *begin = first < count ? first : count;
    *end = last < count ? last : count;
}

typedef struct ranges {
    size_t count, unit;
    bv_range_task *task;
    void *context;
} ranges;

static void run_range(void *context, int part, int parts) {
    const ranges *r = context;
    size_t begin, end;
    bv_pool_range(r->count, r->unit, part, parts, &begin, &end);
    if (begin < end) r->task(r->context, begin, end);
}

void bv_pool_run_ranges(bv_pool *pool, size_t count, size_t unit, bv_range_task *task,
                        void *context) {
    bv_pool_run(pool, run_range, &(ranges){count, unit, task, context});
}

void bv_pool_share(bv_pool *pool, size_t count) {
    BV_ASSERT(count <= UINT32_MAX);
    for (int part = 0; part < pool->threads; part++) {
        size_t begin, end;
        bv_pool_range(count, 1, part, pool->threads, &begin, &end);
        atomic_store_explicit(&pool->places[part].left, (uint64_t)end << 32 | begin,
                              memory_order_relaxed);
    }
}

/* Of `left`, the first indices or the last. Relaxed: indices carry no data. */
static bool take_from(_Atomic uint64_t *left, bool last, size_t most, size_t *from, size_t *to) {
    uint64_t seen = atomic_load_explicit(left, memory_order_relaxed), next;
    do {
        const uint64_t begin = seen & UINT32_MAX, end = seen >> 32, half = (end - begin + 1) / 2;
        if (begin == end) return false;
        const uint64_t count = half < most ? half : most;
        *from = last ? end - count : begin;
        *to = *from + count;
        next = last ? *from << 32 | begin : end << 32 | *to;
    } while (!atomic_compare_exchange_weak_explicit(left, &seen, next, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

bool bv_pool_take_some(bv_pool *pool, int part, size_t most, size_t *begin, size_t *end) {
    if (take_from(&pool->places[part].left, false, most, begin, end)) return true;
    for (int i = 1; i < pool->threads; i++)
        if (take_from(&pool->places[(part + i) % pool->threads].left, true, most, begin, end))
            return true;
    return false;
}

bool bv_pool_take(bv_pool *pool, int part, size_t *index) {
    size_t end;
    return bv_pool_take_some(pool, part, 1, index, &end);
}
