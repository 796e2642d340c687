/*
 * Temporary folders of tests, below TMPDIR or /tmp. A test removes its own at its end; what a test
 * leaves that failed is removed when the process exits, and on SIGINT, SIGTERM or SIGHUP before it
 * dies of them. (A SIGKILL, ctest's after a time out, leaves it.)
 *
 *     BEAVER_KEEP=1   keeps them for a look, and says where they are
 *
 * For tests only; one thread. A process that a test forks removes nothing.
 */
#ifndef BV_TESTS_SUPPORT_FOLDER_H
#define BV_TESTS_SUPPORT_FOLDER_H

#include "base/file.h"
#include "base/memory.h"
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define FOLDERS_MAX 1000

/* The folders that stand, behind the arguments of a command that removes them: a handler of signals
 * can only run it. */
static char *folders_remove[4 + FOLDERS_MAX] = {(char *)"rm", (char *)"-rf", (char *)"--"};
static char **const folders = folders_remove + 3;
static size_t folders_count;
static pid_t folders_owner; /* 0: none was made */

static inline bool folders_kept(void) {
    return getenv("BEAVER_KEEP") != NULL;
}

static inline void folders_at_signal(int number) {
    if (getpid() == folders_owner && folders_count) {
        const pid_t child = _Fork();
        if (child == 0) {
            execv("/bin/rm", folders_remove);
            _exit(1);
        }
        if (child > 0) waitpid(child, NULL, 0);
    }
    raise(number); /* by default now, and when this handler returns */
}

static inline void folders_at_exit(void) {
    if (getpid() != folders_owner) return;
    bv_io_hook_set(NULL, NULL); /* a test that failed may have left its faults on */
    bv_allocator_set(NULL);
    for (size_t i = 0; i < folders_count; i++) {
        bv_error *error = folders_kept() ? BV_OK : bv_dir_remove(folders[i]);
        if (error || folders_kept()) fprintf(stderr, "left: %s\n", folders[i]);
        bv_error_free(&error);
        free(folders[i]);
    }
    folders_count = 0;
}

static inline void folders_begin(void) {
    const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    folders_owner = getpid();
    atexit(folders_at_exit);
    if (folders_kept()) return;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct sigaction action = {.sa_handler = folders_at_signal, .sa_flags = (int)SA_RESETHAND};
        struct sigaction old;
        if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
            sigaction(numbers[i], &action, NULL);
    }
}

/* NULL when there can be none. Valid until it is forgotten. */
static inline char *folder_new(void) {
    const char *parent = getenv("TMPDIR");
    char path[4096];
    snprintf(path, sizeof path, "%s/beaver-test-XXXXXX", parent ? parent : "/tmp");
    if (folders_count == FOLDERS_MAX || !mkdtemp(path)) return NULL;
    if (!folders_owner) folders_begin();
    return folders[folders_count++] = strdup(path);
}

/* A folder that its test has removed. */
static inline void folder_forget(const char *path) {
    for (size_t i = 0; i < folders_count; i++) {
        if (strcmp(folders[i], path) != 0) continue;
        free(folders[i]);
        folders[i] = folders[--folders_count];
        folders[folders_count] = NULL;
        return;
    }
}

#endif
