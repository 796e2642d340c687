/* Levels as folders: what is read, what is refused and how it says so, and mangled files. */
#include "support/check.h"

#include "arena/level.h"
#include "arena/level_read.h"
#include "arena/level_scaffold.h"
#include "arena/level_set.h"
#include "support/mangle.h"

#include <sys/stat.h>

static char *folder;
static char level[4200];

static void put(const char *name, const char *text) {
    char path[4400];
    snprintf(path, sizeof path, "%s/%s", level, name);
    assert_ok(bv_file_write(path, text, strlen(text)));
}

static void take_away(const char *name) {
    char path[4400];
    snprintf(path, sizeof path, "%s/%s", level, name);
    assert_int_equal(unlink(path), 0);
}

static bv_error *load(void) {
    bv_level *l = NULL;
    bv_error *error = bv_level_load(level, &l);
    assert_true((error == NULL) == (l != NULL));
    bv_level_free(&l);
    return error;
}

#define GOOD                                                                                       \
    "\"title\": \"Sum\", \"points\": 10, \"tests\": {\"visible\": 1, \"hidden\": 10}, "            \
    "\"generator\": \"generator.py\", \"checker\": \"tokens\""

/* level.json with these members must be refused with this text. */
static void refuses(const char *json, const char *text) {
    put("level.json", json);
    assert_fails(load(), BV_CODE_INPUT, text);
}

static void test_scaffold_loads(void **state) {
    (void)state;
    bv_level *l;
    assert_ok(bv_level_load(level, &l));
    assert_string_equal(l->name, "new-level");
    assert_string_equal(l->title, "Sum");
    assert_int_equal(l->points, 10);
    assert_int_equal(l->visible_count, 1);
    assert_int_equal(l->test_count, 11);
    assert_int_equal(l->tests[10].generated, 9);
    assert_string_equal(l->tests[0].answer.data, "5\n");
    assert_int_equal(l->limits.cpu_ns, 2000000000);
    assert_int_equal(l->limits.memory_bytes, 256000000);
    assert_true(bv_level_accepts(l, "python") && bv_level_accepts(l, "c"));
    assert_false(bv_level_accepts(l, "static") || bv_level_accepts(l, "cobol"));
    char hash[BV_SHA256_TEXT_SIZE];
    memcpy(hash, l->hash, sizeof hash);
    bv_level_free(&l);
    put("generator.py", "print(1, 2)\n");
    assert_ok(bv_level_load(level, &l));
    assert_string_not_equal(l->hash, hash); /* another test is another level */
    bv_level_free(&l);
    assert_fails(bv_level_scaffold(level), BV_CODE_USAGE, "exists");
}

static void test_members(void **state) {
    (void)state;
    refuses("[]", "not an object");
    refuses("{", "not JSON");
    refuses("{\"title\": \"a\", \"title\": \"b\"}", "duplicate");
    refuses("{\"points\": 1}", "\"title\" is missing");
    refuses("{" GOOD ", \"pionts\": 1}", "unknown member \"pionts\"\n  try: \"points\"");
    refuses("{" GOOD ", \"languages\": []}", "not a list of 1 to");
    refuses("{" GOOD ", \"languages\": [\"pyton\"]}", "try: \"python\"");
    refuses("{" GOOD ", \"languages\": [\"c\", \"c\"]}", "names c twice");
    refuses("{" GOOD ", \"languages\": [\"c\"]}", "reference/sum.py is in python");
    refuses("{" GOOD ", \"deadline\": \"tomorrow\"}", "not a time in UTC");
    refuses("{" GOOD ", \"deadline\": \"2023-02-29T00:00:00Z\"}", "not a time in UTC");
    refuses("{" GOOD ", \"scoring\": \"every\"}", "\"every\" is not known\n  try: \"all\"");
    refuses("{" GOOD ", \"limits\": {\"cpu\": \"2 parsecs\"}}", "not a time");
    refuses("{" GOOD ", \"limits\": {\"cpu\": 2}}", "not a string");
    refuses("{" GOOD ", \"limits\": {\"ram\": \"2G\"}}",
            "unknown member \"ram\"\n  try: one of \"cpu\"");
    refuses("{" GOOD ", \"limits\": {\"memory\": \"1K\"}}", "not a size");
    refuses("{" GOOD ", \"limits\": {\"pids\": 0}}", "not between 1 and 1024");
}

static void test_contradictions(void **state) {
    (void)state;
    refuses("{" GOOD ", \"limits\": {\"cpu\": \"4s\", \"wall\": \"2s\"}}", "wall time is shorter");
    refuses("{" GOOD ", \"tolerance\": 0.1}", "\"tolerance\" without the checker");
    refuses("{\"title\": \"a\", \"points\": 1, \"tests\": {\"visible\": 1, \"hidden\": 1}, "
            "\"checker\": \"numbers\"}",
            "needs a \"tolerance\"");
    refuses("{\"title\": \"a\", \"points\": 1, \"tests\": {\"visible\": 1, \"hidden\": 1}, "
            "\"checker\": \"tokens\", \"seed\": 3}",
            "\"seed\" without \"generator\"");
    refuses("{\"title\": \"a\", \"points\": 1, \"tests\": {\"visible\": 1, \"hidden\": 1}, "
            "\"checker\": \"tokens\"}",
            "there is no generator");
    refuses("{\"title\": \"a\", \"points\": 1, \"tests\": {\"visible\": 0, \"hidden\": 1}, "
            "\"checker\": \"tokens\", \"generator\": \"generator.py\"}",
            "more than the 0 tests");
    refuses("{\"title\": \"a\", \"points\": 1, \"tests\": {\"visible\": 2, \"hidden\": 1}, "
            "\"checker\": \"tokens\", \"generator\": \"generator.py\"}",
            "tests/visible has 1 tests");
    refuses("{\"title\": \"a\", \"points\": 1, \"tests\": {\"visible\": 1, \"hidden\": 1}, "
            "\"checker\": \"tokns\", \"generator\": \"generator.py\"}",
            "try: \"tokens\"");
    refuses("{\"title\": \"a\", \"points\": 1, \"tests\": {\"visible\": 1, \"hidden\": 1}, "
            "\"checker\": \"../check.py\", \"generator\": \"generator.py\"}",
            "not a file of the level's folder");
    put("level.json",
        "{\"title\": \"a\", \"points\": 1, \"tests\": {\"visible\": 1, \"hidden\": 1}, "
        "\"checker\": \"check.py\", \"generator\": \"generator.py\"}");
    assert_fails(load(), BV_CODE_IO, "cannot read");
}

static void test_files(void **state) {
    (void)state;
    put("tests/visible/2.out", "7\n");
    assert_fails(load(), BV_CODE_INPUT, "2.out has no input beside it");
    take_away("tests/visible/2.out");
    put("tests/visible/readme", "x");
    assert_fails(load(), BV_CODE_INPUT, "neither NAME.in nor NAME.out");
    take_away("tests/visible/readme");
    put("tests/visible/.DS_Store", "x"); /* files of tools */
    put("reference/.sum.py.swp", "x");
    assert_ok(load());
    take_away("tests/visible/.DS_Store");
    take_away("reference/.sum.py.swp");
    put("statement.md", "caf\xe9");
    assert_fails(load(), BV_CODE_INPUT, "not UTF-8 text (byte 3)");
    put("statement.md", "");
    assert_fails(load(), BV_CODE_INPUT, "statement.md is empty");
    put("statement.md", "Add.\n");
    put("reference/sum.cob", "ADD A TO B.");
    assert_fails(load(), BV_CODE_INPUT, "in no language of the arena");
    take_away("reference/sum.cob");
    put("wrong/caf\xe9.py", "print(1)\n"); /* else the JSON of a check would lack it */
    assert_fails(load(), BV_CODE_INPUT, "the name is not UTF-8");
    take_away("wrong/caf\xe9.py");
    take_away("wrong/forgets-the-sign.py");
    assert_fails(load(), BV_CODE_INPUT, "no solution in wrong/");
}

/* Without judges an answer that the reference makes is not known, and none is shown. */
static void test_shown(void **state) {
    (void)state;
    bv_level_set set = {0};
    put("tests/visible/2.in", "1 1\n");
    put("level.json",
        "{\"title\": \"Sum\", \"points\": 1, \"tests\": {\"visible\": 2, \"hidden\": 1}, "
        "\"generator\": \"generator.py\", \"checker\": \"tokens\"}");
    assert_ok(bv_level_set_load(folder, &set));
    const json_t *examples = set.site_levels[0].examples;
    const json_t *known = json_object_get(json_array_get(examples, 0), "output");
    assert_string_equal(json_string_value(known), "5\n");
    assert_true(json_is_null(json_object_get(json_array_get(examples, 1), "output")));
    bv_level_set_free(&set);
}

/* A link could show a file of the judge to whoever reads the statement. */
static void test_links_are_refused(void **state) {
    (void)state;
    char path[4400];
    take_away("statement.md");
    snprintf(path, sizeof path, "%s/statement.md", level);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_fails(load(), BV_CODE_INPUT, "statement.md is a link");
    take_away("statement.md");
    put("statement.md", "Add.\n");
    /* Folders too, and level.json, of which an error's text would show the beginning. */
    static const char *const names[] = {"tests", "tests/visible", "wrong", "level.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char away[4400];
        snprintf(path, sizeof path, "%s/%s", level, names[i]);
        snprintf(away, sizeof away, "%s/away", folder);
        assert_int_equal(rename(path, away), 0);
        assert_int_equal(symlink(away, path), 0);
        assert_fails(load(), BV_CODE_INPUT, "is a link");
        assert_int_equal(unlink(path), 0);
        assert_int_equal(rename(away, path), 0);
    }
    assert_ok(load());
    take_away("level.json");
    snprintf(path, sizeof path, "%s/level.json", level);
    assert_int_equal(mkfifo(path, 0600), 0); /* must not wait for a writer */
    assert_fails(load(), BV_CODE_INPUT, "level.json is not a regular file");
}

static void test_names(void **state) {
    (void)state;
    char path[4300];
    snprintf(path, sizeof path, "%s/Has Blanks", folder);
    assert_fails(bv_level_scaffold(path), BV_CODE_INPUT, "is no name of a level");
    assert_false(bv_dir_exists(path)); /* nothing is left */
    snprintf(path, sizeof path, "%s/deep/Name", folder);
    assert_fails(bv_level_scaffold(path), BV_CODE_INPUT, "is no name of a level");
    snprintf(path, sizeof path, "%s/deep", folder);
    assert_false(bv_dir_exists(path));
    bv_level *l;
    assert_fails(bv_level_load("/", &l), BV_CODE_INPUT, "is no name");
    snprintf(path, sizeof path, "%s/absent", folder);
    assert_fails(bv_level_load(path, &l), BV_CODE_INPUT, "no such folder");
    static const char *const ways[] = {"%s/new-level/.", "%s/new-level/tests/../",
                                       "%s/new-level//"};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        snprintf(path, sizeof path, ways[i], folder);
        assert_ok(bv_level_load(path, &l));
        assert_string_equal(l->name, "new-level");
        bv_level_free(&l);
    }
}

static void test_deadlines(void **state) {
    (void)state;
    int64_t ms;
    assert_true(bv_level_parse_deadline("1970-01-01T00:00:00Z", &ms) && ms == 0);
    assert_true(bv_level_parse_deadline("2000-02-29T12:34:56Z", &ms) && ms == 951827696000);
    assert_true(bv_level_parse_deadline("2038-01-19T03:14:07Z", &ms) && ms == 2147483647000);
    static const char *const bad[] = {"",
                                      "1969-12-31T23:59:59Z",
                                      "2100-02-29T00:00:00Z",
                                      "2024-13-01T00:00:00Z",
                                      "2024-01-01T24:00:00Z",
                                      "2024-01-01 00:00:00Z",
                                      "2024-01-01T00:00:00+",
                                      "2024-1-001T00:00:00Z"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(bv_level_parse_deadline(bad[i], &ms));
}

#define ALL                                                                                        \
    "{\"title\": \"Sum\", \"points\": 10, \"languages\": [\"python\", \"c\", \"shell\"],\n"        \
    " \"limits\": {\"cpu\": \"2s\", \"wall\": \"4s\", \"memory\": \"64M\", \"output\": \"1M\","    \
    " \"files\": \"1M\", \"pids\": 4},\n \"deadline\": \"2030-12-31T23:59:59Z\","                  \
    " \"scoring\": \"each\",\n \"tests\": {\"visible\": 1, \"hidden\": 10},"                       \
    " \"generator\": \"generator.py\", \"seed\": 7,\n"                                             \
    " \"checker\": \"numbers\", \"tolerance\": 1e-6}\n"

/* What a parser may stumble over: depth, numbers that fit nowhere, texts that are none. */
static void test_hostile_json(void **state) {
    (void)state;
    static const char *const values[] = {"1e999",
                                         "-1e999",
                                         "99999999999999999999",
                                         "-9223372036854775809",
                                         "1.5",
                                         "-0",
                                         "\"\"",
                                         "null",
                                         "true",
                                         "{}",
                                         "[[]]",
                                         "0x10",
                                         "1e3",
                                         "\"a\\u0000b\"",
                                         "\"\xff\"",
                                         "\"\\ud800\"",
                                         "\xef\xbb\xbf"
                                         "1",
                                         "NaN"};
    static const char *const keys[] = {"title", "points",    "seed",   "deadline",  "checker",
                                       "tests", "languages", "limits", "generator", "scoring"};
    char json[1000];
    put("level.json", ALL);
    assert_ok(load());
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
        for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
            /* In the place of the member's own value. */
            const char *at = strstr(ALL, keys[k]) + strlen(keys[k]) + 3;
            const size_t length = *at == '{'   ? strcspn(at, "}") + 1
                                  : *at == '[' ? strcspn(at, "]") + 1
                                  : *at == '"' ? strcspn(at + 1, "\"") + 2
                                               : strcspn(at, ",}");
            snprintf(json, sizeof json, "%.*s%s%s", (int)(at - ALL), ALL, values[v], at + length);
            put("level.json", json);
            bv_error *error = load();
            if (bv_error_code(error) >= BV_CODE_FAULT)
                fail_msg("%s: %s", json, bv_error_text(error));
            /* Numbers where numbers stand, a text for a title, no limits: legal. */
            const bool may = !strcmp(keys[k], "points") || !strcmp(keys[k], "seed") ||
                             !strcmp(keys[k], "title") || !strcmp(keys[k], "limits");
            if (!error && !may) fail_msg("%s was taken", json);
            bv_error_free(&error);
        }
    bv_buffer deep = {0};
    for (int i = 0; i < 200000; i++) bv_buffer_text(&deep, i % 2 ? "[" : "{\"title\":");
    put("level.json", deep.data);
    assert_fails(load(), BV_CODE_INPUT, "");
    bv_buffer_clear(&deep);
    bv_buffer_text(&deep, "{\"title\": \"");
    for (int i = 0; i < 3000000; i++) bv_buffer_text(&deep, "a");
    bv_buffer_text(&deep, "\"," ALL);
    put("level.json", deep.data);
    assert_fails(load(), BV_CODE_INPUT, "");
    bv_buffer_free(&deep);
}

/* Whatever stands in a folder of tests. */
static void test_names_of_tests(void **state) {
    (void)state;
    static const char *const names[] = {".in",   "1.in.in", "-.in",      "1.IN",
                                        "1",     "a b.in",  "\xff.in",   "..in",
                                        "1.in~", "\n.in",   "1.out.out", "2.in.out"};
    char path[4400];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char name[64];
        snprintf(name, sizeof name, "tests/visible/%s", names[i]);
        put(name, "1 2\n");
        assert_fails(load(), BV_CODE_INPUT, "tests/visible");
        take_away(name);
    }
    snprintf(path, sizeof path, "%s/tests/visible/2.in", level);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_fails(load(), BV_CODE_INPUT, "");
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0); /* must not wait for a writer */
    assert_fails(load(), BV_CODE_INPUT, "");
    assert_int_equal(unlink(path), 0);
    assert_ok(load());
}

static void test_mangled(void **state) {
    (void)state;
    char path[4400];
    put("level.json", ALL);
    snprintf(path, sizeof path, "%s/level.json", level);
    mangle_file(path, 5, 1, 800, load);
    /* Cut at each byte. */
    for (size_t size = 0; size + 1 < sizeof ALL - 1; size++) {
        assert_ok(bv_file_write(path, ALL, size));
        assert_fails(load(), BV_CODE_INPUT, "level.json");
    }
    put("level.json", ALL);
    snprintf(path, sizeof path, "%s/statement.md", level);
    mangle_file(path, 5, 2, 100, load);
}

static int begin(void **state) {
    *state = folder = make_folder();
    snprintf(level, sizeof level, "%s/new-level", folder);
    assert_ok(bv_level_scaffold(level));
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_scaffold_loads, begin, folder_teardown),
        cmocka_unit_test_setup_teardown(test_members, begin, folder_teardown),
        cmocka_unit_test_setup_teardown(test_contradictions, begin, folder_teardown),
        cmocka_unit_test_setup_teardown(test_files, begin, folder_teardown),
        cmocka_unit_test_setup_teardown(test_shown, begin, folder_teardown),
        cmocka_unit_test_setup_teardown(test_links_are_refused, begin, folder_teardown),
        cmocka_unit_test_setup_teardown(test_names, begin, folder_teardown),
        cmocka_unit_test(test_deadlines),
        cmocka_unit_test_setup_teardown(test_hostile_json, begin, folder_teardown),
        cmocka_unit_test_setup_teardown(test_names_of_tests, begin, folder_teardown),
        cmocka_unit_test_setup_teardown(test_mangled, begin, folder_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
