/* How many signed up from an address within the hour, of IPv6 from the 2^64 that begin like it: a
 * bounded table in memory, in which the oldest make room. Thread-safe. */
#ifndef BV_ARENA_SIGNUPS_H
#define BV_ARENA_SIGNUPS_H

#include "base/status.h"
#include <stdint.h>

typedef struct bv_signups bv_signups;
bv_status bv_signups_create(int per_hour, bv_signups **out); /* 0: no limit */
void bv_signups_destroy(bv_signups **signups);               /* NULL is legal */
/* Counts one, and is 0; or, when the address has had its share, the nanoseconds until it has a new
 * one. `now_ns` is bv_clock_ns(). */
uint64_t bv_signups_wait(bv_signups *signups, const char *address, uint64_t now_ns);

#endif
