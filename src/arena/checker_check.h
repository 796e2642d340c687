/*
 * Checks a level's checker before anybody hands in: whatever a program writes, it must accept or
 * refuse. One that fails gives no verdict, so what was handed in is judged again and again, and
 * judges take it for their own trouble, and pause.
 */
#ifndef BV_ARENA_CHECKER_CHECK_H
#define BV_ARENA_CHECKER_CHECK_H

#include "arena/level_tests.h"

/* Shows the checker of a complete level outputs that are no answers: nothing, no text, too much,
 * and right answers that were cut or changed. An error when it fails over one; which verdict it
 * gives does not matter. A level without such a program passes. */
bv_status bv_checker_check(const bv_level *level, const bv_level_maker *maker);

#endif
