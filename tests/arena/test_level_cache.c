/*
 * The tests of a level that are kept: taken when nothing has changed, made anew when something has,
 * or when their file is damaged anywhere, and the same tests in all cases.
 */
#include "support/check.h"

#include "arena/level_cache.h"
#include "arena/level_scaffold.h"
#include "arena/level_tests.h"
#include "base/random.h"
#include "support/boxes.h"
#include <sys/stat.h>

static bv_sandbox_pool *pool;
static bv_pool *threads;
static char *folder;
static char path[4200], cache[4200];
static int logged;

static void put(const char *name, const char *text) {
    char file[4400];
    snprintf(file, sizeof file, "%s/%s", path, name);
    assert_ok(bv_file_write(file, text, strlen(text)));
}

static void note(void *context, const char *text) {
    (void)context;
    assert_non_null(strstr(text, "keeping the tests of sum"));
    logged++;
}

static bv_level *load(void) {
    bv_level *level;
    assert_ok(bv_level_load(path, &level));
    return level;
}

static bv_level *complete(const char *where) {
    const bv_level_maker maker = {.pool = pool, .threads = threads, .cache = where, .log = note};
    bv_level *level = load();
    assert_ok(bv_level_complete(level, &maker));
    return level;
}

static void assert_same(const bv_level *a, const bv_level *b) {
    assert_int_equal(a->test_count, b->test_count);
    for (size_t i = 0; i < a->test_count; i++) {
        const bv_level_test *x = &a->tests[i], *y = &b->tests[i];
        assert_true(x->input.size > 0 && x->answer.size > 0);
        assert_string_equal(x->name, y->name);
        assert_string_equal(x->input.data, y->input.data);
        assert_string_equal(x->answer.data, y->answer.data);
    }
}

/* What is made without the cache, of the folder as it is now. */
static bv_level *made;

static void make_anew(void) {
    bv_level_free(&made);
    made = complete(NULL);
    assert_false(made->recalled);
}

static void expect(bool recalled) {
    bv_level *kept = complete(cache);
    assert_int_equal(kept->recalled, recalled);
    assert_same(kept, made);
    bv_level_free(&kept);
}

/* After a change that decides something. */
static void expect_anew(void) {
    make_anew();
    expect(false);
    expect(true);
}

/* The path of the only file; free with bv_free. */
static char *only_file(void) {
    char **names;
    size_t count;
    assert_ok(bv_dir_list(cache, &names, &count));
    assert_int_equal(count, 1);
    char *file = bv_path_join(cache, names[0]);
    bv_names_free(names, count);
    return file;
}

static void test_changes(void **state) {
    (void)state;
    struct stat s;
    expect(false);
    expect(true);
    assert_int_equal(stat(cache, &s), 0);
    assert_int_equal(s.st_mode & 0777, 0700);
    put("statement.md", "Another text of the same task.\n");
    put("wrong/another.py", "print(0)\n");
    expect(true); /* they decide nothing */
    put("generator.py", "import sys\nprint(sys.argv[1], 1000)\n");
    expect_anew();
    put("reference/sum.py", "print(sum(map(int, input().split())))\n");
    expect_anew();
    put("level.json",
        "{\"title\": \"Sum\", \"points\": 10, \"tests\": {\"visible\": 1, \"hidden\": "
        "6}, \"generator\": \"generator.py\", \"checker\": \"tokens\"}");
    expect_anew();
}

static void test_damage(void **state) {
    (void)state;
    bv_buffer whole = {0};
    expect(false);
    char *file = only_file();
    assert_ok(bv_file_read(file, &whole));
    const size_t sizes[] = {0, 20, 60, 86, 87, whole.size - 1};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        assert_ok(bv_file_write(file, whole.data, sizes[i]));
        expect(false);
    }
    for (size_t at = 0; at < whole.size; at += whole.size / 4) {
        whole.data[at] ^= 1;
        assert_ok(bv_file_write(file, whole.data, whole.size));
        whole.data[at] ^= 1;
        expect(false);
    }
    bv_buffer_free(&whole);
    bv_free(file);
}

/* Bytes under a hash that is right, as only a stranger would write them: taken whole or not. */
static void test_mangled(void **state) {
    (void)state;
    const size_t rest = 21 + 65;
    bv_buffer whole = {0};
    expect(false);
    char *file = only_file(), sha256[BV_SHA256_TEXT_SIZE];
    assert_ok(bv_file_read(file, &whole));
    for (uint32_t i = 0; i < 300; i++) {
        const bv_random4 r = bv_random(1, BV_RANDOM_TEST, i, 0, 0, 0);
        const size_t size = r.v[0] % 4 ? whole.size : rest + r.v[0] % (whole.size - rest);
        char *bytes = bv_malloc(size);
        memcpy(bytes, whole.data, size);
        if (size > rest) bytes[rest + r.v[1] % (size - rest)] = (char)r.v[2];
        assert_ok(bv_sha256_bytes(bytes + rest, size - rest, sha256));
        memcpy(bytes + 21, sha256, 64);
        assert_ok(bv_file_write(file, bytes, size));
        bv_level *level = load();
        bool found;
        assert_ok(bv_level_cache_get(cache, level, &found));
        if (size < whole.size) assert_false(found);
        bv_level_free(&level);
        bv_free(bytes);
    }
    bv_buffer_free(&whole);
    bv_free(file);
}

/* Where nothing can be kept, tests are made as well, and it is told. */
static void test_no_place(void **state) {
    (void)state;
    assert_ok(bv_file_write(cache, "", 0));
    expect(false);
    expect(false);
    assert_int_equal(logged, 2);
}

/* A folder that others may look into is neither used nor closed: it may be /tmp. */
static void test_open_folder(void **state) {
    (void)state;
    struct stat s;
    assert_int_equal(mkdir(cache, 0700), 0);
    assert_int_equal(chmod(cache, 0755), 0);
    expect(false);
    assert_int_equal(logged, 1);
    assert_int_equal(names_in(cache), 0);
    assert_int_equal(stat(cache, &s), 0);
    assert_int_equal(s.st_mode & 0777, 0755);
    assert_int_equal(chmod(cache, 0700), 0);
    expect(false);
    expect(true);
    assert_int_equal(chmod(cache, 0770), 0); /* who can write there could put other tests in it */
    expect(false);
}

static int begin(void **state) {
    (void)state;
    folder = make_folder();
    snprintf(path, sizeof path, "%s/sum", folder);
    snprintf(cache, sizeof cache, "%s/cache", folder);
    assert_ok(bv_level_scaffold(path));
    put("level.json",
        "{\"title\": \"Sum\", \"points\": 10, \"tests\": {\"visible\": 1, \"hidden\": "
        "5}, \"generator\": \"generator.py\", \"checker\": \"tokens\"}");
    logged = 0;
    make_anew();
    return 0;
}

static int end(void **state) {
    (void)state;
    bv_level_free(&made);
    remove_folder(folder);
    return 0;
}

static int open_pool(void **state) {
    (void)state;
    pool = boxes_open(3);
    assert_ok(bv_pool_create(3, &threads));
    return 0;
}

static int close_pool(void **state) {
    (void)state;
    bv_pool_destroy(&threads);
    bv_sandbox_pool_destroy(&pool);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_changes, begin, end),
        cmocka_unit_test_setup_teardown(test_damage, begin, end),
        cmocka_unit_test_setup_teardown(test_mangled, begin, end),
        cmocka_unit_test_setup_teardown(test_no_place, begin, end),
        cmocka_unit_test_setup_teardown(test_open_folder, begin, end),
    };
    return cmocka_run_group_tests(tests, open_pool, close_pool);
}
