/* Sets of problems, samples, their judging through the cache, and files that are nearly right. */
#include "support/check.h"

#include "arena/judge_samples.h"
#include "base/gzip.h"
#include "support/boxes.h"
#include "support/mangle.h"

#define PROBLEMS BV_SOURCE "/tests/arena/problems/"

static char *folder;
static char file[4200];

static const char *in_folder(const char *name) {
    snprintf(file, sizeof file, "%s/%s", folder, name);
    return file;
}

static void copy_file(const char *from, const char *name) {
    bv_buffer text = {0};
    assert_ok(bv_file_read(from, &text));
    assert_ok(bv_file_write(in_folder(name), text.data, text.size));
    bv_buffer_free(&text);
}

static void test_sets(void **state) {
    (void)state;
    bv_problem_set set;
    assert_ok(bv_problem_set_load("humaneval", PROBLEMS "humaneval.jsonl", &set));
    assert_int_equal(set.count, 3);
    const bv_problem *p = bv_problem_find(&set, "Tiny/1");
    assert_string_equal(p->entry, "decode");
    assert_ptr_equal(p->context, p->prompt); /* has the helper that the tests call */
    assert_null(bv_problem_find(&set, "Tiny/9"));
    bv_problem_set_free(&set);
    assert_ok(bv_problem_set_load("mbpp", PROBLEMS "mbpp.jsonl", &set));
    assert_string_equal(set.list[0].id, "MBPP/1");
    assert_string_equal(set.list[0].entry, "shared");
    assert_string_equal(set.list[1].entry, "sum"); /* not the helper, though a built-in's name */
    assert_string_equal(set.list[1].context, "base = 10");
    assert_non_null(strstr(set.list[1].prompt, "assert sum(base, 5) == 15"));
    assert_null(strstr(set.list[1].prompt, "isclose")); /* only the first test is shown */
    bv_problem_set_free(&set);
    assert_fails(bv_problem_set_load("humanevil", folder, &set), BV_CODE_USAGE, "try: humaneval");
    assert_fails(bv_problem_set_load("mbpp", folder, &set), BV_CODE_INPUT, "has no mbpp.jsonl");
}

static void test_truncation(void **state) {
    (void)state;
    bv_problem_set set;
    bv_samples samples = {0};
    assert_ok(bv_problem_set_load("humaneval", PROBLEMS "humaneval.jsonl", &set));
    const char *text = "    return 2 * x\n    # a note\n\n\ndef more():\nprint(1)\n#";
    assert_ok(bv_samples_add(&samples, &set.list[0], text, strlen(text)));
    assert_ok(bv_samples_add(&samples, &set.list[0], "    return 1\n", 13));
    bv_samples_truncate(&samples, &set);
    assert_string_equal(samples.list[0].completion, "    return 2 * x\n    # a note\n\n");
    assert_string_equal(samples.list[1].completion, "    return 1\n");
    bv_samples_free(&samples);
    bv_problem_set_free(&set);
}

static void put(const char *name, const char *text) {
    assert_ok(bv_file_write(in_folder(name), text, strlen(text)));
}

static void test_samples_of_a_file(void **state) {
    (void)state;
    bv_problem_set set;
    bv_samples samples = {0};
    assert_ok(bv_problem_set_load("humaneval", PROBLEMS "humaneval.jsonl", &set));
    put("s.jsonl",
        "{\"task_id\": \"Tiny/0\", \"completion\": \"    return 2 * x\", \"extra\": 1}\n\n"
        "{\"task_id\": \"Tiny/0\", \"completion\": \"    return x\"}");
    assert_ok(bv_samples_read(&set, in_folder("s.jsonl"), &samples));
    assert_int_equal(samples.count, 2);
    bv_samples_free(&samples);
    put("s.jsonl", "{\"task_id\": \"Tiny/7\", \"completion\": \"\"}\n");
    assert_fails(bv_samples_read(&set, in_folder("s.jsonl"), &samples), BV_CODE_INPUT,
                 "no problem \"Tiny/7\"");
    put("s.jsonl", "{\"task_id\": \"Tiny/0\"}\n");
    assert_fails(bv_samples_read(&set, in_folder("s.jsonl"), &samples), BV_CODE_INPUT,
                 "\"completion\" is missing");
    put("s.jsonl", "\n");
    assert_fails(bv_samples_read(&set, in_folder("s.jsonl"), &samples), BV_CODE_INPUT,
                 "has no samples");
    bv_samples_free(&samples);
    bv_problem_set_free(&set);
}

/* ---- judging ---- */

static void judge(const char *name, bv_code_way way, bv_record_cache *cache, size_t passed,
                  size_t cached) {
    bv_problem_set set;
    bv_samples samples = {0};
    bv_sample_counts counts;
    bv_pool *threads;
    char path[300];
    snprintf(path, sizeof path, PROBLEMS "%s.jsonl", name);
    bv_sandbox_pool *boxes = boxes_open(4);
    assert_ok(bv_pool_create(2, &threads));
    assert_ok(bv_problem_set_load(name, path, &set));
    assert_ok(bv_samples_canonical(&set, &samples));
    for (size_t i = 0; i < set.count; i++) /* broken ones */
        assert_ok(bv_samples_add(&samples, &set.list[i], "    return None\n", 16));
    bv_judge_samples_options options = {.pool = boxes, .threads = threads, .cache = cache};
    bv_code_options_default(&options.code);
    options.code.way = way;
    assert_ok(bv_judge_samples(&samples, &options));
    assert_ok(bv_sample_counts_make(&set, &samples, &counts));
    size_t known = 0;
    for (size_t i = 0; i < samples.count; i++) known += samples.list[i].cached;
    assert_int_equal(counts.passed, passed);
    assert_int_equal(known, cached);
    assert_int_equal(counts.n_min, 2);
    for (size_t i = 0; i < counts.count; i++) assert_int_equal(counts.counts[i].c, 1);
    assert_ok(bv_samples_write(&samples, in_folder("results.jsonl")));
    bv_sample_counts_free(&counts);
    bv_samples_free(&samples);
    bv_problem_set_free(&set);
    bv_pool_destroy(&threads);
    bv_sandbox_pool_destroy(&boxes);
}

/* Canonical solutions pass and broken ones fail, in both ways, the second time from the cache. */
static void test_judging(void **state) {
    (void)state;
    bv_record_cache *cache;
    char path[4300];
    snprintf(path, sizeof path, "%s/a/b/cache.jsonl", folder);
    assert_ok(bv_record_cache_open(path, &cache));
    judge("humaneval", BV_CODE_APART, cache, 3, 0);
    judge("humaneval", BV_CODE_APART, cache, 3, 6);
    judge("humaneval", BV_CODE_IN_PROCESS, cache, 3, 0);
    bv_record_cache_close(&cache);
    assert_ok(bv_record_cache_open(path, &cache)); /* another process */
    judge("humaneval", BV_CODE_APART, cache, 3, 6);
    judge("mbpp", BV_CODE_APART, cache, 2, 0);
    judge("mbpp", BV_CODE_IN_PROCESS, NULL, 2, 0);
    bv_record_cache_close(&cache);
    bv_buffer text = {0};
    assert_ok(bv_file_read(in_folder("results.jsonl"), &text));
    assert_non_null(strstr(text.data, "\"forgeable\": true, \"reward\": null"));
    bv_buffer_free(&text);
}

static void test_torn_cache(void **state) {
    (void)state;
    bv_record_cache *cache;
    const char *good = "{\"key\": \"a\", \"record\": {\"n\": 1}}\nnonsense\n{\"key\": \"b\", \"rec";
    put("cache.jsonl", good);
    assert_ok(bv_record_cache_open(in_folder("cache.jsonl"), &cache));
    json_t *a = bv_record_cache_get(cache, "a");
    assert_int_equal(json_integer_value(json_object_get(a, "n")), 1);
    json_decref(a);
    assert_null(bv_record_cache_get(cache, "b"));
    assert_ok(bv_record_cache_put(cache, "b", json_pack("{si}", "n", 2)));
    bv_record_cache_close(&cache);
    assert_ok(bv_record_cache_open(in_folder("cache.jsonl"), &cache));
    json_t *b = bv_record_cache_get(cache, "b"); /* was not glued to the torn line */
    assert_int_equal(json_integer_value(json_object_get(b, "n")), 2);
    json_decref(b);
    bv_record_cache_close(&cache);
}

/* ---- files that are nearly right ---- */

static const char *set_name;

static bv_error *load_set(void) {
    bv_problem_set set;
    bv_error *error = bv_problem_set_load(set_name, in_folder("set"), &set);
    bv_problem_set_free(&set);
    return error;
}

static bv_error *load_samples(void) {
    bv_problem_set set;
    bv_samples samples = {0};
    assert_ok(bv_problem_set_load("humaneval", PROBLEMS "humaneval.jsonl", &set));
    bv_error *error = bv_samples_read(&set, in_folder("s.jsonl"), &samples);
    bv_samples_free(&samples);
    bv_problem_set_free(&set);
    return error;
}

static bv_error *load_gzip(void) {
    bv_buffer text = {0};
    bv_error *error = bv_gzip_read(in_folder("packed"), 1000000, &text);
    bv_buffer_free(&text);
    return error;
}

/* A cache is only a help: bad lines are left out, and a good one still goes in. */
static void test_mangled_cache(void **state) {
    (void)state;
    bv_buffer good = {0}, bad = {0};
    for (int i = 0; i < 5; i++)
        bv_buffer_printf(&good, "{\"key\": \"k%d\", \"record\": {\"n\": %d}}\n", i, i);
    for (uint32_t n = 0; n < 150; n++) {
        bv_record_cache *cache;
        mangle(&good, 7, 5, n, &bad);
        assert_ok(bv_file_write(in_folder("mangled.jsonl"), bad.data ? bad.data : "", bad.size));
        for (int again = 0; again < 2; again++) {
            assert_ok(bv_record_cache_open(in_folder("mangled.jsonl"), &cache));
            if (!again) assert_ok(bv_record_cache_put(cache, "new", json_pack("{si}", "n", 9)));
            json_t *new = bv_record_cache_get(cache, "new");
            assert_int_equal(json_integer_value(json_object_get(new, "n")), 9);
            json_decref(new);
            bv_record_cache_close(&cache);
        }
    }
    bv_buffer_free(&good);
    bv_buffer_free(&bad);
}

/* Cut at each byte: what is left of the last line is refused with its line's number. */
static void test_cut_samples(void **state) {
    (void)state;
    static const char text[] = "{\"task_id\": \"Tiny/0\", \"completion\": \"    return 2 * x\"}\n\n"
                               "{\"task_id\": \"Tiny/1\", \"completion\": \"\\u00e9\"}\n";
    const size_t first = strcspn(text, "\n"), second = sizeof text - 1;
    for (size_t size = 0; size <= second; size++) {
        assert_ok(bv_file_write(in_folder("s.jsonl"), text, size));
        bv_error *error = load_samples();
        const bool whole = (size >= first && size <= first + 2) || size >= second - 1;
        if (!error != whole) fail_msg("cut at %zu: %s", size, bv_error_text(error));
        if (error && size)
            assert_non_null(
                strstr(bv_error_text(error), size < first ? "reading line 1" : "reading line 3"));
        bv_error_free(&error);
    }
}

static void test_mangled(void **state) {
    (void)state;
    set_name = "humaneval";
    copy_file(PROBLEMS "humaneval.jsonl", "set");
    mangle_file(in_folder("set"), 7, 1, 300, load_set);
    set_name = "mbpp";
    copy_file(PROBLEMS "mbpp.jsonl", "set");
    mangle_file(in_folder("set"), 7, 2, 300, load_set);
    put("s.jsonl",
        "{\"task_id\": \"Tiny/0\", \"completion\": \"    return 2 * x\"}\r\n\n \n"
        "{\"task_id\": \"Tiny/1\", \"completion\": \"\\u00e9\\ud83d\\ude00\\n\", \"x\": [{}]}\n"
        "{\"completion\": \"\", \"task_id\": \"Tiny/0\"}");
    mangle_file(in_folder("s.jsonl"), 7, 3, 400, load_samples);
    /* "hello" as gzip packs it */
    static const unsigned char packed[] = {0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
                                           0x03, 0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x86,
                                           0xa6, 0x10, 0x36, 0x05, 0x00, 0x00, 0x00};
    assert_ok(bv_file_write(in_folder("packed"), packed, sizeof packed));
    bv_buffer text = {0};
    assert_ok(bv_gzip_read(in_folder("packed"), 5, &text));
    assert_string_equal(text.data, "hello");
    assert_fails(bv_gzip_read(in_folder("packed"), 4, &text), BV_CODE_INPUT, "more than 4 bytes");
    bv_buffer_free(&text);
    mangle_file(in_folder("packed"), 7, 4, 500, load_gzip);
}

static int begin(void **state) {
    *state = folder = make_folder();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sets),
        cmocka_unit_test(test_truncation),
        cmocka_unit_test(test_samples_of_a_file),
        cmocka_unit_test(test_judging),
        cmocka_unit_test(test_torn_cache),
        cmocka_unit_test(test_mangled_cache),
        cmocka_unit_test(test_cut_samples),
        cmocka_unit_test(test_mangled),
    };
    return cmocka_run_group_tests(tests, begin, folder_teardown);
}
