/* How many signed up from an address within the hour, of IPv6 from the 2^64 that begin like it: a
 * bounded table in memory, in which the oldest make room. Thread-safe. */
#ifndef BV_ARENA_SIGNUPS_H
#define BV_ARENA_SIGNUPS_H

#include "base/status.h"
#include <stdbool.h>
#include <stdint.h>

typedef struct bv_signups bv_signups;
bv_status bv_signups_create(int per_hour, bv_signups **out); /* 0: no limit */
void bv_signups_destroy(bv_signups **signups);               /* NULL is legal */
/* Counts one; false when the address has had its share. `now_ns` is bv_clock_ns(). */
bool bv_signups_allow(bv_signups *signups, const char *address, uint64_t now_ns);

#endif
