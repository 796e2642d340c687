/*
 * Faults to order: make the n-th allocation, or the n-th write-like system call, fail once. A test
 * loops over n from 0 until nothing failed any more:
 *
 *     for (int n = 0;; n++) {
 *         faults_allocation(n);
 *         bv_error *error = what_is_tested();
 *         if (!faults_off()) break;          // ran to its end untouched: must have succeeded
 *         ... error must be set, nothing leaked, nothing half-written ...
 *     }
 *
 * For tests only; counting is thread-safe.
 */
#ifndef BV_TESTS_SUPPORT_FAULTS_H
#define BV_TESTS_SUPPORT_FAULTS_H

#include "base/file.h"
#include "base/memory.h"
#include "support/check.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static _Atomic int faults_left;    /* calls until the one that fails */
static _Atomic bool faults_struck; /* has it failed?                 */
static int faults_errno;
static char faults_call[16]; /* the system call that failed */

static inline bool faults_now(void) {
    if (atomic_fetch_sub(&faults_left, 1) != 0) return false;
    atomic_store(&faults_struck, true);
    return true;
}

static inline void *faults_reallocate(void *context, void *pointer, size_t size) {
    (void)context;
    return faults_now() ? NULL : realloc(pointer, size);
}

static inline void faults_release(void *context, void *pointer) {
    (void)context;
    free(pointer);
}

static inline int faults_io(void *context, const char *call, const char *path) {
    (void)context;
    (void)path;
    if (!faults_now()) return 0;
    strncpy(faults_call, call, sizeof faults_call - 1);
    return faults_errno;
}

static inline void faults_allocation(int n) {
    faults_left = n;
    faults_struck = false;
    bv_allocator_set(&(bv_allocator){faults_reallocate, faults_release, NULL});
}

static inline void faults_system_call(int n, int number) {
    faults_left = n;
    faults_struck = false;
    faults_errno = number;
    bv_io_hook_set(faults_io, NULL);
}

/* Ends the faults; did one strike? */
static inline bool faults_off(void) {
    bv_allocator_set(NULL);
    bv_io_hook_set(NULL, NULL);
    return faults_struck;
}

/* Each allocation of `work` fails once, with BV_CODE_MEMORY; there are more than `least` of them.
 * At the end nothing fails, and work must not either. */
static inline void fail_each_allocation(bv_error *(*work)(void), int least) {
    int n = 0;
    for (;; n++) {
        faults_allocation(n);
        bv_error *error = work();
        if (!faults_off()) {
            assert_ok(error);
            break;
        }
        assert_int_equal(bv_error_code(error), BV_CODE_MEMORY);
        bv_error_free(&error);
    }
    assert_true(n > least);
}

#endif
