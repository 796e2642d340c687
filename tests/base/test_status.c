#include "support/check.h"
#include "support/faults.h"

#include <errno.h>
#include <signal.h>

static void test_chain_reads_from_the_cause_outwards(void **state) {
    (void)state;
    bv_error *error = bv_fail(BV_CODE_INPUT, "tensor \"%s\": expected [%d]", "wte", 3);
    error = bv_while(error, "loading %s", "a.safetensors");
    error = bv_try(error, "another file");
    assert_string_equal(bv_error_text(error), "tensor \"wte\": expected [3]\n"
                                              "  while loading a.safetensors\n"
                                              "  try: another file");
    assert_int_equal(bv_error_code(error), BV_CODE_INPUT);
    bv_error_free(&error);
    assert_null(error);
}

static void test_success_is_null_everywhere(void **state) {
    (void)state;
    bv_error *none = NULL;
    assert_null(bv_while(BV_OK, "doing"));
    assert_null(bv_try(BV_OK, "that"));
    assert_string_equal(bv_error_text(BV_OK), "");
    assert_int_equal(bv_error_code(BV_OK), BV_CODE_OK);
    bv_error_free(&none);
}

static void test_control_characters_do_not_reach_a_terminal(void **state) {
    (void)state;
    bv_error *error = bv_fail(BV_CODE_INPUT, "a\033[2Jb\tc\nd\x7f \xc3\xa9 \xc2\x9b \xc2");
    error = bv_while(error, "reading %s", "\r");
    assert_string_equal(bv_error_text(error), "a?[2Jb\tc\nd? \xc3\xa9 ?? \xc2\n  while reading ?");
    bv_error_free(&error);
    /* A line end in a name breaks no line; what a compiler said keeps its own. */
    error = bv_fail(BV_CODE_INPUT, "cannot open %s", "a\nb");
    error = bv_while(bv_while(error, "it wrote:\n%s", "c\nd"), "reading %s", "e\n  try: f");
    assert_string_equal(bv_error_text(error), "cannot open a?b\n  while it wrote:\nc\nd\n"
                                              "  while reading e?  try: f");
    bv_error_free(&error);
}

static void exits_with(bv_error *error, int wanted) {
    assert_int_equal(bv_error_exit_code(error), wanted);
    bv_error_free(&error);
}

static void test_exit_codes(void **state) {
    (void)state;
    exits_with(BV_OK, 0);
    exits_with(bv_fail(BV_CODE_USAGE, "x"), 2);
    exits_with(bv_fail(BV_CODE_INPUT, "x"), 1);
    exits_with(bv_fail(BV_CODE_IO, "x"), 1);
    exits_with(bv_fail(BV_CODE_FAULT, "x"), 1);
    exits_with(bv_fail_memory("x"), 1);
    exits_with(bv_fail(BV_CODE_INTERRUPTED, "x"), 130);
    exits_with(bv_fail_interrupted(SIGINT, "x"), 130);
    exits_with(bv_fail_interrupted(SIGTERM, "x"), 143);
}

static void test_errno_has_its_cause_and_remedy(void **state) {
    (void)state;
    errno = ENOSPC;
    assert_fails(bv_fail_errno("cannot write %s", "f"), BV_CODE_IO,
                 "cannot write f: No space left on device\n  try: free space or another folder");
    errno = EFBIG;
    assert_fails(bv_fail_errno("cannot write f"), BV_CODE_IO, "ulimit -f");
    errno = EACCES;
    assert_fails(bv_fail_errno("cannot write f"), BV_CODE_IO, "try: another folder");
    errno = ENOMEM;
    assert_fails(bv_fail_errno("cannot map f"), BV_CODE_MEMORY, "cannot map f: ");
}

static void test_long_texts_are_cut(void **state) {
    (void)state;
    bv_error *error = bv_fail(BV_CODE_INPUT, "%5000s", "x");
    for (int i = 0; i < 10; i++) error = bv_while(error, "%3000d", i);
    assert_in_range(strlen(bv_error_text(error)), 1000, 2047);
    bv_error_free(&error);
}

static void test_without_memory_there_is_still_an_error(void **state) {
    (void)state;
    faults_allocation(0);
    bv_error *error = bv_fail(BV_CODE_INPUT, "x");
    assert_true(faults_off());
    error = bv_try(bv_while(error, "y"), "z");
    assert_int_equal(bv_error_code(error), BV_CODE_MEMORY);
    assert_non_null(strstr(bv_error_text(error), "out of memory\n  try: "));
    bv_error_free(&error);
    assert_null(error);
}

static void test_an_error_may_end_a_phase_without_allocations(void **state) {
    (void)state;
    bv_no_alloc_begin("test");
    bv_error *error = bv_fail(BV_CODE_FAULT, "the loss is not finite");
    bv_no_alloc_end();
    assert_fails(error, BV_CODE_FAULT, "not finite");
}

static bv_status try_twice(bv_error *first) {
    BV_TRY(first);
    return bv_fail(BV_CODE_USAGE, "second");
}

static void test_try_returns_early(void **state) {
    (void)state;
    assert_fails(try_twice(BV_OK), BV_CODE_USAGE, "second");
    assert_fails(try_twice(bv_fail(BV_CODE_INPUT, "first")), BV_CODE_INPUT, "first");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_control_characters_do_not_reach_a_terminal),
        cmocka_unit_test(test_chain_reads_from_the_cause_outwards),
        cmocka_unit_test(test_success_is_null_everywhere),
        cmocka_unit_test(test_exit_codes),
        cmocka_unit_test(test_errno_has_its_cause_and_remedy),
        cmocka_unit_test(test_long_texts_are_cut),
        cmocka_unit_test(test_without_memory_there_is_still_an_error),
        cmocka_unit_test(test_an_error_may_end_a_phase_without_allocations),
        cmocka_unit_test(test_try_returns_early),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
