/*
 * Quantities as people write them: 250ms, 2s, 1.5m; 64K, 256M, 1G (powers of 1000). False for
 * trailing garbage, signs, blanks, and what does not fit.
 */
#ifndef BV_BASE_QUANTITY_H
#define BV_BASE_QUANTITY_H

#include <stdbool.h>
#include <stdint.h>

bool bv_parse_duration(const char *text, uint64_t *ns); /* needs a unit: ns, us, ms, s, m or h */
bool bv_parse_bytes(const char *text, uint64_t *bytes); /* without a unit: bytes; else K, M, G, T */

#endif
