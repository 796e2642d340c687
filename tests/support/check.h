/*
 * What cmocka lacks: it includes cmocka with what that header needs, a check that a status is OK
 * (printing the error otherwise), and a fresh temporary folder. For tests only; one thread.
 */
#ifndef BV_TESTS_SUPPORT_CHECK_H
#define BV_TESTS_SUPPORT_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/status.h"
#include "support/folder.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define assert_ok(expression)                                                                      \
    do {                                                                                           \
        bv_error *assert_error_ = (expression);                                                    \
        if (assert_error_) {                                                                       \
            print_error("%s\n", bv_error_text(assert_error_));                                     \
            bv_error_free(&assert_error_);                                                         \
            fail_msg("%s failed", #expression);                                                    \
        }                                                                                          \
    } while (0)

/* Fails with this code and a text that contains `part`. */
#define assert_fails(expression, code, part)                                                       \
    do {                                                                                           \
        bv_error *assert_error_ = (expression);                                                    \
        const int assert_code_ = (int)bv_error_code(assert_error_);                                \
        const int assert_found_ = strstr(bv_error_text(assert_error_), (part)) != NULL;            \
        if (!assert_found_ || assert_code_ != (int)(code))                                         \
            print_error("code %d: \"%s\"\n", assert_code_, bv_error_text(assert_error_));          \
        bv_error_free(&assert_error_);                                                             \
        assert_int_equal(assert_code_, (int)(code));                                               \
        assert_true(assert_found_);                                                                \
    } while (0)

/* A new empty folder; pass it to remove_folder at the end, which ends the path, too. What a test
 * that failed leaves is removed anyway (support/folder.h). */
static inline char *make_folder(void) {
    char *path = folder_new();
    assert_non_null(path);
    return path;
}

static inline void remove_folder(const char *path) {
    assert_ok(bv_dir_remove(path));
    folder_forget(path);
}

/* FOLDER/NAME; stays until the process ends. */
static inline const char *path_in(const char *folder, const char *name) {
    typedef struct kept {
        struct kept *before;
        char path[];
    } kept;
    static kept *last;
    const size_t size = strlen(folder) + strlen(name) + 2;
    kept *k = malloc(sizeof *k + size);
    assert_non_null(k);
    snprintf(k->path, size, "%s/%s", folder, name);
    k->before = last;
    last = k;
    return k->path;
}

/* How many names a folder has. */
static inline size_t names_in(const char *path) {
    char **names;
    size_t count;
    assert_ok(bv_dir_list(path, &names, &count));
    bv_names_free(names, count);
    return count;
}

/* Ends a test, or a group, whose beginning has set *state to its folder. */
static inline int folder_teardown(void **state) {
    remove_folder(*state);
    return 0;
}

#endif
