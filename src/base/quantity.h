/*
 * Quantities as people write them: 250ms, 2s, 1.5m; 64K, 256MB (powers of 1000), 1GiB (of 1024).
 * Fractions are rounded to whole nanoseconds and bytes. False for trailing garbage, signs, blanks,
 * and what does not fit.
 */
#ifndef BV_BASE_QUANTITY_H
#define BV_BASE_QUANTITY_H

#include <stdbool.h>
#include <stdint.h>

/* ns, us, ms, s, m or h; without a unit: seconds. */
bool bv_parse_duration(const char *text, uint64_t *ns);
/* k or K, M, G, T, each also with B or iB; without a unit: bytes. */
bool bv_parse_bytes(const char *text, uint64_t *bytes);

#endif
