/*
 * Judging of submissions by a level: verdicts, scores, what is refused, what the submitter may see,
 * and whose fault a failing checker is.
 */
#include "support/check.h"

#include "arena/checker_check.h"
#include "arena/judge_level.h"
#include "arena/level_check.h"
#include "arena/level_scaffold.h"
#include "arena/level_tests.h"
#include "base/pool.h"
#include "support/boxes.h"
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static bv_sandbox_pool *pool;
static char *folder;
static char path[4200];
static bv_level *level;
static bv_level_maker maker;
static bv_judge_tools tools;

static void put(const char *name, const char *text) {
    char file[4400];
    snprintf(file, sizeof file, "%s/%s", path, name);
    assert_ok(bv_file_write(file, text, strlen(text)));
}

static void open_level(void) {
    bv_level_free(&level);
    assert_ok(bv_level_load(path, &level));
    assert_ok(bv_level_complete(level, &maker));
}

static void expect(const char *language, const char *source, bv_level_verdict verdict,
                   int64_t score) {
    bv_level_judgement j = {0};
    assert_ok(bv_judge_level(&tools, level, language, source, strlen(source), &j));
    if (j.verdict != verdict || j.score != score)
        fail_msg("%s: %s, %d points", source, bv_level_verdict_name(j.verdict), (int)j.score);
    bv_level_judgement_free(&j);
}

#define RIGHT "a, b = map(int, input().split())\nprint(a + b)\n"

static void test_verdicts(void **state) {
    (void)state;
    expect("python", RIGHT, BV_LEVEL_ACCEPTED, 10);
    expect("shell", "read a b; echo $((a + b))\n", BV_LEVEL_ACCEPTED, 10);
    expect("c",
           "#include <stdio.h>\nint main(void) { int a, b; scanf(\"%d %d\", &a, &b);\n"
           "printf(\"%d\\n\", a + b); }\n",
           BV_LEVEL_ACCEPTED, 10);
    expect("python", "print(5)\n", BV_LEVEL_WRONG_ANSWER, 0); /* right on the visible test only */
    expect("python", "1 / 0\n", BV_LEVEL_FAILED, 0);
    expect("python", "while True: pass\n", BV_LEVEL_TIME, 0);
    expect("python", "import time\ntime.sleep(60)\n", BV_LEVEL_WALL, 0);
    expect("python", "while True: print('x' * 1000)\n", BV_LEVEL_OUTPUT, 0);
    expect("c", "int main(void) { return undefined; }\n", BV_LEVEL_NOT_COMPILED, 0);
}

static pid_t spinners[16];

/* Each in a session of its own: the kernel shares cores out among those. Shells, which have none of
 * our descriptors. */
static void spin(void) {
    const size_t most = sizeof spinners / sizeof *spinners, cores = (size_t)bv_usable_cores();
    for (size_t i = 0; i < (cores < most / 4 ? 4 * cores : most); i++) {
        spinners[i] = fork();
        assert_true(spinners[i] >= 0);
        if (spinners[i]) continue;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        setsid();
        execl("/bin/sh", "sh", "-c", "while :; do :; done", NULL);
        _exit(127);
    }
}

static void stop_spinning(void) {
    for (size_t i = 0; i < sizeof spinners / sizeof *spinners; i++) {
        if (spinners[i] <= 0) continue;
        kill(spinners[i], SIGKILL);
        waitpid(spinners[i], NULL, 0);
        spinners[i] = 0;
    }
}

/* Who computes and is kept waiting by others has more wall time; who sleeps has not. */
static void test_busy_machine(void **state) {
    (void)state;
    if (access("/proc/self/schedstat", R_OK) != 0) skip();
    put("level.json", "{\"title\": \"Sum\", \"points\": 10, \"generator\": \"generator.py\",\n"
                      "\"limits\": {\"cpu\": \"600ms\", \"wall\": \"600ms\"},\n"
                      "\"tests\": {\"visible\": 1, \"hidden\": 1}, \"checker\": \"tokens\"}\n");
    open_level();
    spin();
    expect("python",
           "import time\nwhile time.process_time() < 0.4: pass\n"
           "a, b = map(int, input().split())\nprint(a + b)\n",
           BV_LEVEL_ACCEPTED, 10);
    expect("python", "import time\ntime.sleep(60)\n", BV_LEVEL_WALL, 0);
}

static void test_refused(void **state) {
    (void)state;
    bv_level_judgement j = {0};
    assert_ok(bv_judge_level(&tools, level, "pyton", "x", 1, &j));
    assert_int_equal(j.verdict, BV_LEVEL_REFUSED);
    assert_non_null(strstr(j.message.data, "did you mean \"python\"?"));
    bv_level_judgement_free(&j);
    assert_ok(bv_judge_level(&tools, level, "python", "print('\xff')", 10, &j));
    assert_non_null(strstr(j.message.data, "not UTF-8: see byte 7"));
    bv_level_judgement_free(&j);
    assert_ok(bv_judge_level(&tools, level, "python", "a\0b", 3, &j));
    assert_non_null(strstr(j.message.data, "zero byte"));
    bv_level_judgement_free(&j);
    char *large = bv_calloc(1, 100000000);
    assert_ok(bv_judge_level(&tools, level, "python", large, 100000000, &j));
    assert_non_null(strstr(j.message.data, "too large: 100000000 bytes"));
    bv_level_judgement_free(&j);
    bv_free(large);
    expect("python", "", BV_LEVEL_REFUSED, 0);
    expect("static",
           "\x7f"
           "ELF",
           BV_LEVEL_REFUSED, 0); /* not in the list of languages */
}

/* A program that does not fit into a box of the level is its author's doing. */
static void test_too_large(void **state) {
    (void)state;
    put("level.json", "{\"title\": \"Sum\", \"points\": 10, \"generator\": \"generator.py\",\n"
                      "\"limits\": {\"files\": \"64K\"},\n"
                      "\"tests\": {\"visible\": 1, \"hidden\": 1}, \"checker\": \"tokens\"}\n");
    open_level();
    bv_level_judgement j = {0};
    bv_buffer source = {0};
    for (int i = 0; i < 70000; i++) bv_buffer_text(&source, "#");
    bv_buffer_text(&source, "\n" RIGHT);
    assert_ok(bv_judge_level(&tools, level, "python", source.data, source.size, &j));
    assert_int_equal(j.verdict, BV_LEVEL_REFUSED);
    assert_non_null(strstr(j.message.data, "the level allows 64000 of files"));
    bv_level_judgement_free(&j);
    bv_buffer_free(&source);
    expect("c", "char data[100000] = {1};\nint main(void) { return data[0] - 1; }\n",
           BV_LEVEL_REFUSED, 0);
    expect("python", RIGHT, BV_LEVEL_ACCEPTED, 10);
}

/* A program that writes its hidden input wherever it can tells the submitter nothing. */
static void test_hidden_inputs_stay_hidden(void **state) {
    (void)state;
    bv_level_judgement j = {0};
    bv_buffer text = {0};
    const char *source = "import sys\ndata = input()\nif data == '2 3': print(5)\n"
                         "else: print('out', data); sys.stderr.write('err ' + data); sys.exit(7)\n";
    assert_ok(bv_judge_level(&tools, level, "python", source, strlen(source), &j));
    assert_int_equal(j.verdict, BV_LEVEL_FAILED);
    json_t *shown = bv_level_judgement_json(level, &j);
    assert_ok(bv_json_text(shown, 0, &text));
    assert_null(strstr(text.data, "err"));
    assert_null(strstr(text.data, "out "));
    const bv_level_test_result *r = &j.results[j.result_count - 1];
    assert_false(r->test->visible);
    assert_non_null(strstr(r->message, "err ")); /* for the author */
    json_t *last = json_array_get(json_object_get(shown, "tests"), j.result_count - 1);
    assert_int_equal(json_object_size(last), 3); /* visible, number, verdict */
    json_decref(shown);
    bv_buffer_free(&text);
    bv_level_judgement_free(&j);
}

#define WITH_CHECKER                                                                               \
    "{\"title\": \"Sum\", \"points\": 10, \"tests\": {\"visible\": 1, \"hidden\": 2}, "            \
    "\"generator\": \"generator.py\", \"checker\": \"check.py\"}"

/* All that a submitter may see: of a hidden test its number among the hidden ones and its verdict.
 */
static void test_what_is_shown(void **state) {
    (void)state;
    bv_level_test tests[] = {
        {.visible = true}, {.visible = true}, {.visible = false}, {.visible = false}};
    const bv_level shown = {.points = 10, .tests = tests, .test_count = 4, .visible_count = 2};
    bv_level_test_result results[] = {
        {.test = &tests[0], .cpu_ns = 12999999, .peak_memory_bytes = 3000000},
        {.test = &tests[1], .verdict = BV_LEVEL_WRONG_ANSWER, .cpu_ns = 5000000, .message = "no"},
        {.test = &tests[2], .cpu_ns = 7000000, .message = "secret"},
        {.test = &tests[3], .verdict = BV_LEVEL_TIME, .message = "secret"}};
    const bv_level_judgement j = {.verdict = BV_LEVEL_WRONG_ANSWER,
                                  .score = 5,
                                  .passed = 1,
                                  .results = results,
                                  .result_count = 4};
    json_t *got = bv_level_judgement_json(&shown, &j), *wanted = NULL;
    static const char text[] =
        "{\"verdict\": \"wrong-answer\", \"score\": 5, \"points\": 10, \"passed\": 1, \"total\": 2,"
        " \"message\": \"\", \"tests\": ["
        "{\"visible\": true, \"number\": 1, \"verdict\": \"accepted\", \"cpu_ms\": 12.0,"
        " \"memory_bytes\": 3000000, \"message\": \"\"},"
        "{\"visible\": true, \"number\": 2, \"verdict\": \"wrong-answer\", \"cpu_ms\": 5.0,"
        " \"memory_bytes\": 0, \"message\": \"no\"},"
        "{\"visible\": false, \"number\": 1, \"verdict\": \"accepted\"},"
        "{\"visible\": false, \"number\": 2, \"verdict\": \"time\"}]}";
    assert_ok(bv_json_parse(text, strlen(text), "what is wanted", &wanted));
    if (!json_equal(got, wanted)) {
        bv_buffer told = {0};
        assert_ok(bv_json_text(got, 0, &told));
        fail_msg("%s", told.data);
    }
    json_decref(got);
    json_decref(wanted);
}

/* CPU time is that of all tests and of their checks. */
static void test_times(void **state) {
    (void)state;
    bv_level_judgement j = {0};
    put("level.json", WITH_CHECKER);
    put("check.py", "import time\nwhile time.process_time() < 0.3: pass\n");
    open_level();
    assert_ok(bv_judge_level(&tools, level, "python", RIGHT, strlen(RIGHT), &j));
    assert_int_equal(j.verdict, BV_LEVEL_ACCEPTED);
    assert_int_equal(j.result_count, 3);
    assert_int_equal(j.run_count, 3);
    assert_int_equal(j.passed, 2);
    uint64_t own = 0;
    for (size_t i = 0; i < j.result_count; i++) own += j.results[i].cpu_ns;
    assert_true(own > 0 && j.cpu_ns >= own + 3 * 300000000ull);
    bv_level_judgement_free(&j);
}

/* A long log of the compiler is cut, and says so. */
static void test_long_log(void **state) {
    (void)state;
    bv_level_judgement j = {0};
    bv_buffer source = {0};
    for (int i = 0; i < 300; i++) bv_buffer_printf(&source, "int f%d = nothing%d;\n", i, i);
    assert_ok(bv_judge_level(&tools, level, "c", source.data, source.size, &j));
    assert_int_equal(j.verdict, BV_LEVEL_NOT_COMPILED);
    assert_non_null(strstr(j.message.data, "nothing0"));
    assert_string_equal(j.message.data + j.message.size - 4, "\n...");
    assert_in_range(j.message.size, 4000, 4010); /* a letter that is cut becomes question marks */
    bv_level_judgement_free(&j);
    bv_buffer_free(&source);
}

/* Of much that a program wrote before it failed, the end tells why. */
static void test_failure_shows_the_end(void **state) {
    (void)state;
    bv_level_judgement j = {0};
    const char *source = "def fall(n): return fall(n - 1) if n else [][0]\nfall(40)\n";
    assert_ok(bv_judge_level(&tools, level, "python", source, strlen(source), &j));
    assert_int_equal(j.verdict, BV_LEVEL_FAILED);
    const char *message = j.results[0].message;
    assert_non_null(strstr(message, "it wrote: ...\n"));
    assert_non_null(strstr(message, "\nIndexError: list index out of range"));
    bv_level_judgement_free(&j);
}

/* Nothing but the solution is in its box. */
static void test_box_is_empty(void **state) {
    (void)state;
    expect("python",
           "import os\nassert sorted(os.listdir('/work')) == ['main.py'], os.listdir('/work')\n"
           "assert os.listdir('/tmp') == []\n" RIGHT,
           BV_LEVEL_ACCEPTED, 10);
}

static void test_scores(void **state) {
    (void)state;
    put("level.json", "{\"title\": \"Sum\", \"points\": 10, \"scoring\": \"each\", \"tests\": "
                      "{\"visible\": 1, \"hidden\": 4}, \"checker\": \"tokens\"}");
    char hidden[4300];
    snprintf(hidden, sizeof hidden, "%s/tests/hidden", path);
    assert_ok(bv_dir_make(hidden));
    put("tests/hidden/1.in", "1 1\n");
    put("tests/hidden/2.in", "1 2\n");
    put("tests/hidden/3.in", "-1 2\n");
    put("tests/hidden/4.in", "0 0\n");
    open_level();
    assert_string_equal(level->tests[1].answer.data, "2\n"); /* made by the reference */
    expect("python", RIGHT, BV_LEVEL_ACCEPTED, 10);
    expect("python", "a, b = map(int, input().split())\nprint(abs(a) + b)\n", BV_LEVEL_WRONG_ANSWER,
           7);
    expect("python", "print(0)\n", BV_LEVEL_WRONG_ANSWER, 2);
}

static void check_level(bv_level_check *check) {
    assert_ok(bv_level_check_begin(level, check));
    for (size_t i = 0; i < check->count; i++)
        assert_ok(bv_level_check_judge(pool, level, &check->rows[i]));
    bv_level_check_end(level, check);
}

static void test_checker(void **state) {
    (void)state;
    put("level.json", WITH_CHECKER);
    put("check.py", "import sys\ni, o, a = (open(f).read() for f in sys.argv[1:])\n"
                    "if o.split() != a.split():\n    print('not the sum')\n    sys.exit(1)\n");
    open_level();
    expect("python", RIGHT, BV_LEVEL_ACCEPTED, 10);
    bv_level_judgement j = {0};
    assert_ok(bv_judge_level(&tools, level, "python", "print(1)", 8, &j));
    assert_int_equal(j.verdict, BV_LEVEL_WRONG_ANSWER);
    assert_string_equal(j.results[0].message, "not the sum");
    bv_level_judgement_free(&j);
    bv_level_check check;
    check_level(&check);
    assert_true(check.good);
    bv_level_check_free(&check);
}

/* A checker that ends in another way than 0 and 1 gives no verdict, and says how it ended. */
static void test_bad_checkers(void **state) {
    (void)state;
    static const struct {
        const char *checker, *text;
    } rows[] = {
        {"import sys\nsys.exit(3)\n", "check.py ended with the verdict failed, exit code 3"},
        /* Python's exit code of an exception is 1, too */
        {"int(open('output').read() + 'x')\n", "invalid literal for int()"},
        {"no Python\n", "SyntaxError"},
        {"import os\nos.kill(os.getpid(), 11)\n", "signal 11"},
        {"import os\nwhile os.write(1, b'x' * 65536): pass\n", "the verdict output"},
        {"import ctypes\nctypes.string_at(0)\n", "signal 11"},
        {"while True: pass\n", "the verdict time"},
    };
    put("level.json", WITH_CHECKER);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bv_level_judgement j = {0};
        put("check.py", rows[i].checker);
        open_level();
        assert_fails(bv_judge_level(&tools, level, "python", RIGHT, strlen(RIGHT), &j),
                     BV_CODE_FAULT, rows[i].text);
        bv_level_judgement_free(&j);
    }
    /* Refusing with bytes that are no text, or with a reason on the other stream, is refusing. */
    bv_level_judgement j = {0};
    put("check.py", "import os, sys\nos.write(1, b'\\xff\\x00\\x1b[2J' * 5000)\n"
                    "sys.exit('not the sum')\n");
    open_level();
    assert_ok(bv_judge_level(&tools, level, "python", RIGHT, strlen(RIGHT), &j));
    assert_int_equal(j.verdict, BV_LEVEL_WRONG_ANSWER);
    bv_level_judgement_free(&j);
}

/* A checker that takes only what the author thought of fails over what somebody will hand in. */
static void test_fragile_checkers(void **state) {
    (void)state;
    static const struct {
        const char *checker, *text;
    } rows[] = {
        {"import sys\nsys.exit(not open('output').read().strip())\n", "bytes that are no text"},
        {"import sys\nsys.exit(open('output', 'rb').read().split()[0] != b'5')\n", "nothing"},
        {"import re, sys\no = open('output', 'rb').read().decode('ascii', 'replace')\n"
         "sys.exit(not o or bool(re.fullmatch(r'\\d{9,}\\s*', o)) and int(o) > 0)\n",
         "numbers of 5000 digits"},
        {"import sys\no = open('output', 'rb').read()\n"
         "sys.exit(not o.strip().isdigit() and [][0] if o[:1] == b'x' else 1)\n",
         "the answer with letters for numbers"},
        {"import sys\no = open('output', 'rb').read()\n"
         "sys.exit([1][int(o)] if o[:1] == b'-' else 1)\n",
         "the answer with numbers out of range"},
    };
    put("level.json", WITH_CHECKER);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        put("check.py", rows[i].checker);
        open_level();
        assert_fails(bv_checker_check(level, &maker), BV_CODE_FAULT, rows[i].text);
    }
    put("check.py", "import sys\ni, o, a = (open(f, 'rb').read() for f in sys.argv[1:])\n"
                    "sys.exit(o.split() != a.split())\n");
    open_level();
    assert_ok(bv_checker_check(level, &maker));
    put("level.json",
        "{\"title\": \"Sum\", \"points\": 10, \"tests\": {\"visible\": 1, \"hidden\": 2}, "
        "\"generator\": \"generator.py\", \"checker\": \"tokens\"}");
    open_level();
    assert_ok(bv_checker_check(level, &maker));
}

/* Complete, and yet hardly what the author wanted. */
static void test_notes(void **state) {
    (void)state;
    bv_level_check check;
    check_level(&check);
    assert_true(check.good && !check.same_answers && !check.closed && !check.repeated);
    bv_level_check_free(&check);
    put("generator.py",
        "import sys\nprint(7 if int(sys.argv[2]) else 2, -2 if int(sys.argv[2]) else "
        "3)\n");
    put("level.json", "{\"title\": \"Sum\", \"points\": 10, \"tests\": {\"visible\": 1, "
                      "\"hidden\": 3}, \"generator\": \"generator.py\", \"checker\": \"tokens\", "
                      "\"deadline\": \"2020-01-01T00:00:00Z\"}");
    open_level();
    check_level(&check);
    assert_true(check.good && check.same_answers && check.closed);
    assert_int_equal(check.repeated, 2); /* the visible one's, and the second one's */
    bv_level_check_free(&check);
}

static void test_bad_authors(void **state) {
    (void)state;
    bv_level_check check;
    put("wrong/too-good.py", RIGHT);
    open_level();
    check_level(&check);
    assert_false(check.good);
    bv_level_check_free(&check);
    put("wrong/too-good.py", "print('no number')\n");
    open_level();
    check_level(&check);
    assert_true(check.good);
    bv_level_check_free(&check);
    put("wrong/broken.c", "int main(void) { return }\n"); /* is not even compiled */
    open_level();
    check_level(&check);
    assert_false(check.good);
    bv_level_check_free(&check);
    put("generator.py", "import sys\nsys.exit(1)\n");
    bv_level_free(&level);
    assert_ok(bv_level_load(path, &level));
    assert_fails(bv_level_complete(level, &maker), BV_CODE_INPUT,
                 "generator.py 1 0 10: exit code 1");
    put("generator.py", "import random\nprint(random.random(), 1)\n");
    bv_level_free(&level);
    assert_ok(bv_level_load(path, &level));
    assert_fails(bv_level_complete(level, &maker), BV_CODE_INPUT,
                 "another input when it ran again");
    put("generator.py", "print('x', 'y')\n");
    bv_level_free(&level);
    assert_ok(bv_level_load(path, &level));
    assert_fails(bv_level_complete(level, &maker), BV_CODE_INPUT, "has no answer to hidden/");
}

static int begin(void **state) {
    (void)state;
    folder = make_folder();
    snprintf(path, sizeof path, "%s/sum", folder);
    assert_ok(bv_level_scaffold(path));
    put("level.json",
        "{\"title\": \"Sum\", \"points\": 10, \"limits\": {\"cpu\": \"1s\", \"wall\": "
        "\"8s\"}, \"tests\": {\"visible\": 1, \"hidden\": 10}, \"generator\": "
        "\"generator.py\", \"seed\": 1, \"checker\": \"tokens\"}");
    open_level();
    return 0;
}

static int end(void **state) {
    (void)state;
    stop_spinning();
    bv_level_free(&level);
    remove_folder(folder);
    return 0;
}

static int open_pool(void **state) {
    *state = pool = boxes_open(2);
    maker = (bv_level_maker){.pool = pool};
    tools = (bv_judge_tools){.pool = pool};
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_verdicts, begin, end),
        cmocka_unit_test_setup_teardown(test_busy_machine, begin, end),
        cmocka_unit_test_setup_teardown(test_refused, begin, end),
        cmocka_unit_test_setup_teardown(test_too_large, begin, end),
        cmocka_unit_test_setup_teardown(test_hidden_inputs_stay_hidden, begin, end),
        cmocka_unit_test(test_what_is_shown),
        cmocka_unit_test_setup_teardown(test_times, begin, end),
        cmocka_unit_test_setup_teardown(test_long_log, begin, end),
        cmocka_unit_test_setup_teardown(test_failure_shows_the_end, begin, end),
        cmocka_unit_test_setup_teardown(test_box_is_empty, begin, end),
        cmocka_unit_test_setup_teardown(test_scores, begin, end),
        cmocka_unit_test_setup_teardown(test_checker, begin, end),
        cmocka_unit_test_setup_teardown(test_bad_checkers, begin, end),
        cmocka_unit_test_setup_teardown(test_fragile_checkers, begin, end),
        cmocka_unit_test_setup_teardown(test_notes, begin, end),
        cmocka_unit_test_setup_teardown(test_bad_authors, begin, end),
    };
    return cmocka_run_group_tests(tests, open_pool, boxes_teardown);
}
