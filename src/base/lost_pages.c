#include "base/lost_pages.h"

#include "base/memory.h"
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

struct bv_watched_range {
    uintptr_t begin, end;
    atomic_bool lost;
    bv_watched_range *next;
};

/* Who holds the lock reads no mapped file, so the handler never waits for its own thread. */
static atomic_flag lock = ATOMIC_FLAG_INIT;
static bv_watched_range *ranges;

static void take_lock(void) {
    while (atomic_flag_test_and_set_explicit(&lock, memory_order_acquire)) continue;
}

static void give_lock(void) {
    atomic_flag_clear_explicit(&lock, memory_order_release);
}

/* Puts zeros where the file has nothing any more: from this page to the end of the range. False
 * where nobody watches. */
static bool replace(uintptr_t address) {
    const uintptr_t size = (uintptr_t)sysconf(_SC_PAGESIZE), page = address / size * size;
    take_lock();
    bv_watched_range *r = ranges;
    while (r && (page < r->begin || page >= r->end)) r = r->next;
    const bool done = r && mmap((void *)page, r->end - page, PROT_READ,
                                MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
    if (done) atomic_store(&r->lost, true);
    give_lock();
    return done;
}

static void handle(int number, siginfo_t *info, void *context) {
    (void)context;
    if (info->si_code == BUS_ADRERR && replace((uintptr_t)info->si_addr)) return;
    signal(number, SIG_DFL); /* the same access fails again, or what was sent is sent again */
    if (info->si_code <= 0) raise(number);
}

/* Each time, since somebody else may have taken the signal: a frame of tests does. */
static void install(void) {
    struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, NULL);
}

bv_watched_range *bv_watch_begin(const void *data, size_t size) {
    bv_watched_range *r = bv_calloc(1, sizeof *r);
    if (!r) return NULL;
    install();
    r->begin = (uintptr_t)data;
    r->end = r->begin + size;
    take_lock();
    r->next = ranges;
    ranges = r;
    give_lock();
    return r;
}

void bv_watch_end(bv_watched_range **range) {
    bv_watched_range *r = *range;
    if (!r) return;
    take_lock();
    bv_watched_range **at = &ranges;
    while (*at != r) at = &(*at)->next;
    *at = r->next;
    give_lock();
    bv_free(r);
    *range = NULL;
}

bool bv_watch_lost(const bv_watched_range *range) {
    return range && atomic_load(&range->lost);
}
