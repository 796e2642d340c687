/* The live line: what it says, what it leaves out, and that a terminal ends up clean. */
#include "report/progress.h"

#include "base/buffer.h"
#include "support/check.h"
#include <math.h>
#include <time.h>

static void collect(void *context, const char *text, size_t size) {
    bv_buffer_append(context, text, size);
}

static size_t count_of(const char *text, const char *part) {
    size_t count = 0;
    for (const char *p = text; (p = strstr(p, part)); p += strlen(part)) count++;
    return count;
}

static bv_progress_state state_at(uint64_t step) {
    return (bv_progress_state){step, 3.2141, 3.3009, 41000, 0.57};
}

static void test_line(void **state) {
    (void)state;
    bv_progress_state s = state_at(1200);
    assert_string_equal(bv_progress_line(&s, 5000, 38, 200).text,
                        "step 1,200/5,000  loss 3.214  val 3.301  41k tokens/s  57% of limit  "
                        "38s left");
    s.val_loss = s.share_of_limit = NAN;
    assert_string_equal(bv_progress_line(&s, 0, NAN, 200).text,
                        "step 1,200  loss 3.214  41k tokens/s");
    s.loss = INFINITY;
    s.tokens_per_s = NAN;
    assert_string_equal(bv_progress_line(&s, 0, NAN, 200).text, "step 1,200  loss inf");
}

static void test_narrow(void **state) {
    (void)state;
    const bv_progress_state s = state_at(UINT64_MAX);
    for (size_t columns = 0; columns < 400; columns++) {
        const bv_progress_text line = bv_progress_line(&s, UINT64_MAX, 1e30, columns);
        assert_true(strlen(line.text) <= columns);
        assert_true(strlen(line.text) < sizeof line.text);
    }
}

static void test_plain(void **state) {
    (void)state;
    bv_buffer text = {0};
    bv_progress *p = NULL;
    assert_ok(bv_progress_create(
        &(bv_progress_options){
            .write = collect, .context = &text, .plain_period = 1000, .total = 9},
        &p));
    for (uint64_t i = 1; i <= 9; i++) {
        const bv_progress_state s = state_at(i);
        bv_progress_step(p, &s);
    }
    bv_progress_note(p, "saved %s", "run");
    bv_progress_finish(&p);
    assert_null(p);
    /* The first and the last, and nothing that a log would show as rubbish. */
    assert_int_equal(count_of(text.data, "step "), 2);
    assert_non_null(strstr(text.data, "step 1/9  "));
    assert_non_null(strstr(text.data, "saved run\n"));
    assert_non_null(strstr(text.data, "step 9/9  "));
    assert_null(strchr(text.data, '\r'));
    assert_null(strchr(text.data, '\033'));
    assert_int_equal(text.data[text.size - 1], '\n');
    bv_buffer_free(&text);
}

static size_t width; /* of the terminal */

static size_t columns(void) {
    return width;
}

static void test_terminal(void **state) {
    (void)state;
    bv_buffer text = {0};
    bv_progress *p = NULL;
    width = 40;
    assert_ok(bv_progress_create(
        &(bv_progress_options){
            .write = collect, .context = &text, .columns = columns, .total = 100},
        &p));
    bv_progress_state s = state_at(1);
    bv_progress_step(p, &s);
    bv_progress_step(p, &s); /* within a tenth of a second: not drawn again */
    assert_int_equal(count_of(text.data, "\r"), 1);
    bv_progress_note(p, "a note");
    assert_non_null(strstr(text.data, "\r\033[Ka note\n\rstep 1/100"));
    nanosleep(&(struct timespec){.tv_nsec = 150000000}, NULL);
    s.step = 51;
    bv_buffer_clear(&text);
    bv_progress_step(p, &s); /* 51 steps in 0.15 s: the rest takes about as long */
    assert_non_null(strstr(text.data, "\rstep 51/100"));
    assert_true(text.size <= 39 + strlen("\r\033[K"));
    width = 12; /* made narrower meanwhile */
    bv_buffer_clear(&text);
    bv_progress_note(p, "n");
    assert_string_equal(text.data, "\r\033[Kn\n\rstep 51/100\033[K");
    bv_buffer_clear(&text);
    bv_progress_finish(&p);
    assert_int_equal(text.data[text.size - 1], '\n');
    assert_int_equal(count_of(text.data, "\n"), 1);
    bv_buffer_free(&text);
}

static void test_time_left(void **state) {
    (void)state;
    bv_buffer text = {0};
    bv_progress *p = NULL;
    assert_ok(bv_progress_create(
        &(bv_progress_options){
            .write = collect, .context = &text, .plain_period = 1e-9, .total = 2000},
        &p));
    /* What comes before the first step is no part of the rate: nothing is known yet. */
    nanosleep(&(struct timespec){.tv_nsec = 120000000}, NULL);
    bv_progress_state s = {1001, NAN, NAN, NAN, NAN};
    bv_progress_step(p, &s);
    assert_null(strstr(text.data, "left"));
    nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
    s.step = 1002;
    bv_progress_step(p, &s); /* this one took at least 0.2 s, 998 are left: minutes */
    assert_non_null(strstr(text.data, "m "));
    assert_non_null(strstr(text.data, "s left"));
    bv_progress_finish(&p);
    bv_progress_finish(&p);
    bv_buffer_free(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line), cmocka_unit_test(test_narrow), cmocka_unit_test(test_plain),
        cmocka_unit_test(test_terminal), cmocka_unit_test(test_time_left)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
