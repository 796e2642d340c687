/* Few descriptors and little memory: a folder appears whole or not at all, and nothing else is
 * left; and what is only asked for needs none. */
#include "support/beaver.h"

#include <sys/resource.h>

#define MOST 64 /* descriptors; enough for all */

static rlim_t descriptors;

static void have_few(void) {
    const struct rlimit few = {descriptors, descriptors};
    if (setrlimit(RLIMIT_NOFILE, &few) != 0) _exit(99);
}

/* With more descriptors each time, until it works. file: of the folder `out`. */
static void with_few(const char *file, const char *const *words) {
    static const char *const known[] = {"text.txt", "data", "out", NULL};
    int code = 1, refused = 0;
    for (descriptors = 4; code != 0 && descriptors < MOST; descriptors++) {
        code = beaver_run_with(have_few, words);
        refused += code == 1;
        const char *left = beaver_left(known);
        const bool whole = !bv_dir_exists("out") || bv_file_exists(file);
        if ((code != 0 && code != 1) || left || !whole) {
            beaver_print(words);
            fail_msg("%d descriptors: exit code %d, left: %s", (int)descriptors, code,
                     left ? left : "");
        }
        if (code) assert_ok(bv_dir_remove("out"));
    }
    assert_int_equal(code, 0);
    assert_true(refused > 0);
    assert_ok(bv_dir_remove("out"));
}

static void test_few(void **state) {
    (void)state;
    with_few("out/manifest.json", (const char *const[]){"data", "prepare", "text.txt", "--out",
                                                        "out", "--tokenizer", "byte", NULL});
    with_few("out/config.json",
             (const char *const[]){"train", "--data", "data", "--out", "out", "--width", "8",
                                   "--heads", "1", "--steps", "1", "--batch", "1", "--layers", "1",
                                   "--context", "8", NULL});
    with_few("out/config.json",
             (const char *const[]){"train", "--data",   "data",  "--out",     "out", "--width",
                                   "8",     "--heads",  "1",     "--steps",   "1",   "--batch",
                                   "1",     "--layers", "1",     "--context", "8",   "--kneser-ney",
                                   "3",     "--tied",   "false", NULL});
}

/* ---- memory ---- */

#define BLOCK_MAX ((size_t)256 << 20)

static void *reallocate(void *context, void *pointer, size_t size) {
    (void)context;
    return size > BLOCK_MAX ? NULL : realloc(pointer, size);
}

static void release(void *context, void *pointer) {
    (void)context;
    free(pointer);
}

static void have_no_large_block(void) {
    bv_allocator_set(&(bv_allocator){reallocate, release, NULL});
}

/* Memory is for the tokens that are written, not for those that may be. */
static void test_many_tokens(void **state) {
    (void)state;
    assert_int_equal(BEAVER("train", "--data", "data", "--out", "out", "--width", "8", "--heads",
                            "1", "--steps", "1", "--batch", "1", "--layers", "1", "--context", "8"),
                     0);
    const char *const words[] = {"generate", "out", "--tokens", "1000000000", "--stop", "a",
                                 "--stop",   "b",   "--stop",   "c",          "--json", NULL};
    if (beaver_run_with(have_no_large_block, words) != 0) {
        beaver_print(words);
        fail();
    }
    assert_non_null(strstr(beaver_said, "\"finish_reason\": \"stop\""));
    assert_ok(bv_dir_remove("out"));
}

static int begin(void **state) {
    if (beaver_begin(state) != 0) return 1;
    return BEAVER("data", "prepare", "text.txt", "--out", "data", "--tokenizer", "byte");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_few),
                                       cmocka_unit_test(test_many_tokens)};
    return cmocka_run_group_tests(tests, begin, beaver_end);
}
