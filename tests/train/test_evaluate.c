/* Where documents begin in windows of text: the mask of training and evaluation. */
#include "support/check.h"

#include "train/evaluate.h"

#define END 9

static void test_an_end_of_text_begins_the_next_document(void **state) {
    (void)state;
    const uint32_t tokens[] = {1, 2,   END, 3, 4, END, END, 5, /* the second window: */
                               6, END, 7,   8, 1, 2,   3,   4};
    const uint32_t expected[] = {0, 0, 2, 2, 2, 5, 6, 6, 0, 1, 1, 1, 1, 1, 1, 1};
    uint32_t found[16];
    bv_first_visible(tokens, 2, 8, END, found);
    assert_memory_equal(found, expected, sizeof expected);
}

static void test_without_an_end_a_window_is_one_document(void **state) {
    (void)state;
    const uint32_t tokens[] = {1, 2, 3, 4, 5, 6}, expected[6] = {0};
    uint32_t found[6];
    bv_first_visible(tokens, 2, 3, END, found);
    assert_memory_equal(found, expected, sizeof expected);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_end_of_text_begins_the_next_document),
        cmocka_unit_test(test_without_an_end_a_window_is_one_document),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
