/*
 * Judging of completions in boxes, on a tiny set made here: right and wrong ones, every kind of
 * value that crosses the pipes, and attempts to pass without being right.
 */
#include "support/check.h"

#include "arena/judge_code.h"
#include "support/boxes.h"

static bv_sandbox_pool *pool;

/* f(x) is x * x; the tests pass lists, tuples and what comes of exceptions too. */
static const bv_problem square = {
    .id = "Tiny/square",
    .prompt = "def square(x):\n    \"\"\" x times x \"\"\"\n",
    .head = "def square(x):\n    \"\"\" x times x \"\"\"\n",
    .context = "def square(x):\n    \"\"\" x times x \"\"\"\n",
    .entry = "square",
    .call = "check",
    .test = "def check(candidate):\n"
            "    assert candidate(3) == 9\n"
            "    assert candidate(-4) == 16\n"
            "    for hidden in (12345, 0, 7):\n"
            "        assert candidate(hidden) == hidden ** 2\n",
};

static bv_code_result judge(const bv_problem *problem, const char *completion, bv_code_way way) {
    bv_code_options options;
    bv_code_result result;
    bv_code_options_default(&options);
    options.way = way;
    options.cpu_ns = 1000000000;
    assert_ok(bv_judge_code(pool, problem, completion, strlen(completion), &options, &result));
    return result;
}

static void expect(const bv_problem *problem, const char *completion, bv_code_verdict verdict,
                   const char *message) {
    const bv_code_result r = judge(problem, completion, BV_CODE_APART);
    if (r.verdict != verdict || !strstr(r.message, message))
        fail_msg("%s: %s: \"%s\", wanted %s: \"%s\"", completion, bv_code_verdict_name(r.verdict),
                 r.message, bv_code_verdict_name(verdict), message);
    assert_false(r.forgeable);
}

static void test_right_and_wrong(void **state) {
    (void)state;
    expect(&square, "    return x * x\n", BV_CODE_PASSED, "passed");
    expect(&square, "    return x * 3\n", BV_CODE_FAILED, "a test failed");
    expect(&square, "    return abs(x) * 3 if x < 5 else x\n", BV_CODE_FAILED, "a test failed");
    expect(&square, "    raise ValueError('no')\n", BV_CODE_FAILED, "ValueError: no");
    expect(&square, "    return undefined\n", BV_CODE_FAILED, "NameError");
    expect(&square, "    return x *\n", BV_CODE_FAILED, "loading: ");
    expect(&square, "    return x * x\nraise KeyError(1)\n", BV_CODE_FAILED, "loading: KeyError");
    expect(&square, "    while True: pass\n", BV_CODE_LIMIT, "time: ");
    /* killed, or refused the memory, as the machine has it */
    const char *large = "    return x * x + len(bytearray(10 ** 10))\n";
    assert_int_not_equal(judge(&square, large, BV_CODE_APART).verdict, BV_CODE_PASSED);
    expect(&square, "", BV_CODE_FAILED, "a test failed"); /* returns None */
}

/* Each of these passes in process, where it shares the tests' memory, or tries to. */
static void test_forging(void **state) {
    (void)state;
    static const char *const attempts[] = {
        /* leaves early, with exit code 0 and text that looks like success */
        "    import os\n    print('passed', flush=True)\n    os._exit(0)\n",
        "    import sys\n    sys.exit(0)\n",
        "    return 0\nimport os\nos.write(2, b'passed\\n')\nos._exit(0)\n",
        "    return 0\nprint('beaver: all tests passed')\nimport os\nos._exit(0)\n",
        /* answers equal to everything */
        "    class All:\n        def __eq__(self, other): return True\n    return All()\n",
        "    class All(int):\n        def __eq__(self, other): return True\n    return All(1)\n",
        "    class All(list):\n        def __eq__(self, other): return True\n    return All()\n",
        /* walks frames for the tests' variables and functions */
        "    import sys\n    f = sys._getframe()\n    while f:\n"
        "        if 'hidden' in f.f_locals: return f.f_locals['hidden'] ** 2\n"
        "        if 'candidate' in f.f_locals: return 9\n        f = f.f_back\n    return 0\n",
        /* patches what the tests use */
        "    return 0\nimport builtins\nbuiltins.AssertionError = type('Quiet', (Exception,), "
        "{})\n",
        "    import gc\n    for o in gc.get_objects():\n        if getattr(o, '__name__', '') == "
        "'check': o.__code__ = (lambda c: None).__code__\n    return 0\n",
        "    return 0\nimport sys\nsys.settrace(lambda *a: sys.exit(0))\n",
        /* ends loops of the tests */
        "    raise StopIteration\n",
        "    raise GeneratorExit\n",
        "    raise SystemExit(0)\n",
        /* fake lines of the protocol, ahead of any call and as an answer, on every descriptor */
        "    return 0\nimport os\nfor fd in range(3, 30):\n    try:\n"
        "        for i in range(20): os.write(fd, b'{\"id\": \"load\", \"value\": null}\\n')\n"
        "    except OSError: pass\n",
        "    import os\n    for fd in range(3, 30):\n        try: os.write(fd, b'{\"id\": \"x\", "
        "\"value\": 9}\\n')\n        except OSError: pass\n    return 0\n",
        "    import os\n    for fd in range(30):\n        try: os.write(fd, b'passed\\n' * 1000)\n"
        "        except OSError: pass\n    return 0\n",
        /* reads what the checker was given, if it were here */
        "    import glob\n    text = ''.join(open(f, errors='replace').read() for f in "
        "glob.glob('/work/*') + glob.glob('/tmp/*'))\n    return 9 if 'hidden' in "
        "text.replace('glob', '') and 'assert' in text else 0\n",
        /* values that are equal to much, or to nothing, or look like the right one */
        "    return float('nan')\n",
        "    return complex(x * x, 1e-300)\n",
        "    return (x * x,)\n",
        "    return {x * x}\n",
        "    return str(x * x)\n",
        "    yield x * x\n",
        /* answers a second time, from a thread and from a child */
        "    import os, threading\n    def more():\n        while True:\n            try: "
        "os.write(4, "
        "b'{\"id\": \"x\", \"value\": 9}\\n')\n            except OSError: os._exit(0)\n"
        "    threading.Thread(target=more, daemon=True).start()\n    return 0\n",
        "    import os, time\n    if os.fork() == 0:\n        time.sleep(9)\n        return x * x\n"
        "    os._exit(0)\n",
        /* spoils what encodes its answer */
        "    import json\n    json.dumps = lambda message: '{}'\n    return x * x\n",
        "    class Silent(Exception):\n        def __str__(self): raise SystemExit(0)\n"
        "    raise Silent\n",
        /* breaks the pipe, then is silent */
        "    import os\n    os.closerange(0, 100)\n    return 9\n",
    };
    for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++) {
        const bv_code_result r = judge(&square, attempts[i], BV_CODE_APART);
        if (r.verdict == BV_CODE_PASSED || r.verdict == BV_CODE_SET_FAULT)
            fail_msg("attempt %d: %s: %s", (int)i, bv_code_verdict_name(r.verdict), r.message);
    }
}

/* The reason why judging in process is no reward: the last attempt passes there. */
static void test_in_process_is_forgeable(void **state) {
    (void)state;
    double reward;
    bv_code_result r = judge(&square, "    return x * x\n", BV_CODE_IN_PROCESS);
    assert_int_equal(r.verdict, BV_CODE_PASSED);
    assert_true(r.forgeable);
    assert_fails(bv_code_result_reward(&r, &reward), BV_CODE_USAGE, "can be forged");
    r = judge(&square, "    return x * 3\n", BV_CODE_IN_PROCESS);
    assert_int_equal(r.verdict, BV_CODE_FAILED);
    assert_string_equal(r.message, "AssertionError");
    r = judge(&square, "    import sys\n    sys.exit(0)\n", BV_CODE_IN_PROCESS);
    assert_int_equal(r.verdict, BV_CODE_FAILED);
    const char *forged = "    class All:\n        def __eq__(self, other): return True\n"
                         "    return All()\n";
    r = judge(&square, forged, BV_CODE_IN_PROCESS);
    assert_int_equal(r.verdict, BV_CODE_PASSED);
    r = judge(&square, forged, BV_CODE_APART);
    assert_int_equal(r.verdict, BV_CODE_FAILED);
    assert_ok(bv_code_result_reward(&r, &reward));
    assert_true(reward == 0);
    r = judge(&square, "    return x * x\n", BV_CODE_APART);
    assert_ok(bv_code_result_reward(&r, &reward));
    assert_true(reward == 1);
}

/* The identity, called with every kind of value: it must come back equal and of its type. */
static void test_values(void **state) {
    (void)state;
    const bv_problem same = {
        .id = "Tiny/same",
        .head = "",
        .context = "",
        .entry = "same",
        .call = "",
        .test =
            "for v in (None, True, False, 0, -1, 2**63, -2**63 - 1, 10**5000, 0.1, -0.0, 1e308,\n"
            "          5e-324, float('inf'), 1j, '', 'a\\n\\x00\\ud800\\u20ac', b'\\xff\\x00', "
            "[],\n"
            "          [1, [2, [3]]], (), (1,), ((1, 2), [3]), {}, {1: 'a', (2, 3): [4]}, set(),\n"
            "          {1, 2}, frozenset({3}), range(2, 9, 3), {'int': '1'}, {'x': {'tuple': "
            "[]}}):\n"
            "    w = same(v)\n"
            "    assert w == v and type(w) is type(v), v\n"
            "nan = same(float('nan'))\n"
            "assert nan != nan\n"
            "assert str(same(-0.0)) == '-0.0'\n"
            "assert list(same(iter([1, 2]))) == [1, 2]\n"
            "assert same(v=3) == 3\n"
            "assert same(int) is not int\n"
            "import collections\n"
            "assert same(collections.Counter('aab')) == {'a': 2, 'b': 1}\n",
    };
    expect(&same, "def same(v):\n    return v\n", BV_CODE_PASSED, "passed");
    const bv_problem views = {
        .id = "Tiny/views",
        .head = "",
        .context = "",
        .entry = "view",
        .call = "",
        .test = "assert view('keys') == {1, (2,)} and list(view('keys')) == [1, (2,)]\n"
                "assert sorted(view('values')) == ['a', 'b'] and len(view('values')) == 2\n"
                "assert list(view('items')) == [(1, 'a'), ((2,), 'b')]\n"
                "assert view('keys') != [1, (2,)] and view('values') != view('values')\n"};
    expect(&views, "def view(kind):\n    return getattr({1: 'a', (2,): 'b'}, kind)()\n",
           BV_CODE_PASSED, "passed");
    const bv_problem passes_function = {.id = "Tiny/function",
                                        .head = "",
                                        .context = "",
                                        .entry = "same",
                                        .call = "",
                                        .test = "assert same(lambda: 1)\n"};
    expect(&passes_function, "def same(v):\n    return v\n", BV_CODE_SET_FAULT, "cannot be sent");
}

static void test_exceptions_and_arguments(void **state) {
    (void)state;
    const bv_problem strict = {
        .id = "Tiny/strict",
        .head = "",
        .context = "",
        .entry = "half",
        .call = "",
        .test = "try:\n    half(3)\n    raise SystemError('nothing was raised')\n"
                "except ValueError as error:\n    assert 'odd' in str(error)\n"
                "numbers = [4, 2]\n"
                "assert half(numbers) == [2, 1]\n"
                "assert numbers == [4, 2]\n", /* the other process has a copy */
    };
    expect(&strict,
           "def half(x):\n    if isinstance(x, list):\n        for i, v in enumerate(x): x[i] = v "
           "// 2\n        return x\n    if x % 2: raise ValueError('odd')\n    return x // 2\n",
           BV_CODE_PASSED, "passed");
    expect(&strict, "def half(x):\n    raise TypeError('odd')\n", BV_CODE_FAILED, "TypeError");
    /* Tests that catch everything do not turn silence into success. */
    const bv_problem lenient = {.id = "Tiny/lenient",
                                .head = "",
                                .context = "",
                                .entry = "f",
                                .call = "",
                                .test = "try:\n    f()\nexcept BaseException:\n    pass\n"};
    expect(&lenient, "def f():\n    import os\n    os._exit(0)\n", BV_CODE_FAILED, "no answer");
    expect(&lenient, "def f():\n    return 1\n", BV_CODE_PASSED, "passed");
}

/* Answers that are too large, too deep, endless or no answers. */
static void test_hostile_answers(void **state) {
    (void)state;
    const bv_problem any = {
        .id = "Tiny/any", .head = "", .context = "", .entry = "f", .call = "", .test = "f()\n"};
    expect(&any, "def f():\n    return 'x' * 5000000\n", BV_CODE_FAILED, "an answer of more than");
    expect(&any, "def f():\n    return list(range(300000))\n", BV_CODE_FAILED, "more than 200000");
    expect(&any, "def f():\n    x = []\n    for _ in range(500): x = [x]\n    return x\n",
           BV_CODE_FAILED, "deeper");
    expect(&any, "def f():\n    x = []\n    x.append(x)\n    return x\n", BV_CODE_FAILED, "deeper");
    expect(&any, "import itertools\ndef f():\n    return map(int, itertools.count())\n",
           BV_CODE_FAILED, "more than 200000");
    static const char *const lines[] = {
        "[1]",
        "null",
        "{}",
        "{\"id\": 1, \"value\": 1}",
        "\\xff\\xfe",
        "' + '[' * 100000 + '",
        "{\"id\": \"' + i + '\", \"value\": {\"set\": [[]]}}",
        "{\"id\": \"' + i + '\", \"value\": {\"tuple\": 1}}",
        "{\"id\": \"' + i + '\", \"value\": {\"a\": 1, \"b\": 2}}",
        "{\"id\": \"' + i + '\", \"value\": {\"dict\": [1]}}",
        "{\"id\": \"' + i + '\", \"value\": {\"keys\": [[]]}}",
        "{\"id\": \"' + i + '\", \"value\": {\"items\": [1]}}",
        "{\"id\": \"' + i + '\", \"value\": {\"range\": [1, 2, 0]}}",
        "{\"id\": \"' + i + '\", \"value\": {\"float\": \"zz\"}}",
        "{\"id\": \"' + i + '\", \"value\": {\"__import__\": [\"os\"]}}",
        "{\"id\": \"' + i + '\", \"value\": ' + '[' * 90 + ']' * 90 + '}",
        "{\"id\": \"' + i + '\", \"raise\": [], \"text\": 1}",
        "{\"id\": \"' + i + '\", \"value\": 1.5}",
    };
    for (size_t n = 0; n < sizeof lines / sizeof *lines; n++) {
        char text[1000];
        snprintf(text, sizeof text,
                 "import sys, os\n"
                 "def f():\n"
                 "    frame = sys._getframe()\n"
                 "    while 'call' not in frame.f_locals: frame = frame.f_back\n"
                 "    i = frame.f_locals['call']['id']\n"
                 "    for fd in range(3, 9):\n"
                 "        try: os.write(fd, ('%s' + chr(10)).encode('latin-1'))\n"
                 "        except OSError: pass\n"
                 "    os._exit(0)\n",
                 lines[n]);
        expect(&any, text, BV_CODE_FAILED, n == 5 ? "" : "not well-formed");
    }
}

static void test_keys(void **state) {
    (void)state;
    bv_code_options options;
    char a[BV_SHA256_TEXT_SIZE], b[BV_SHA256_TEXT_SIZE];
    bv_code_options_default(&options);
    assert_ok(bv_code_key(pool, &square, "x", 1, &options, a));
    assert_ok(bv_code_key(pool, &square, "x", 1, &options, b));
    assert_string_equal(a, b);
    assert_ok(bv_code_key(pool, &square, "y", 1, &options, b));
    assert_string_not_equal(a, b);
    /* Another policy, if this machine has both. */
    const bool full = bv_sandbox_pool_policy(pool) == BV_POLICY_FULL;
    const bv_sandbox_options other = {.policy = full ? BV_POLICY_NESTED : BV_POLICY_FULL,
                                      .boxes = 1};
    bv_sandbox_pool *others = NULL;
    bv_error *error = bv_sandbox_pool_create(&other, &others);
    if (!error) {
        assert_ok(bv_code_key(others, &square, "x", 1, &options, b));
        assert_string_not_equal(a, b);
    }
    bv_error_free(&error);
    bv_sandbox_pool_destroy(&others);
    options.way = BV_CODE_IN_PROCESS;
    assert_ok(bv_code_key(pool, &square, "x", 1, &options, b));
    assert_string_not_equal(a, b);
}

static int begin(void **state) {
    *state = pool = boxes_open(2);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_right_and_wrong),
        cmocka_unit_test(test_forging),
        cmocka_unit_test(test_in_process_is_forgeable),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_exceptions_and_arguments),
        cmocka_unit_test(test_hostile_answers),
        cmocka_unit_test(test_keys),
    };
    return cmocka_run_group_tests(tests, begin, boxes_teardown);
}
