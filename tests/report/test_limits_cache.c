/* The cache of measured limits: what is no cache is an empty one, and nothing else is disturbed. */
#include "report/limits_cache.h"

#include "base/memory.h"
#include "support/check.h"
#include "support/faults.h"
#include <errno.h>

static char *folder;

static int set_up(void **state) {
    *state = folder = make_folder();
    return setenv("XDG_CACHE_HOME", folder, 1);
}

static bv_limits best; /* of the last that was to be remembered */
static const bv_limits some = {123.5, 456.25, 911.5, 78.125};

static void assert_some(const bv_limits *limits) {
    assert_true(limits->f32_gflops == some.f32_gflops);
    assert_true(limits->bf16_gflops == some.bf16_gflops);
    assert_true(limits->int8_gops == some.int8_gops);
    assert_true(limits->read_gbps == some.read_gbps);
}

static void test_path(void **state) {
    (void)state;
    char *path = bv_limits_path();
    assert_memory_equal(path, folder, strlen(folder));
    assert_string_equal(path + strlen(folder), "/beaver/limits.json");
    bv_free(path);
    char home[4096];
    const char *old = getenv("HOME");
    snprintf(home, sizeof home, "%s", old ? old : "/");
    setenv("XDG_CACHE_HOME", "relative", 1); /* to be ignored */
    setenv("HOME", "/nowhere", 1);
    path = bv_limits_path();
    assert_string_equal(path, "/nowhere/.cache/beaver/limits.json");
    bv_free(path);
    unsetenv("HOME");
    assert_null(bv_limits_path());
    bv_limits limits;
    assert_false(bv_limits_cached(1, "c", &limits));
    assert_fails(bv_limits_remember(1, "c", &some, &best), BV_CODE_IO, "XDG_CACHE_HOME");
    setenv("HOME", home, 1);
}

static void test_remember(void **state) {
    (void)state;
    bv_limits limits = {1, 2, 3, 4};
    assert_false(bv_limits_cached(2, "avx2", &limits));
    assert_true(limits.read_gbps == 4); /* untouched */
    assert_ok(bv_limits_remember(2, "avx2", &some, &best));
    assert_true(bv_limits_cached(2, "avx2", &limits));
    assert_some(&limits);
    assert_false(bv_limits_cached(3, "avx2", &limits));
    assert_false(bv_limits_cached(2, "c", &limits));
    const bv_limits other = {1, 1, 1, 1};
    assert_ok(bv_limits_remember(2, "c", &other, &best));
    assert_true(bv_limits_cached(2, "avx2", &limits)); /* both are kept */
    assert_some(&limits);
}

/* What is measured beside other programs takes nothing from what was seen, figure by figure. */
static void test_best(void **state) {
    (void)state;
    const bv_limits busy = {some.f32_gflops / 2, some.bf16_gflops + 1, some.int8_gops / 4, 1};
    bv_limits limits;
    assert_ok(bv_limits_remember(1, "c", &some, &best));
    assert_some(&best);
    assert_true(bv_limits_share(&some, &best) == 1);
    assert_ok(bv_limits_remember(1, "c", &busy, &best));
    assert_true(bv_limits_cached(1, "c", &limits));
    assert_true(limits.bf16_gflops == some.bf16_gflops + 1 &&
                best.bf16_gflops == limits.bf16_gflops);
    limits.bf16_gflops = some.bf16_gflops;
    assert_some(&limits);
    assert_true(bv_limits_share(&busy, &best) == 1 / some.read_gbps);
}

static void test_garbage(void **state) {
    (void)state;
    static const char *const texts[] = {"",          "not JSON", "[1, 2]", "null",
                                        "{\"a\": 1", "\xff",     "{}",     "{\"beaver\": 7}"};
    char *path = bv_limits_path();
    bv_limits limits;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char made[4200];
        snprintf(made, sizeof made, "%s/beaver", folder);
        assert_ok(bv_dir_make(made));
        assert_ok(bv_file_write(path, texts[i], strlen(texts[i])));
        assert_false(bv_limits_cached(1, "c", &limits));
        assert_ok(bv_limits_remember(1, "c", &some, &best)); /* and is replaced */
        assert_true(bv_limits_cached(1, "c", &limits));
        assert_some(&limits);
    }
    bv_free(path);
}

/* An entry whose figures are absent, words or nonsense is not believed. */
static void test_bad_entry(void **state) {
    (void)state;
    assert_ok(bv_limits_remember(1, "c", &some, &best));
    char *path = bv_limits_path();
    bv_buffer text = {0};
    assert_ok(bv_file_read(path, &text));
    static const char *const figures[] = {"-78.125", "\"fast\"", "0.0", "null", "[]"};
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        char *at = strstr(text.data, "78.125");
        assert_non_null(at);
        bv_buffer changed = {0};
        bv_buffer_append(&changed, text.data, (size_t)(at - text.data));
        bv_buffer_printf(&changed, "%s%s", figures[i], at + strlen("78.125"));
        assert_ok(bv_file_write(path, changed.data, changed.size));
        bv_limits limits;
        assert_false(bv_limits_cached(1, "c", &limits));
        bv_buffer_free(&changed);
    }
    bv_buffer_free(&text);
    bv_free(path);
}

/* A full disk leaves the old file. */
static void test_full_disk(void **state) {
    (void)state;
    assert_ok(bv_limits_remember(1, "c", &some, &best));
    const bv_limits other = {9999, 9999, 9999, 9999};
    for (int n = 0;; n++) {
        faults_system_call(n, ENOSPC);
        bv_error *error = bv_limits_remember(1, "c", &other, &best);
        if (!faults_off()) {
            assert_ok(error);
            break;
        }
        /* A sync that fails after the rename leaves the new figures: whole either way. */
        bv_error_free(&error);
        bv_limits limits;
        assert_true(bv_limits_cached(1, "c", &limits));
        assert_true((limits.f32_gflops == 9999) == (limits.read_gbps == 9999));
    }
}

static void test_text(void **state) {
    (void)state;
    assert_string_equal(bv_limits_text(&some).text,
                        "f32 124 GFLOP/s, bf16 456 GFLOP/s, int8 912 GOP/s, memory 78.1 GB/s");
    assert_string_equal(bv_limits_text(&(bv_limits){0.4, 0.05, 3.25, 9.5}).text,
                        "f32 0.40 GFLOP/s, bf16 0.05 GFLOP/s, int8 3.25 GOP/s, memory 9.50 GB/s");
}

static void test_measure(void **state) {
    (void)state;
    const bv_kernels *kernels;
    assert_ok(bv_kernels_pick(&kernels));
    bv_limits limits = {0};
    assert_ok(bv_limits_measure(kernels, NULL, 0.03, &limits));
    assert_true(limits.f32_gflops > 0 && limits.bf16_gflops > 0);
    assert_true(limits.int8_gops > 0 && limits.read_gbps > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_path, set_up, folder_teardown),
        cmocka_unit_test_setup_teardown(test_remember, set_up, folder_teardown),
        cmocka_unit_test_setup_teardown(test_best, set_up, folder_teardown),
        cmocka_unit_test_setup_teardown(test_garbage, set_up, folder_teardown),
        cmocka_unit_test_setup_teardown(test_bad_entry, set_up, folder_teardown),
        cmocka_unit_test_setup_teardown(test_full_disk, set_up, folder_teardown),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_measure)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
