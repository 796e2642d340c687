/*
 * A bell: wakes threads that wait for news of something that they look at themselves. Who reads the
 * count, looks, and then waits with that count misses no ring: one that came meanwhile ends the
 * wait at once.
 *
 *     const uint64_t heard = bv_bell_count(&bell);
 *     if (!look()) bv_bell_wait(&bell, heard, until);
 *
 * Thread-safe between init and destroy.
 */
#ifndef BV_BASE_BELL_H
#define BV_BASE_BELL_H

#include <pthread.h>
#include <stdint.h>

typedef struct bv_bell {
    pthread_mutex_t lock;
    pthread_cond_t rung;
    uint64_t count;
} bv_bell;

void bv_bell_init(bv_bell *bell);
void bv_bell_destroy(bv_bell *bell);
uint64_t bv_bell_count(bv_bell *bell);
void bv_bell_ring(bv_bell *bell);     /* wakes one of those who wait */
void bv_bell_ring_all(bv_bell *bell); /* wakes all of them */
/* Until the bell has rung since it was at `heard`, or the monotonic clock (clock.h) is at
 * `until_ns`; at times for no reason. */
void bv_bell_wait(bv_bell *bell, uint64_t heard, uint64_t until_ns);

#endif
