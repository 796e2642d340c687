/*
 * The cache of compiled programs: the same program for the same language and source, whoever asks
 * at once; never more bytes than allowed but what is lent; what does not compile is not kept.
 */
#include "support/check.h"

#include "arena/program_cache.h"
#include "base/tasks.h"
#include "support/boxes.h"

static bv_sandbox_pool *pool;
static bv_program_cache *cache;

static size_t spare; /* bytes that a program has beside its code */

/* Takes the program that exits with `code`; *compiled: a compiler ran. */
static bv_program_loan take(const char *language, int code, bool *compiled) {
    char source[160];
    bv_buffer log = {0};
    uint64_t cpu_ns = 0;
    bv_program_loan loan = {0};
    snprintf(source, sizeof source, "char spare[%zu] = {1};\nint main(void) { return %d; }\n",
             spare + 1, code);
    const bv_program_source given = {language, source, strlen(source)};
    assert_ok(bv_program_cache_take(cache, pool, &given, &loan, &log, &cpu_ns));
    assert_non_null(loan.program);
    *compiled = cpu_ns > 0;
    bv_buffer_free(&log);
    return loan;
}

static void expect_exit(const bv_program_loan *loan, int code) {
    bv_sandbox_result result = {0};
    bv_program_run run = {0};
    bv_sandbox_limits_default(&run.limits);
    assert_ok(bv_program_execute(pool, loan->program, &run, &result));
    assert_int_equal(result.exit_code, code);
    bv_sandbox_result_free(&result);
}

static void expect(const char *language, int code, bool compiled) {
    bool did;
    bv_program_loan loan = take(language, code, &did);
    assert_int_equal(did, compiled);
    expect_exit(&loan, code);
    bv_program_cache_give(cache, &loan);
}

static void test_known(void **state) {
    (void)state;
    expect("c", 1, true);
    expect("c", 2, true);
    expect("c", 1, false);
    expect("c", 2, false);
}

/* A cache with room for so many programs, and what they cost beside their bytes. */
static void bound_cache(size_t programs) {
    bool compiled;
    bv_program_loan any = take("c", 1, &compiled);
    const size_t bytes = bv_program_bytes(any.program);
    bv_program_cache_give(cache, &any);
    bv_program_cache_destroy(&cache);
    assert_ok(bv_program_cache_create(programs * bytes + bytes / 2, &cache));
}

static void test_bound(void **state) {
    (void)state;
    bool compiled;
    bound_cache(3);
    bv_program_loan first = take("c", 1, &compiled);
    for (int code = 2; code < 8; code++) expect("c", code, true);
    expect("c", 7, false);
    expect("c", 2, true); /* gone */
    expect_exit(&first, 1);
    expect("c", 1, false); /* lent all the time */
    bv_program_cache_give(cache, &first);
    bv_program_cache_destroy(&cache);
    assert_ok(bv_program_cache_create(0, &cache)); /* nothing is kept but what is lent */
    expect("c", 1, true);
    expect("c", 1, true);
}

/* Each large program is a file that is open: connections and boxes need files too. */
static void test_open_files(void **state) {
    (void)state;
    spare = 100000;
    bv_program_cache_destroy(&cache);
    assert_ok(bv_program_cache_create((size_t)64 << 20, &cache));
    const size_t before = names_in("/proc/self/fd");
    for (int code = 0; code < 36; code++) expect("c", code, true);
    assert_int_equal(names_in("/proc/self/fd"), before + 32);
    expect("c", 35, false);
    expect("c", 4, false);
    spare = 0;
    for (int code = 0; code < 4; code++) expect("c", code, true);
    expect("c", 0, false); /* small ones are kept beside them */
    assert_int_equal(names_in("/proc/self/fd"), before + 32);
}

static void test_not_compiled(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        bv_buffer log = {0};
        uint64_t cpu_ns = 0;
        bv_program_loan loan = {0};
        const bv_program_source given = {"c", "int x", 5};
        assert_ok(bv_program_cache_take(cache, pool, &given, &loan, &log, &cpu_ns));
        assert_null(loan.program);
        assert_true(cpu_ns > 0 && log.size > 0);
        bv_program_cache_give(cache, &loan);
        bv_buffer_free(&log);
    }
}

static bv_status use(void *context, size_t index) {
    (void)context;
    bool compiled;
    const int code = (int)(index % 3);
    bv_program_loan loan = take("c", code, &compiled);
    expect_exit(&loan, code);
    bv_program_cache_give(cache, &loan);
    return BV_OK;
}

static void test_threads(void **state) {
    (void)state;
    bv_pool *threads;
    assert_ok(bv_pool_create(4, &threads));
    assert_ok(bv_tasks_run(threads, 40, use, NULL));
    bound_cache(1); /* each drives the others out */
    assert_ok(bv_tasks_run(threads, 40, use, NULL));
    bv_pool_destroy(&threads);
}

static int begin(void **state) {
    (void)state;
    assert_ok(bv_program_cache_create((size_t)1 << 20, &cache));
    return 0;
}

static int end(void **state) {
    (void)state;
    bv_program_cache_destroy(&cache);
    return 0;
}

static int open_pool(void **state) {
    *state = pool = boxes_open(4);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_known, begin, end),
        cmocka_unit_test_setup_teardown(test_bound, begin, end),
        cmocka_unit_test_setup_teardown(test_open_files, begin, end),
        cmocka_unit_test_setup_teardown(test_not_compiled, begin, end),
        cmocka_unit_test_setup_teardown(test_threads, begin, end),
    };
    return cmocka_run_group_tests(tests, open_pool, boxes_teardown);
}
