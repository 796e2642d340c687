/*
 * The checkers that come with the arena: a program's output against the expected answer. Pure
 * functions of bytes, linear in their length; bytes are compared, whatever the encoding.
 *
 *     exact    byte by byte
 *     lines    line by line; blanks at the ends of lines and empty lines at the end do not count
 *     tokens   words, whatever blanks and line breaks are between them
 *     numbers  tokens, of which numbers may differ by the tolerance, absolute or relative
 */
#ifndef BV_ARENA_ANSWER_CHECK_H
#define BV_ARENA_ANSWER_CHECK_H

#include "base/buffer.h"
#include <stdbool.h>
#include <stddef.h>

typedef enum bv_answer_check_kind {
    BV_CHECK_EXACT = 0,
    BV_CHECK_LINES,
    BV_CHECK_TOKENS,
    BV_CHECK_NUMBERS,
    BV_CHECK_COUNT,
} bv_answer_check_kind;

typedef struct bv_answer_check {
    bv_answer_check_kind kind;
    double tolerance; /* of BV_CHECK_NUMBERS */
} bv_answer_check;

extern const char *const bv_answer_check_names[BV_CHECK_COUNT];

/* A difference, for the author and for visible tests: it shows a part of both texts. */
typedef struct bv_answer_difference {
    char text[240];
} bv_answer_difference;

/* True when the output answers as expected; else *difference (may be NULL) says where not. */
bool bv_answer_matches(const bv_answer_check *check, const void *output, size_t output_size,
                       const void *answer, size_t answer_size, bv_answer_difference *difference);

#endif
