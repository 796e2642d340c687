/*
 * A filter of system calls as BPF: a binary search over ranges of numbers that have one answer.
 * libseccomp's own search is over single numbers: three times as many instructions, which the
 * kernel compiles anew for each program (seccomp(2) has no other way).
 *
 * It knows numbers only. What arguments decide, and calls of another architecture, it hands over to
 * a filter that comes behind it.
 */
#ifndef BV_ARENA_SANDBOX_FILTER_H
#define BV_ARENA_SANDBOX_FILTER_H

#include "base/status.h"
#include <linux/filter.h>
#include <stdint.h>

#define BV_FILTER_NUMBERS                                                                          \
    1024                 /* more than any architecture has; all above have the usual answer        \
                          */
#define BV_FILTER_ASK 1u /* no answer of the kernel's: the filter behind knows */

typedef struct bv_filter_answers {
    uint32_t of[BV_FILTER_NUMBERS], arch, usual;
} bv_filter_answers;

/* `arch` is the one whose numbers these are, as in seccomp_data. */
void bv_filter_begin(bv_filter_answers *answers, uint32_t arch, uint32_t usual);
/* A number that is out of range, a negative one among them, is left out. */
void bv_filter_answer(bv_filter_answers *answers, int number, uint32_t answer);
/* `behind` is copied to the end. The result is freed by the caller. */
bv_status bv_filter_make(const bv_filter_answers *answers, const struct sock_fprog *behind,
                         struct sock_fprog *out);

#endif
