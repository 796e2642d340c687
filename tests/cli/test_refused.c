/*
 * Settings that are wrong, drawn at random: of each key, by --set, by its flag and from a file,
 * values of another kind, out of range or of no sense; and settings that contradict each other.
 * Each is exit code 2 with one line that names the setting, and leaves nothing behind. Likewise a
 * run refuses, with both values, every setting that is not its own.
 */
#include "support/any_settings.h"

#include "support/beaver.h"

static any_settings a; /* what draws; its text is not used */

/* The folder has what it had. */
static void check_nothing_new(const char *const *words) {
    static const char *const known[] = {"config.json", "data", "run", "text.txt", NULL};
    const char *left = beaver_left(known);
    if (!left) return;
    beaver_print(words);
    fail_msg("left behind: %s", left);
}

/* Exit code 2; the first line has `part`; others are remedies and where it was read. */
static void check_refused(const char *const *words, const char *part) {
    const int code = beaver_run(words);
    char *line = strchr(beaver_said, '\n');
    bool fine = code == 2 && line && line - beaver_said < 400;
    for (; fine && line[1]; line = strchr(line + 1, '\n'))
        fine = strstr(line, "  while ") || strstr(line, "  try: ");
    if (!fine || !strstr(beaver_said, part)) {
        beaver_print(words);
        fail_msg("exit code %d, or no \"%s\", or more than a line and remedies", code, part);
    }
    check_nothing_new(words);
}

/* ---- values ---- */

static const char *const no_size[] = {
    "-1",  "",     "abc",  "1.5",  "nan", "inf", "99999999999999999999", "1e3", " 1", "1 ",
    "1,5", "true", "0x10", "%s%n", "-",   "--",  "2147483648000000000",  "\xff"};
static const char *const no_double[] = {"-1", "",   "abc", "nan",  "-nan", "inf", "-inf", "1e999",
                                        " 1", "1 ", "1,5", "true", "%s%n", "--",  "\xff"};
static const char *const no_bool[] = {"-1", "", "abc", "2", "yes", "True", "nan", " true", "\xff"};
static const char *const no_choice[] = {"-1", "", "abc", "0", "1", "true", "%s%n", "\xff"};
/* In a file: JSON of another kind. */
static const char *const no_json[] = {"null",    "[]", "{}",   "[1]",        "\"\"",
                                      "\"abc\"", "-1", "-1.5", "{\"a\": 1}", "\"%s%n\""};

static const char *any_wrong(const json_t *value) {
    if (json_is_boolean(value)) return ANY_OF(&a, no_bool);
    if (json_is_integer(value)) return ANY_OF(&a, no_size);
    return json_is_real(value) ? ANY_OF(&a, no_double) : ANY_OF(&a, no_choice);
}

/* ---- each key ---- */

typedef void try_value(const char *key, const json_t *value);

static void with_each_key(try_value *each, uint32_t times) {
    bv_settings s;
    bv_settings_default(&s);
    json_t *all = bv_settings_json(&s), *value;
    const char *key;
    assert_non_null(all);
    json_object_foreach(all, key, value) {
        for (uint32_t i = 0; i < times; i++) each(key, value);
    }
    json_decref(all);
}

static void flag_of(const char *key, char flag[80]) {
    snprintf(flag, 80, "--%s", key);
    for (char *c = flag + 2; *c; c++) *c = (char)(*c == '_' ? '-' : *c);
}

static void refuse_wrong_value(const char *key, const json_t *value) {
    char pair[200], flag[80], file[300];
    const char *wrong = any_wrong(value);
    const uint32_t way = any_draw(&a, 4);
    snprintf(pair, sizeof pair, "%s=%s", key, wrong);
    flag_of(key, flag);
    if (way == 3) wrong = ANY_OF(&a, no_json);
    if (way == 3 && json_is_string(value) && !strcmp(wrong, "\"\"")) wrong = "7";
    snprintf(file, sizeof file, "{\n \"%s\": %s\n}", key, wrong);
    const char *const by_set[] = {"train", "--data", "data", "--out", "x", "--set", pair, NULL};
    const char *const explained[] = {"explain", "--set", pair, NULL};
    const char *const by_flag[] = {"train", "--data", "data", "--out", "x", flag, wrong, NULL};
    const char *const by_file[] = {"train", "--data",   "data",        "--out",
                                   "x",     "--config", "config.json", NULL};
    const char *const *const ways[] = {by_set, explained, by_flag, by_file};
    assert_ok(bv_file_write("config.json", file, strlen(file)));
    check_refused(ways[way], key);
    if (way == 3) assert_non_null(strstr(beaver_said, "config.json:2"));
}

static void test_wrong_values(void **state) {
    (void)state;
    const any_range r = any_wanted(3);
    for (uint32_t i = r.first; i < r.end; i++) {
        a = (any_settings){.seed = r.seed, .number = i};
        with_each_key(refuse_wrong_value, 1);
    }
}

/* ---- contradictions ---- */

static void test_contradictions(void **state) {
    (void)state;
    static const struct {
        const char *settings, *says;
    } all[] = {
        {"heads=3 width=16", "width 16"},
        {"heads=4 kv_heads=3", "kv_heads 3"},
        {"heads=2 kv_heads=4", "kv_heads 4"},
        {"position=rope d_head=7", "even d_head"},
        {"position=rope heads=2 width=10", "even d_head"},
        {"width=1024 heads=2", "d_head 512"},
        {"dtype=bf16 context=15", "even"},
        {"dtype=bf16 d_head=7", "even"},
        {"batch=5 grains=2", "not a multiple of grains"},
        {"batch=1 grains=2", "not a multiple of grains"},
        {"kneser_ney=3", "head of its own"},
        {"kneser_ney=3 tied=false logit_soft_cap=3", "exclude"},
        {"kneser_ney=3 tied=false vocab_size=300", "256"},
        {"beta1=1", "beta1"},
        {"beta2=1", "beta2"},
        {"eps=0", "eps 0 is 0 in f32"},
        {"eps=1e-60", "eps 1e-60 is 0 in f32"},
        {"vocab_size=20", "vocab_size 20"},
        {"nonsense=1", "nonsense"},
        {"Layers=1", "Layers"},
        {"=1", "KEY=VALUE"},
        {"layers", "KEY=VALUE"},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char copy[200], *save = NULL;
        const char *words[BEAVER_WORDS] = {"train", "--data", "data", "--out", "x"};
        int count = 5;
        snprintf(copy, sizeof copy, "%s", all[i].settings);
        for (char *p = strtok_r(copy, " ", &save); p; p = strtok_r(NULL, " ", &save)) {
            words[count++] = "--set";
            words[count++] = p;
        }
        check_refused(words, all[i].says);
    }
}

/* ---- another value than the run's ---- */

static void refuse_other_value(const char *key, const json_t *value) {
    char pair[200], flag[80], says[120];
    const char *other = "3";
    if (json_is_boolean(value)) other = json_is_true(value) ? "false" : "true";
    if (json_is_real(value)) other = "0.125";
    if (json_is_string(value)) return;
    if (!strcmp(key, "rope_base")) other = "77";
    if (!strcmp(key, "vocab_size")) other = "300";
    if (!strcmp(key, "width") || !strcmp(key, "heads") || !strcmp(key, "context")) other = "8";
    if (!strcmp(key, "kv_heads")) other = "1";
    if (!strcmp(key, "kneser_ney")) return; /* not beside a tied head */
    snprintf(pair, sizeof pair, "%s=%s", key, other);
    snprintf(says, sizeof says, "the run has %s=", key);
    flag_of(key, flag);
    const char *const by_set[] = {"train", "--out", "run", "--resume", "--set", pair, NULL};
    const char *const by_flag[] = {"train", "--out", "run", "--resume", flag, other, NULL};
    check_refused(any_flip(&a) ? by_set : by_flag, says);
}

static void test_a_run_keeps_its_settings(void **state) {
    (void)state;
    a = (any_settings){.seed = 1};
    with_each_key(refuse_other_value, 1);
}

/* ---- the largest ---- */

/* Sizes at the end of their range, a few at a time: explained or refused, never miscounted. */
static void test_largest(void **state) {
    (void)state;
    static const char *const pairs[] = {
        "layers=1000",
        "width=100000",
        "heads=1000",
        "d_head=256",
        "ff_width=1000000",
        "context=1000000",
        "batch=1000000",
        "vocab_size=10000000",
        "ngram=8",
        "ngram_rows=1000000000",
        "grains=4096",
        "micro_batch=1000000",
        "steps=1000000000",
        "batch_ramp=1000000000",
        "seed=1000000000000000",
        "band=1000000",
    };
    const any_range r = any_wanted(15);
    for (uint32_t i = r.first; i < r.end; i++) {
        a = (any_settings){.seed = r.seed, .number = 1000000 + i};
        const char *words[BEAVER_WORDS] = {"explain", "--json"};
        int count = 2;
        for (size_t k = 0; k < sizeof pairs / sizeof *pairs && count + 2 < BEAVER_WORDS; k++) {
            if (any_draw(&a, 3)) continue;
            words[count++] = "--set";
            words[count++] = pairs[k];
        }
        const int code = beaver_run(words);
        const bool sound =
            code == 0 ? !strstr(beaver_said, "\": -") && !strstr(beaver_said, "inf") : code == 2;
        if (!sound) {
            beaver_print(words);
            fail_msg("exit code %d", code);
        }
        check_nothing_new(words);
    }
}

static int begin(void **state) {
    if (beaver_begin(state) != 0) return 1;
    if (BEAVER("data", "prepare", "text.txt", "--out", "data", "--tokenizer", "byte")) return 1;
    return BEAVER("train", "--data", "data", "--out", "run", "--context", "16", "--width", "16",
                  "--heads", "2", "--layers", "1", "--steps", "2", "--batch", "4");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wrong_values),
        cmocka_unit_test(test_contradictions),
        cmocka_unit_test(test_a_run_keeps_its_settings),
        cmocka_unit_test(test_largest),
    };
    return cmocka_run_group_tests(tests, begin, beaver_end);
}
