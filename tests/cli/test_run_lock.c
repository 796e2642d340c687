/* A run that another process changes while it is resumed: what counts is read under its lock. */
#include "support/beaver.h"

#include "base/partial_folder.h"
#include "base/text.h"
#include "train/run_folder.h"

/* At the moment in which the lock is taken another, which had it, has let the run grow. */
static int grow_before_lock(void *context, const char *call, const char *path) {
    static bool done;
    bv_run_config config;
    (void)context;
    if (done || strcmp(call, "open") != 0 || !bv_ends_with(path, "/" BV_FOLDER_LOCK)) return 0;
    done = true;
    if (bv_run_folder_load("run", &config)) _exit(99);
    config.settings.steps = 4;
    if (bv_run_folder_save("run", &config)) _exit(99);
    return 0;
}

static void change_beside(void) {
    bv_io_hook_set(grow_before_lock, NULL);
}

static void test_config_is_read_under_the_lock(void **state) {
    (void)state;
    const char *const words[] = {"train", "--out", "run", "--resume", "--json", NULL};
    if (beaver_run_with(change_beside, words) != 0) {
        beaver_print(words);
        fail();
    }
    assert_non_null(strstr(beaver_said, "\"step\": 4"));
}

static void test_no_run_gets_no_lock(void **state) {
    (void)state;
    assert_ok(bv_dir_make("empty"));
    assert_int_equal(BEAVER("train", "--out", "empty", "--resume"), 2);
    assert_int_equal(rmdir("empty"), 0);
}

static int begin(void **state) {
    if (beaver_begin(state) != 0) return 1;
    if (BEAVER("data", "prepare", "text.txt", "--out", "data", "--tokenizer", "byte")) return 1;
    return BEAVER("train", "--data", "data", "--out", "run", "--context", "8", "--width", "8",
                  "--heads", "1", "--layers", "1", "--steps", "2", "--batch", "1", "--schedule",
                  "constant");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_config_is_read_under_the_lock),
                                       cmocka_unit_test(test_no_run_gets_no_lock)};
    return cmocka_run_group_tests(tests, begin, beaver_end);
}
