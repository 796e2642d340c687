#include "support/check.h"
#include "support/faults.h"

#include "cli/flags.h"

static const bv_flag table[] = {
    BV_INT_FLAG("steps", "N", 1, 100, "20", "how many steps"),
    BV_INT_FLAG("seed", "N", 0, 0, NULL, "any number"),
    BV_INT_FLAG("warm_up", "N", 0, 0, NULL, "any number"),
    BV_INT_FLAG("n", "N", 0, 0, NULL, "any number"),
    BV_DOUBLE_FLAG("lr", "X", 0, 1, NULL, "rate"),
    BV_REQUIRED_FLAG("out", "RUN", "folder"),
    BV_LIST_FLAG("set", "KEY=VALUE", "a setting"),
    BV_SWITCH_FLAG("quiet", "a long explanation that has to be broken into lines because a "
                            "terminal is only so wide and nobody likes to scroll sideways"),
};
static const bv_argument arguments[] = {
    {.name = "RUN", .help = "the run's folder"},
    {.name = "FILE", .help = "texts", .optional = true, .repeated = true},
};
static const bv_command command = {
    .name = "test",
    .summary = "Tests.",
    .example = "beaver test x \\\n  --out y",
    BV_ARGUMENTS(arguments),
    BV_FLAGS(table),
};

#define WORDS_MAX 16

/* Parses words separated by single blanks. */
static bv_status parse(const char *line, bv_flags **out) {
    static char copy[400];
    static char *words[WORDS_MAX];
    snprintf(copy, sizeof copy, "test %s", line);
    int count = 0;
    for (char *p = copy; p && count < WORDS_MAX;) {
        words[count++] = p;
        p = strchr(p, ' ');
        if (p) *p++ = 0;
    }
    return bv_flags_parse(&command, count, words, out);
}

static void test_values_and_fallbacks(void **state) {
    (void)state;
    bv_flags *f;
    assert_ok(parse("dir --out=a=b --steps 7 --lr=0.5 --set k=1 --json --json --set=x=2", &f));
    assert_int_equal(bv_flags_int(f, "steps"), 7);
    assert_int_equal(bv_flags_int(f, "seed"), 0);
    assert_true(bv_flags_double(f, "lr") == 0.5);
    assert_string_equal(bv_flags_string(f, "out"), "a=b");
    assert_true(bv_flags_bool(f, "json"));
    assert_false(bv_flags_given(f, "seed"));
    assert_true(bv_flags_given(f, "steps"));
    size_t count;
    const char *const *list = bv_flags_list(f, "set", &count);
    assert_int_equal(count, 2);
    assert_string_equal(list[0], "k=1");
    assert_string_equal(list[1], "x=2");
    const char *const *words = bv_flags_arguments(f, &count);
    assert_int_equal(count, 1);
    assert_string_equal(words[0], "dir");
    assert_string_equal(bv_flags_argument(f, 0), "dir");
    assert_null(bv_flags_argument(f, 1));
    bv_flags_free(&f);
    assert_ok(parse("--out o --seed -5 -- --steps - --x", &f));
    assert_int_equal(bv_flags_int(f, "steps"), 20);
    assert_int_equal(bv_flags_int(f, "seed"), -5);
    assert_false(bv_flags_bool(f, "json"));
    bv_flags_arguments(f, &count);
    assert_int_equal(count, 3);
    assert_string_equal(bv_flags_argument(f, 0), "--steps");
    assert_string_equal(bv_flags_argument(f, 1), "-");
    bv_flags_free(&f);
    assert_null(f);
    bv_flags_free(&f);
}

static void refused(const char *line, const char *part) {
    bv_flags *f = (bv_flags *)&command;
    assert_fails(parse(line, &f), BV_CODE_USAGE, part);
    assert_null(f);
}

static void test_refusals(void **state) {
    (void)state;
    refused("r --out o --stpes 3", "unknown flag --stpes\n  try: --steps");
    refused("r --out o --stpes=3", "unknown flag --stpes\n  try: --steps");
    refused("r --out o --xyzzy", "unknown flag --xyzzy\n  try: beaver test --help");
    refused("r --out o -s", "unknown flag -s");
    refused("r --out o --step 3", "unknown flag --step\n");
    refused("r --out o --=3", "unknown flag");
    refused("r --out o --steps 0", "--steps: 0 is not between 1 and 100");
    refused("r --out o --steps 3x", "--steps: \"3x\" is not a whole number");
    refused("r --out o --lr 2", "--lr: 2 is not between 0 and 1");
    refused("r --out o --steps", "--steps needs a value\n  try: --steps=N");
    refused("r --out --json", "--out needs a value");
    refused("r --out=", "--out RUN is empty");
    refused("r --out o --warm_up", "--warm-up needs a value\n  try: --warm-up=N");
    refused("r --out o --warm_pu 1", "try: --warm-up");
    refused("r --out o -n 1 -n 2", "-n is given twice");
    refused("r --out o -n x", "-n: \"x\" is not");
    refused("r --out o --json=1", "--json takes no value");
    refused("r --out o --steps 3 --steps 4", "--steps is given twice: 3 and 4");
    refused("--out o", "RUN is missing");
    refused("r", "--out RUN is missing");
}

static const bv_command bare = {.name = "bare", .summary = "Does nothing.", .no_results = true};

static void test_unexpected_argument(void **state) {
    (void)state;
    bv_flags *f;
    char *words[] = {"bare", "x"};
    assert_fails(bv_flags_parse(&bare, 2, words, &f), BV_CODE_USAGE, "unexpected argument \"x\"");
    assert_ok(bv_flags_parse(&bare, 1, words, &f));
    bv_flags_free(&f);
}

/* No table has them, every command does. */
static void test_rows_of_every_command(void **state) {
    (void)state;
    bv_flags *f;
    bv_buffer text = {0};
    char *words[] = {"bare", "--threads", "1024"}, *json[] = {"bare", "--json"};
    assert_ok(bv_flags_parse(&bare, 3, words, &f));
    assert_int_equal(bv_flags_int(f, "threads"), 1024);
    bv_flags_free(&f);
    assert_ok(bv_flags_parse(&bare, 1, words, &f));
    assert_int_equal(bv_flags_int(f, "threads"), 0);
    bv_flags_free(&f);
    words[2] = "1025";
    assert_fails(bv_flags_parse(&bare, 3, words, &f), BV_CODE_USAGE,
                 "--threads: 1025 is not between 0 and 1024");
    assert_fails(bv_flags_parse(&bare, 2, json, &f), BV_CODE_USAGE, "unknown flag --json");
    bv_flags_help(&bare, &text);
    assert_non_null(strstr(text.data, "\n  --threads N  taken, as by every command"));
    assert_null(strstr(text.data, "--json"));
    bv_buffer_free(&text);
    refused("r --out o --threads 2 --threads 3", "--threads is given twice: 2 and 3");
}

static void test_help(void **state) {
    (void)state;
    bv_buffer text = {0};
    bv_flags_help(&command, &text);
    assert_ok(bv_buffer_error(&text));
    assert_non_null(strstr(text.data, "usage: beaver test RUN [FILE...] --out RUN [flags]\n"));
    assert_non_null(strstr(text.data, "\n  --steps N        how many steps (default: 20)\n"));
    assert_non_null(strstr(text.data, "\n  --set KEY=VALUE  a setting (may be repeated)\n"));
    assert_non_null(strstr(text.data, "\nexample:\n  beaver test x \\\n    --out y\n"));
    for (const char *line = text.data; *line;) {
        const size_t length = strcspn(line, "\n");
        assert_in_range(length, 0, 96);
        line += length + 1;
    }
    bv_buffer_free(&text);
}

static void test_without_memory(void **state) {
    (void)state;
    int strikes = 0;
    for (int n = 0;; n++, strikes++) {
        bv_flags *f = NULL;
        faults_allocation(n);
        bv_error *error = parse("dir file --out=a --set k=1 --set=x=2", &f);
        const bool struck = faults_off();
        assert_int_equal(bv_error_code(error), struck ? BV_CODE_MEMORY : BV_CODE_OK);
        bv_error_free(&error);
        bv_flags_free(&f);
        if (!struck) break;
    }
    assert_int_equal(strikes, 7);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_and_fallbacks),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_unexpected_argument),
        cmocka_unit_test(test_rows_of_every_command),
        cmocka_unit_test(test_help),
        cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
