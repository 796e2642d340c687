/* Clock: monotonic time for measuring, wall time only for metrics. Thread-safe. */
#ifndef BV_BASE_CLOCK_H
#define BV_BASE_CLOCK_H

#include <stdint.h>

uint64_t bv_clock_ns(void);     /* monotonic */
double bv_clock_seconds(void);  /* monotonic */
int64_t bv_clock_wall_ms(void); /* since 1970, UTC */
void bv_sleep_ms(int ms);       /* a signal may end it early */

#endif
