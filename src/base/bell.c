#include "base/bell.h"

#include <time.h>

#define SECOND UINT64_C(1000000000)

void bv_bell_init(bv_bell *b) {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&b->rung, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&b->lock, NULL);
    b->count = 0;
}

void bv_bell_destroy(bv_bell *b) {
    pthread_cond_destroy(&b->rung);
    pthread_mutex_destroy(&b->lock);
}

uint64_t bv_bell_count(bv_bell *b) {
    pthread_mutex_lock(&b->lock);
    const uint64_t count = b->count;
    pthread_mutex_unlock(&b->lock);
    return count;
}

void bv_bell_ring(bv_bell *b) {
    pthread_mutex_lock(&b->lock);
    b->count++;
    pthread_cond_signal(&b->rung);
    pthread_mutex_unlock(&b->lock);
}

void bv_bell_ring_all(bv_bell *b) {
    pthread_mutex_lock(&b->lock);
    b->count++;
    pthread_cond_broadcast(&b->rung);
    pthread_mutex_unlock(&b->lock);
}

void bv_bell_wait(bv_bell *b, uint64_t heard, uint64_t until_ns) {
    const struct timespec until = {(time_t)(until_ns / SECOND), (long)(until_ns % SECOND)};
    pthread_mutex_lock(&b->lock);
    if (b->count == heard) pthread_cond_timedwait(&b->rung, &b->lock, &until);
    pthread_mutex_unlock(&b->lock);
}
