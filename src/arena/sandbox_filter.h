/*
 * A filter of system calls as BPF: a binary search over ranges of numbers that have one answer, and
 * behind it what is asked about arguments. libseccomp's own search is over single numbers and pairs
 * of words: several times as many instructions, which the kernel compiles anew for each program
 * (seccomp(2) has no other way).
 *
 * A question looks at 32 bits of an argument: of all that is asked about, the kernel reads no more,
 * but for pointers, whose other half is a question of its own.
 */
#ifndef BV_ARENA_SANDBOX_FILTER_H
#define BV_ARENA_SANDBOX_FILTER_H

#include "base/status.h"
#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* More than any architecture has; all above have the usual answer. */
#define BV_FILTER_NUMBERS 1024
/* No answer of the kernel's. Of a question: the next one of the same call decides. */
#define BV_FILTER_ASK 1u
#define BV_FILTER_QUESTIONS 32

/* The word of an argument (from 0) that a question looks at. */
#define BV_FILTER_LOW(argument) (2u * (argument))
#define BV_FILTER_HIGH(argument) (2u * (argument) + 1u)

/* "Is the word, masked, one of these values?" Questions of one call follow each other; all but the
 * last have BV_FILTER_ASK for an answer. */
typedef struct bv_filter_question {
    int number; /* of the call; a negative one is left out, as below */
    uint32_t word, mask;
    const uint32_t *values; /* borrowed */
    size_t count;           /* up to 200 */
    uint32_t yes, no;       /* answers */
} bv_filter_question;

typedef struct bv_filter_answers {
    uint32_t of[BV_FILTER_NUMBERS];
    uint32_t arch;    /* whose numbers these are, as in seccomp_data */
    uint32_t usual;   /* of all numbers that are not named, and of -1 */
    uint32_t foreign; /* of other architectures, and of numbers of x32 */
    bv_filter_question questions[BV_FILTER_QUESTIONS];
    size_t question_count;
    bool too_many; /* questions: sticky, and making the filter fails */
} bv_filter_answers;

void bv_filter_begin(bv_filter_answers *answers, uint32_t arch, uint32_t usual, uint32_t foreign);
/* A number that is out of range, a negative one among them, is left out. */
void bv_filter_answer(bv_filter_answers *answers, int number, uint32_t answer);
void bv_filter_ask(bv_filter_answers *answers, const bv_filter_question *question);
/* The result is freed by the caller. */
bv_status bv_filter_make(const bv_filter_answers *answers, struct sock_fprog *out);

#endif
