/*
 * The program in a child of the test, without exec, so that hooks of the test work in it. A test
 * stands in a folder of its own (beaver_begin, beaver_end). For tests of the command line only.
 */
#ifndef BV_TESTS_SUPPORT_BEAVER_H
#define BV_TESTS_SUPPORT_BEAVER_H

#include "support/check.h"

#include "base/memory.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include <fcntl.h>
#include <sys/wait.h>

#define BEAVER_WORDS 32 /* of a command, at most */

static char beaver_said[16384]; /* both outputs of the last command */
static char *beaver_folder;

/* As main does. */
static inline int beaver_main(const char *const *words) {
    char *copy[BEAVER_WORDS + 1] = {(char *)"beaver"};
    int count = 1;
    for (; words[count - 1]; count++) copy[count] = (char *)words[count - 1];
    bv_error *error = bv_cli_run(&bv_program, count, copy);
    if (error) bv_cli_say("%s: %s\n", bv_cli_name(), bv_error_text(error));
    const int code = bv_error_exit_code(error);
    bv_error_free(&error);
    return code;
}

/* Its exit code; 256 + the signal that killed it. `prepare` (or NULL) is called in the child. */
static inline int beaver_run_with(void (*prepare)(void), const char *const *words) {
    int status;
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const int file = open("said", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        if (dup2(file, STDERR_FILENO) < 0 || dup2(file, STDOUT_FILENO) < 0) _exit(99);
        if (prepare) prepare();
        const int code = beaver_main(words);
        fflush(NULL);
        _exit(code);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    bv_buffer text = {0};
    assert_ok(bv_file_read("said", &text));
    snprintf(beaver_said, sizeof beaver_said, "%.*s", (int)text.size, text.data ? text.data : "");
    bv_buffer_free(&text);
    assert_int_equal(unlink("said"), 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

static inline int beaver_run(const char *const *words) {
    return beaver_run_with(NULL, words);
}

#define BEAVER(...) beaver_run((const char *const[]){__VA_ARGS__, NULL})

static inline void beaver_print(const char *const *words) {
    print_error("beaver");
    for (; *words; words++) print_error(" '%s'", *words);
    print_error("\n%s", beaver_said);
}

/* Names in this folder that are none of `known` (NULL at its end); the first, or NULL. Valid until
 * the next call. */
static inline const char *beaver_left(const char *const *known) {
    static char left[300];
    char **names;
    size_t count;
    left[0] = 0;
    assert_ok(bv_dir_list(".", &names, &count));
    for (size_t i = 0; i < count; i++) {
        const char *const *k = known;
        while (*k && strcmp(*k, names[i]) != 0) k++;
        if (!*k && !left[0]) snprintf(left, sizeof left, "%s", names[i]);
    }
    bv_names_free(names, count);
    return left[0] ? left : NULL;
}

/* A folder with text.txt. */
static inline int beaver_begin(void **state) {
    (void)state;
    bv_buffer text = {0};
    bv_json_begin();
    if (access("/dev/shm", W_OK) == 0) setenv("TMPDIR", "/dev/shm", 0); /* where syncing is free */
    beaver_folder = make_folder();
    if (chdir(beaver_folder) != 0) return 1;
    for (int i = 0; i < 100; i++)
        bv_buffer_printf(&text, "the old beaver builds %d dams of %d trees.\n", i, i * 7 % 13);
    assert_ok(bv_file_write("text.txt", text.data, text.size));
    bv_buffer_free(&text);
    return 0;
}

static inline int beaver_end(void **state) {
    (void)state;
    if (chdir("/") != 0) return 1;
    remove_folder(beaver_folder);
    return 0;
}

#endif
