#include "support/check.h"

#include "base/hash.h"
#include "base/json.h"
#include "base/memory.h"

static json_t *parse(const char *text) {
    json_t *value = NULL;
    assert_ok(bv_json_parse(text, strlen(text), "test", &value));
    return value;
}

static void test_errors_name_line_and_column(void **state) {
    (void)state;
    json_t *value;
    const char *bad = "{\n  \"a\": 1,\n  \"b\": oops\n}";
    assert_fails(bv_json_parse(bad, strlen(bad), "c.json", &value), BV_CODE_INPUT, "c.json:3:");
    assert_null(value);
    const char *twice = "{\"a\": 1, \"a\": 2}";
    assert_fails(bv_json_parse(twice, strlen(twice), "x", &value), BV_CODE_INPUT, "duplicate");
    const char *marked = "\xef\xbb\xbf{\"a\": 1}"; /* as Notepad writes it */
    assert_ok(bv_json_parse(marked, strlen(marked), "x", &value));
    assert_int_equal(json_integer_value(json_object_get(value, "a")), 1);
    json_decref(value);
    assert_fails(bv_json_parse("", 0, "x", &value), BV_CODE_INPUT, "x:1:");
    assert_fails(bv_json_parse("{} {}", 5, "x", &value), BV_CODE_INPUT, "end of file");
    assert_fails(bv_json_parse("[\"\xff\"]", 5, "x", &value), BV_CODE_INPUT, "decode byte 0xff");
    assert_fails(bv_json_load("/absent.json", &value), BV_CODE_IO, "/absent.json");
}

/* Each line is a list with a digit. */
static bv_status add_number(void *context, const json_t *line) {
    const json_t *digit = json_array_get(line, 0);
    if (!json_is_integer(digit)) return bv_fail(BV_CODE_INPUT, "no digit");
    *(int64_t *)context = 10 * *(int64_t *)context + json_integer_value(digit);
    return BV_OK;
}

static bv_status read_lines(const char *text, int64_t *sum) {
    bv_buffer bytes = {0};
    *sum = 0;
    bv_buffer_text(&bytes, text);
    bv_error *error = bv_json_lines(&bytes, "x.jsonl", add_number, sum);
    bv_buffer_free(&bytes);
    return error;
}

static void test_lines(void **state) {
    (void)state;
    int64_t sum;
    assert_ok(read_lines("", &sum));
    assert_ok(read_lines("\xef\xbb\xbf[1]\n\n \t\r\n[2]\r\n[3]", &sum));
    assert_int_equal(sum, 123);
    assert_fails(read_lines("[1]\n\n{\n[2]", &sum), BV_CODE_INPUT, "x.jsonl:3:");
    assert_int_equal(sum, 1);
    assert_fails(read_lines("[1]\n[\"2\"]\n[3]", &sum), BV_CODE_INPUT, "reading line 2 of x.jsonl");
    /* A byte order mark stands at the beginning of a file, and nowhere else. */
    assert_fails(read_lines("[1]\n\xef\xbb\xbf[2]", &sum), BV_CODE_INPUT, "x.jsonl:2:1:");
}

static void test_unknown_members(void **state) {
    (void)state;
    static const char *const known[] = {"points", "title"};
    json_t *o = parse("{\"title\": 1}"), *near = parse("{\"pionts\": 1}"),
           *far = parse("{\"x\": 1}");
    assert_ok(bv_json_check_members(o, known, 2));
    assert_ok(bv_json_check_members(NULL, known, 2));
    assert_fails(bv_json_check_members(near, known, 2), BV_CODE_INPUT, "try: \"points\"");
    assert_fails(bv_json_check_members(far, known, 2), BV_CODE_INPUT,
                 "try: one of \"points\", \"title\"");
    json_decref(o);
    json_decref(near);
    json_decref(far);
}

static void test_members(void **state) {
    (void)state;
    json_t *o = parse("{\"i\": 3, \"r\": 0.5, \"s\": \"x\", \"n\": null}");
    int64_t i;
    double r;
    const char *s;
    assert_ok(bv_json_get_int(o, "i", &i));
    assert_int_equal(i, 3);
    assert_ok(bv_json_get_double(o, "r", &r));
    assert_true(r == 0.5);
    assert_ok(bv_json_get_double(o, "i", &r));
    assert_true(r == 3);
    assert_ok(bv_json_get_string(o, "s", &s));
    assert_string_equal(s, "x");
    assert_fails(bv_json_get_int(o, "r", &i), BV_CODE_INPUT, "\"r\"");
    assert_fails(bv_json_get_int(o, "absent", &i), BV_CODE_INPUT, "\"absent\"");
    assert_fails(bv_json_get_double(o, "s", &r), BV_CODE_INPUT, "\"s\"");
    assert_fails(bv_json_get_string(o, "n", &s), BV_CODE_INPUT, "\"n\"");
    json_decref(o);
}

static void check_string(const void *bytes, size_t size, const char *wanted) {
    json_t *value = bv_json_string(bytes, size);
    assert_non_null(value);
    assert_string_equal(json_string_value(value), wanted);
    json_decref(value);
}

static void test_strings_of_any_bytes(void **state) {
    (void)state;
    check_string(NULL, 0, "");
    check_string("a\xc3\xa9", 3, "a\xc3\xa9");
    check_string("a\xff\xfe"
                 "b",
                 4,
                 "a\xef\xbf\xbd\xef\xbf\xbd"
                 "b");
    check_string("a\xe2\x82", 3, "a\xef\xbf\xbd\xef\xbf\xbd");
    check_string("\xed\xa0\x80", 3, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    json_t *nul = bv_json_string("a\0b", 3);
    assert_int_equal(json_string_length(nul), 3);
    json_decref(nul);
}

static void assert_text(const char *in, int indent, const char *out) {
    json_t *value = parse(in);
    bv_buffer text = {0};
    assert_ok(bv_json_text(value, indent, &text));
    assert_string_equal(text.data, out);
    bv_buffer_free(&text);
    json_decref(value);
}

static void test_text(void **state) {
    (void)state;
    assert_text("{}", 2, "{}");
    assert_text("[]", 0, "[]");
    assert_text("{\"z\":1,\"a\":[true,null,\"\\u00e9\\n\"]}", 0,
                "{\"z\": 1, \"a\": [true, null, \"\xc3\xa9\\n\"]}");
    assert_text("{\"z\":[1,{}],\"\\\"\":{\"b\":-2}}", 2,
                "{\n  \"z\": [\n    1,\n    {}\n  ],\n  \"\\\"\": {\n    \"b\": -2\n  }\n}");
    assert_text("[0.1, 6e-4, 1e300, 3.0, -0.0, 1e5, 0.30000000000000004]", 0,
                "[0.1, 0.0006, 1e+300, 3.0, -0.0, 100000.0, 0.30000000000000004]");
    bv_buffer none = {0};
    assert_fails(bv_json_text(NULL, 0, &none), BV_CODE_INPUT, "JSON");
    bv_buffer_free(&none);
}

static void test_saved_is_loaded(void **state) {
    (void)state;
    char *folder = make_folder(), *path = bv_path_join(folder, "v.json");
    json_t *value = parse("{\"lr\": 0.0006, \"steps\": 2000, \"name\": \"x\"}"), *back = NULL;
    assert_ok(bv_json_save(path, value));
    assert_ok(bv_json_load(path, &back));
    assert_true(json_equal(value, back));
    bv_buffer text = {0};
    assert_ok(bv_file_read(path, &text));
    assert_int_equal(text.data[text.size - 1], '\n');
    assert_ok(bv_file_write(path, "[1,\n2,,]", 8));
    json_decref(back);
    assert_fails(bv_json_load(path, &back), BV_CODE_INPUT, "v.json:2:3:");
    bv_buffer_free(&text);
    json_decref(value);
    bv_free(path);
    remove_folder(folder);
}

/* FIPS 180-4 examples. */
static void test_sha256(void **state) {
    (void)state;
    char text[BV_SHA256_TEXT_SIZE];
    assert_ok(bv_sha256_bytes("abc", 3, text));
    assert_string_equal(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_ok(bv_sha256_bytes("", 0, text));
    assert_string_equal(text, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    bv_sha256 *hash;
    assert_ok(bv_sha256_begin(&hash));
    bv_sha256_add(hash, "a", 1);
    bv_sha256_add(hash, "", 0);
    bv_sha256_add(hash, "bc", 2);
    bv_sha256_end(&hash, text);
    assert_null(hash);
    assert_string_equal(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    char *folder = make_folder(), *path = bv_path_join(folder, "f");
    assert_ok(bv_file_write(path, "abc", 3));
    assert_ok(bv_sha256_file(path, text));
    assert_string_equal(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_fails(bv_sha256_file("/absent", text), BV_CODE_IO, "/absent");
    bv_free(path);
    remove_folder(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors_name_line_and_column),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_unknown_members),
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_strings_of_any_bytes),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_saved_is_loaded),
        cmocka_unit_test(test_sha256),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
