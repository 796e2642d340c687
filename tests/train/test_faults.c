/* Every allocation, and every write-like system call, of a tiny run fails once: an error that says
 * so, nothing leaked or half-written, and going on afterwards ends with the same bits. */
#include "support/check.h"

#include "support/faults.h"
#include "support/tiny_run.h"
#include <errno.h>

#define SETTINGS "steps=2 eval_every=2 checkpoint_every=1 keep=1 micro_batch=2"

static tiny_run t;
static char expected[2 * BV_SHA256_TEXT_SIZE];

/* A fresh run folder, the faults, the way on. */
static bool one_fault(void (*fault)(int n), int n, bv_code code) {
    assert_ok(bv_dir_remove(t.run));
    fault(n);
    bv_error *error = bv_run_folder_create(t.run, &t.config);
    if (!error) error = bv_train(&t.options);
    const bool struck = faults_off();
    if (error && bv_error_code(error) != code) fail_msg("%d: %s", n, bv_error_text(error));
    if (!struck) assert_ok(error);
    bv_error_free(&error);
    if (!bv_run_folder_exists(t.run)) assert_ok(bv_run_folder_create(t.run, &t.config));
    assert_ok(bv_train(&t.options));
    assert_string_equal(tiny_hash(&t).text, expected);
    bv_run_config config;
    assert_ok(bv_run_folder_load(t.run, &config));
    assert_ok(bv_settings_same(&t.config.settings, &config.settings, NULL));
    return struck;
}

static void fail_write(int n) {
    faults_system_call(n, ENOSPC);
}

static void test_full_disk(void **state) {
    (void)state;
    int n = 0;
    while (one_fault(fail_write, n, BV_CODE_IO)) n++;
    assert_true(n > 20);
}

static void test_no_memory(void **state) {
    (void)state;
    int n = 0;
    while (one_fault(faults_allocation, n, BV_CODE_MEMORY)) n += n < 400 ? 1 : 7;
    assert_true(n > 400);
}

static int begin(void **state) {
    (void)state;
    bv_json_begin();
    tiny_begin(&t, SETTINGS, 0, 1);
    assert_ok(bv_train(&t.options));
    memcpy(expected, tiny_hash(&t).text, sizeof expected);
    return 0;
}

static int end(void **state) {
    (void)state;
    tiny_end(&t);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
