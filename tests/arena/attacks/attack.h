/* What the attacks in C share. An attack that a wall let through prints BREACH; each is written so
 * that even then it does no harm. */
#ifndef BV_TESTS_ARENA_ATTACKS_ATTACK_H
#define BV_TESTS_ARENA_ATTACKS_ATTACK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static inline void breach(const char *what) {
    printf("BREACH %s\n", what);
    fflush(stdout);
}

/* The result of a call that must not succeed. */
static inline void refused(const char *what, long result) {
    if (result >= 0)
        breach(what);
    else
        printf("%s: %s\n", what, strerror(errno));
}

#endif
