/*
 * Numbers for people: 1.2k, 3.4 MB, 1h 02m. Each function returns its text by value, so that a call
 * can stand in a printf: bv_human_bytes(n).text. Decimal units (1 MB = 10^6 bytes). Not finite:
 * "nan", "inf", "-inf". Thread-safe.
 */
#ifndef BV_REPORT_UNITS_H
#define BV_REPORT_UNITS_H

#include <stddef.h>

typedef struct bv_human {
    char text[32];
} bv_human;

bv_human bv_human_count(double count);  /* 0, 7, 999, 1.2k, 34k, 124M, 1.5B, 2.1T   */
bv_human bv_human_bytes(double bytes);  /* 0 B, 999 B, 1.2 kB, 3.4 MB, 25 GB, 1.1 TB */
bv_human bv_human_time(double seconds); /* 0.35s, 9.4s, 42s, 1m 05s, 1h 02m, 3d 04h  */
bv_human bv_human_number(size_t number, const char *thing); /* 1 step, 20 steps     */
bv_human bv_human_share(double share); /* of 1: 0.4%, 57%                           */

#endif
