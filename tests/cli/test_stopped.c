/*
 * SIGTERM at every write of preparing and training, as a user's Ctrl-C may come: what was begun is
 * whole or not there, nothing else is left, and what can go on ends with the same bits.
 */
#include "support/beaver.h"

#include "base/hash.h"
#include <signal.h>
#include <sys/mman.h>

static int *stop_at; /* the write before which the signal comes; counts down, in the child */

static int on_write(void *context, const char *call, const char *path) {
    (void)context, (void)call, (void)path;
    if ((*stop_at)-- == 0) raise(SIGTERM);
    return 0;
}

static void begin_counting(void) {
    bv_io_hook_set(on_write, NULL);
}

/* The signal at the n-th write: true while there are so many. */
static bool stopped(int n, const char *const *words) {
    static const char *const known[] = {"text.txt", "data", "out", NULL};
    *stop_at = n;
    const int code = beaver_run_with(begin_counting, words);
    const char *left = beaver_left(known);
    if ((code != 0 && code != 143 && code != 256 + SIGTERM) || left) {
        beaver_print(words);
        fail_msg("stopped before write %d: exit code %d, left: %s", n, code, left ? left : "");
    }
    return *stop_at < 0;
}

static void hash_of_run(char text[BV_SHA256_TEXT_SIZE]) {
    assert_ok(bv_sha256_file("out/checkpoints/latest/optimizer.safetensors", text));
}

static void test_preparing(void **state) {
    (void)state;
    static const char *const ways[][2] = {
        {"--tokenizer", "byte"}, {"--tokenizer", "char"}, {"--vocab", "270"}};
    for (size_t i = 0; i < 3; i++) {
        const char *const prepare[] = {"data", "prepare",  "text.txt", "--out",
                                       "out",  ways[i][0], ways[i][1], NULL};
        int n = 0;
        while (stopped(n, prepare)) {
            n++;
            if (bv_dir_exists("out")) assert_true(bv_file_exists("out/manifest.json"));
            assert_ok(bv_dir_remove("out"));
        }
        assert_true(n > 3);
        assert_ok(bv_dir_remove("out"));
    }
}

static const char *const resume[] = {"train", "--out", "out", "--resume", NULL};

static void check_training(const char *const *train) {
    char expected[BV_SHA256_TEXT_SIZE], got[BV_SHA256_TEXT_SIZE];
    if (beaver_run(train) != 0) beaver_print(train);
    hash_of_run(expected);
    assert_ok(bv_dir_remove("out"));
    int n = 0;
    while (stopped(n, train)) {
        n++;
        if (bv_dir_exists("out")) {
            assert_int_equal(beaver_run(resume), 0);
            hash_of_run(got);
            assert_string_equal(got, expected);
        }
        assert_ok(bv_dir_remove("out"));
    }
    assert_true(n > 10);
    assert_ok(bv_dir_remove("out"));
}

static void test_training(void **state) {
    (void)state;
    check_training((const char *const[]){
        "train", "--data",  "data", "--out",        "out", "--context",
        "8",     "--width", "8",    "--heads",      "1",   "--layers",
        "1",     "--steps", "3",    "--batch",      "2",   "--checkpoint-every",
        "1",     "--keep",  "1",    "--eval-every", "2",   NULL});
    check_training((const char *const[]){
        "train", "--data",       "data", "--out",    "out",   "--context", "8", "--width",
        "8",     "--heads",      "1",    "--layers", "1",     "--steps",   "2", "--batch",
        "2",     "--kneser-ney", "3",    "--tied",   "false", NULL});
}

static int begin(void **state) {
    stop_at =
        mmap(NULL, sizeof *stop_at, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (stop_at == MAP_FAILED) return 1;
    if (beaver_begin(state) != 0) return 1;
    return BEAVER("data", "prepare", "text.txt", "--out", "data", "--tokenizer", "byte");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_preparing),
        cmocka_unit_test(test_training),
    };
    return cmocka_run_group_tests(tests, begin, beaver_end);
}
