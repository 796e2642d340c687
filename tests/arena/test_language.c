/*
 * Languages: the built-in descriptions compile and run, a description of somebody's own works, and
 * what is no description is refused with its reason, however it is mangled. Also the texts of /proc
 * that say where control groups are.
 */
#include "support/compiled.h"

#include "arena/languages.h"
#include "arena/sandbox_cgroup.h"
#include "base/random.h"
#include <fcntl.h>

static const char *source_of(const char *language) {
    if (!strcmp(language, "python"))
        return "import sys\nprint(sum(map(int, sys.stdin.read().split())))\nsys.exit(3)\n";
    if (!strcmp(language, "shell")) return "read a b\necho $((a + b))\nexit 3\n";
    return "#include <stdio.h>\nint main(void) {\n    int a, b;\n"
           "    if (scanf(\"%d%d\", &a, &b) == 2) printf(\"%d\\n\", a + b);\n    return 3;\n}\n";
}

static void run_source(bv_sandbox_pool *pool, const bv_language *language,
                       const bv_sandbox_file *source, bv_artifact *made) {
    bv_artifact a;
    bv_sandbox_result r = {0};
    assert_ok(bv_language_compile(pool, language, source, 1, &a, &r));
    if (!a.file_count) fail_msg("%s: %s %s", language->name, r.reason, r.error.data);
    run_made(pool, &a, "20 22\n", NULL, &r);
    if (r.exit_code != 3 || r.output.size != 3 || memcmp(r.output.data, "42\n", 3))
        fail_msg("%s: %s %s", language->name, r.reason, r.error.data);
    bv_sandbox_result_free(&r);
    *made = a;
}

static void run_language(bv_sandbox_pool *pool, const bv_language *language) {
    const char *text = source_of(language->name);
    const bv_sandbox_file source = {.name = "anything", .bytes = text, .size = strlen(text)};
    bv_artifact a;
    run_source(pool, language, &source, &a);
    bv_artifact_free(&a);
}

/* What a program in C loads by itself: the unwinder of threads that end or are cancelled, and the
 * vector functions that -Ofast calls. */
static void test_libraries(void **state) {
    (void)state;
    static const char text[] =
        "#pragma GCC optimize(\"Ofast\")\n#include <math.h>\n#include <pthread.h>\n"
        "#include <stdio.h>\n"
        "static void *leave(void *x) { pthread_exit(x); }\n"
        "static void *stay(void *x) { for (;;) pthread_testcancel(); return x; }\n"
        "static double v[64];\n"
        "int main(void) {\n    int a, b;\n    pthread_t t;\n    void *end;\n"
        "    if (scanf(\"%d%d\", &a, &b) != 2) return 1;\n"
        "    for (int i = 0; i < 64; i++) v[i] = sin((double)(i * a)) + b;\n"
        "    if (pthread_create(&t, NULL, leave, &a) || pthread_join(t, &end)) return 2;\n"
        "    if (pthread_create(&t, NULL, stay, NULL) || pthread_cancel(t)) return 4;\n"
        "    pthread_join(t, NULL);\n"
        "    printf(\"%d\\n\", (int)v[0] + *(int *)end);\n    return 3;\n}\n";
    const bv_sandbox_file source = {.name = "x", .bytes = text, .size = sizeof text - 1};
    bv_sandbox_pool *pool = boxes_open(1);
    bv_artifact a;
    run_source(pool, bv_language_find("c"), &source, &a);
    bv_artifact_free(&a);
    bv_sandbox_pool_destroy(&pool);
}

/* Who calls what is in another library gets it, by each compiler; what is nowhere is still missed.
 */
static void test_again(void **state) {
    (void)state;
    static const char *const names[] = {"c", "c-tcc"};
    static const char text[] = "#include <math.h>\n#include <stdio.h>\n"
                               "int main(void) {\n    double a, b;\n"
                               "    if (scanf(\"%lf%lf\", &a, &b) != 2) return 1;\n"
                               "    printf(\"%d\\n\", (int)(pow(a, 1) + cbrt(b * b * b) + 0.5));\n"
                               "    return 3;\n}\n";
    static const char lost[] = "int nowhere(void);\nint main(void) { return nowhere(); }\n";
    const bv_sandbox_file good = {.name = "x", .bytes = text, .size = sizeof text - 1};
    bv_sandbox_pool *pool = boxes_open(1);
    for (size_t i = 0; i < 2; i++) {
        const bv_language *language = bv_language_find(names[i]);
        bv_artifact a;
        bv_sandbox_result r = {0};
        run_source(pool, language, &good, &a);
        bv_artifact_free(&a);
        compile(pool, language, lost, &a, &r);
        assert_int_equal(r.verdict, BV_VERDICT_FAILED);
        assert_int_equal(a.file_count, 0);
        assert_non_null(strstr(r.error.data, "nowhere"));
        bv_sandbox_result_free(&r);
        bv_artifact_free(&a);
    }
    bv_sandbox_pool_destroy(&pool);
}

/* What a compiler made and nobody may keep is no program without bytes. */
static void test_too_large(void **state) {
    (void)state;
    static const char text[] =
        "{\"name\": \"large\", \"title\": \"L\", \"source\": \"x\", \"artifact\": \"made\", "
        "\"compile\": [\"sh\", \"-c\", \"truncate -s 150000 made\"], \"run\": [\"made\"], "
        "\"compile_binds\": [\"/usr\", \"/bin?\", \"/lib?\", \"/lib64?\"], "
        "\"compile_limits\": {\"files_bytes\": 100000}}";
    bv_language *language;
    bv_artifact a;
    bv_sandbox_result r = {0};
    bv_sandbox_pool *pool = boxes_open(1);
    assert_ok(bv_language_parse(text, sizeof text - 1, "text", &language));
    compile(pool, language, "x", &a, &r);
    assert_int_equal(r.verdict, BV_VERDICT_FAILED);
    assert_string_equal(r.reason, "made a file that is too large");
    assert_int_equal(a.file_count, 0);
    bv_sandbox_result_free(&r);
    bv_artifact_free(&a);
    bv_language_free(&language);
    bv_sandbox_pool_destroy(&pool);
}

/* A binary that somebody links statically, here by a description of our own, and brings along. */
static void test_static(void **state) {
    (void)state;
    static const char description[] =
        "{\"name\": \"c-static\", \"title\": \"C, static\", \"source\": \"main.c\", \"artifact\": "
        "\"main\", \"compile\": [\"/usr/bin/gcc\", \"-static\", \"-o\", \"main\", \"main.c\"], "
        "\"run\": [\"./main\"], \"compile_binds\": [\"/usr\", \"/bin?\", \"/lib?\", \"/lib64?\"], "
        "\"run_binds\": []}";
    const char *text = source_of("c");
    const bv_sandbox_file source = {.name = "anything", .bytes = text, .size = strlen(text)};
    bv_sandbox_pool *pool = boxes_open(1);
    bv_language *linker;
    bv_artifact a, again;
    assert_ok(bv_language_parse(description, sizeof description - 1, "c-static", &linker));
    run_source(pool, linker, &source, &a);
    const bv_sandbox_file binary = {
        .name = "anything", .bytes = a.files[0].bytes, .size = a.files[0].size};
    run_source(pool, bv_language_find("static"), &binary, &again);
    bv_artifact_free(&again);
    bv_artifact_free(&a);
    bv_sandbox_pool_destroy(&pool); /* before the language that it ran */
    bv_language_free(&linker);
}

/* Bytes that are no program are the author's fault, not ours. */
static void test_static_nonsense(void **state) {
    (void)state;
    static const char *const texts[] = {"",
                                        "\x7f"
                                        "ELF",
                                        "#!/bin/nothing\n", "hello"};
    bv_sandbox_pool *pool = boxes_open(1);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        bv_artifact a;
        bv_sandbox_result r = {0};
        compile(pool, bv_language_find("static"), texts[i], &a, &r);
        run_made(pool, &a, "", NULL, &r);
        if (r.verdict != BV_VERDICT_FAILED) fail_msg("%zu: %s", i, r.reason);
        bv_sandbox_result_free(&r);
        bv_artifact_free(&a);
    }
    bv_sandbox_pool_destroy(&pool);
}

static void test_built_in(void **state) {
    (void)state;
    bv_sandbox_pool *pool = boxes_open(1);
    const char *const *names = bv_language_names();
    size_t count = 0;
    for (size_t i = 0; names[i]; i++, count++)
        if (strcmp(names[i], "static")) run_language(pool, bv_language_find(names[i]));
    assert_int_equal(count, bv_language_text_count);
    assert_null(bv_language_find("cobol"));
    bv_sandbox_pool_destroy(&pool);
}

static const char *const python_programs[][3] = {
    {"import sys; print(sys.argv, __name__, sys.stdin.read())", "0", "['main.py'] __main__ in\n"},
    {"import sys; sys.exit(5)", "5", ""},
    {"import sys; sys.exit('no')", "1", ""},
    {"1 / 0", "1", ""},
    {"def f(:", "1", ""},
    {"import os; os._exit(4)", "4", ""},
    {"import atexit; atexit.register(print, 'end'); print('begin', end=' ')", "0", "begin end\n"},
    {"import threading; threading.Thread(target=print, args=('t',)).start()", "0", "t\n"},
    {"class C:\n  def __del__(self): print('gone', len(word))\n"
     "word = 'abc'\nc = C()\nd = C(); d.self = d\nf = lambda: c\n",
     "0", "gone 3\ngone 3\n"},
    {"print(*sorted(globals()), __spec__, __annotations__)", "0",
     "__annotations__ __builtins__ __cached__ __doc__ __file__ __loader__ __name__ "
     "__package__ __spec__ None {}\n"},
    {"import os, sys; os.close(1); print('x')", "120", ""},
    {"f = open('a', 'w'); f.write('unclosed')\nimport atexit, os\n"
     "def look(f=f): f.flush(); print(open('a').read())\natexit.register(look)",
     "0", "unclosed\n"},
    {"import os, sys\nr, w = os.pipe()\nif os.fork() == 0:\n"
     "  f = os.fdopen(w, 'w')\n  f.write('left open')\nelse:\n"
     "  os.close(w); os.wait(); print(os.read(r, 99))\n",
     "0", "b'left open'\n"},
    {"print(sorted(__builtins__.__dict__)[0], open(__file__).read()[:5])", "0",
     "ArithmeticError print\n"},
    /* Ends by sys.exit are ends like others. */
    {"import sys; sys.exit()", "0", ""},
    {"import sys; sys.exit(True)", "1", ""},
    {"import sys; sys.exit(-1)", "255", ""},
    {"import sys; sys.exit(2 ** 32 + 5)", "5", ""},
    {"import sys; sys.exit(-2 ** 70)", "255", ""},
    {"import sys; sys.exit(4.0)", "1", ""},
    {"raise SystemExit", "0", ""},
    {"class E(SystemExit): code = 'own'\nimport sys; sys.stderr = sys.stdout; raise E(3)", "1",
     "own\n"},
    {"import sys; sys.stderr = None; sys.exit('unseen')", "1", ""},
    {"import sys; sys.stderr.close(); sys.exit('unseen')", "1", ""},
    {"import atexit, sys; atexit.register(print, 'end'); print('begin', end=' '); sys.exit(3)", "3",
     "begin end\n"},
    {"import atexit, sys; atexit.register(sys.exit, 9); sys.exit(3)", "3", ""},
    {"import sys, threading, time\ndef f(): time.sleep(0.05); print('t')\n"
     "threading.Thread(target=f).start()\nsys.exit('no')",
     "1", "t\n"},
    {"import sys, threading\nt = threading.Thread(target=sys.exit, args=(5,)); t.start(); t.join()",
     "0", ""},
    {"import sys\nclass C:\n  def __del__(self): print('gone', len(word))\nword = 'abc'\n"
     "def f(): c = C(); sys.exit(6)\nd = C()\nf()",
     "6", "gone 3\ngone 3\n"},
    {"class C:\n  def __del__(self): print('gone')\nc = C()\n1 / 0", "1", "gone\n"},
    {"import os, sys; os.close(1); print('x'); sys.exit(3)", "120", ""},
    {"import os; os.close(1); print('x'); 1 / 0", "120", ""},
    {"f = open('a', 'w'); f.write('unclosed')\nimport atexit, os, sys\n"
     "def look(f=f): f.flush(); print(open('a').read())\natexit.register(look)\nsys.exit(2)",
     "2", "unclosed\n"},
    {"import os, sys\nif os.fork() == 0: print('child'); sys.exit(7)\n"
     "print(os.waitstatus_to_exitcode(os.wait()[1]))",
     "0", "child\n7\n"},
    {"import sys\ndef hook(*e): print('hook', e[0].__name__)\nsys.excepthook = hook\n1 / 0", "1",
     "hook ZeroDivisionError\n"},
    {"import sys\ndef hook(*e): sys.exit(8)\nsys.excepthook = hook\n1 / 0", "8", ""},
    {"raise KeyboardInterrupt", "-1", ""},
    {"import os, signal; os.kill(os.getpid(), signal.SIGTERM)", "-1", ""},
    {"import sys; print('\xc3\xa9', sys.stdin.encoding, sys.stderr.encoding, open('a', "
     "'w').encoding)",
     "0", "\xc3\xa9 utf-8 utf-8 UTF-8\n"},
    {"import os; print(sorted(os.environ.items()), os.environb[b'HOME'], "
     "os.getenv('LD_BIND_NOW'), flush=True)\n"
     "os.system('echo $HOME $A $E')\n",
     "0",
     "[('A', ''), ('E', '\xc3\xa9=1'), ('HOME', '/work'), ('LANG', 'C.UTF-8'), "
     "('PATH', '/usr/bin:/bin')] b'/work' None\n"
     "/work \xc3\xa9=1\n"},
    {"print(__file__, type(__loader__).__name__, __loader__.path == __file__)", "0",
     "/work/main.py SourceFileLoader True\n"},
};
#define PYTHON_PROGRAMS (sizeof python_programs / sizeof *python_programs)

static void run_python(bv_sandbox_pool *pool, const char *text, bv_sandbox_result *result) {
    static const char *const env[] = {
        "PATH=/usr/bin:/bin", "HOME=/work", "LANG=C.UTF-8", "A=", "E=\xc3\xa9=1", "y", NULL};
    bv_artifact a;
    compile(pool, bv_language_find("python"), text, &a, result);
    run_made(pool, &a, "in", env, result);
    bv_artifact_free(&a);
}

static const char *text_of(const bv_buffer *buffer) {
    return buffer->data ? buffer->data : "";
}

static void expect_python(const char *const program[3], const bv_sandbox_result *r, bool warm) {
    if (r->exit_code != strtol(program[1], NULL, 10) || strcmp(text_of(&r->output), program[2]))
        fail_msg("%s (warm %d): %s\n%s%s", program[0], warm, r->reason, text_of(&r->output),
                 text_of(&r->error));
}

/* A warm interpreter behaves as python3 does: exit codes, signals, output, messages. */
static void test_warm_python(void **state) {
    (void)state;
    const bv_language *python = bv_language_find("python");
    bv_sandbox_pool *pools[2];
    for (int warm = 0; warm < 2; warm++)
        pools[warm] = boxes_open_with(
            (bv_sandbox_options){.boxes = 1, .root = &python->run_root, .warm_python = warm != 0});
    for (size_t i = 0; i < PYTHON_PROGRAMS; i++) {
        bv_sandbox_result r[2] = {{0}, {0}};
        for (int warm = 0; warm < 2; warm++) {
            run_python(pools[warm], python_programs[i][0], &r[warm]);
            expect_python(python_programs[i], &r[warm], warm != 0);
        }
        assert_int_equal(r[0].signal, r[1].signal);
        assert_string_equal(text_of(&r[0].error), text_of(&r[1].error));
        for (int warm = 0; warm < 2; warm++) bv_sandbox_result_free(&r[warm]);
    }
    for (int warm = 0; warm < 2; warm++) bv_sandbox_pool_destroy(&pools[warm]);
}

static void refuse(const char *text, const char *part) {
    bv_language *language;
    assert_fails(bv_language_parse(text, strlen(text), "mine", &language), BV_CODE_INPUT, part);
    assert_null(language);
}

static void test_bad_descriptions(void **state) {
    (void)state;
    refuse("", "mine");
    refuse("[]", "object");
    refuse("{\"name\": 3}", "name");
    refuse("{\"name\": \"x\", \"title\": \"X\", \"source\": \"a/b\"}", "not a path");
    refuse("{\"name\": \"x\", \"title\": \"X\", \"source\": \"a\"}", "\"run\" is missing");
    refuse("{\"name\": \"x\", \"title\": \"X\", \"source\": \"a\", \"run\": []}", "1 to 64");
    refuse("{\"name\": \"x\", \"title\": \"X\", \"source\": \"a\", \"run\": [\"a\"], \"root\": 1}",
           "unknown member \"root\"");
    static const char *const binds[][2] = {
        {"usr", "absolute paths"},      {"/usr/../etc", "cannot be shown"},
        {"/", "cannot be shown"},       {"?", "absolute paths"},
        {"/?", "cannot be shown"},      {"//usr", "cannot be shown"},
        {"/usr/", "cannot be shown"},   {"/./usr", "cannot be shown"},
        {"/proc/1", "cannot be shown"}, {"/sys", "cannot be shown"},
        {"/dev", "cannot be shown"},    {"/tmp/x", "cannot be shown"},
        {"/work", "cannot be shown"},   {"/bin\", \"/bin?", "twice"},
    };
    for (size_t i = 0; i < sizeof binds / sizeof *binds; i++) {
        char text[256];
        snprintf(text, sizeof text,
                 "{\"name\": \"x\", \"title\": \"X\", \"source\": \"a\", \"run\": [\"a\"], "
                 "\"run_binds\": [\"%s\"]}",
                 binds[i][0]);
        refuse(text, binds[i][1]);
    }
    refuse("{\"name\": \"x y\", \"title\": \"X\", \"source\": \"a\", \"run\": [\"a\"]}", "letters");
    refuse("{\"name\": \"x\", \"title\": \"X\", \"source\": \"a\", \"run\": [\"a\"], "
           "\"compile_limits\": {\"cpu\": 1}}",
           "unknown member \"cpu\"\n  try: \"cpu_ms\"\n  while reading \"compile_limits\"");
    refuse("{\"name\": \"x\", \"title\": \"X\", \"source\": \"a\", \"run\": [\"a\"], \"compile\": "
           "[\"c\"]}",
           "artifact");
    refuse("{\"name\": \"x\", \"title\": \"X\", \"source\": \"a\", \"run\": [\"a\"], "
           "\"compile_limits\": {\"cpu_ms\": -1}}",
           "out of range");
    refuse("{\"name\": \"x\", \"title\": \"X\", \"source\": \"a\", \"run\": [\"a\"], "
           "\"compile_environment\": [\"LANG=C\", \"=x\"]}",
           "NAME=VALUE");
    refuse("{\"name\": \"x\", \"title\": \"X\", \"source\": \"a\", \"compile_if\": {}}",
           "beside \"compile\"");
    refuse("{\"name\": \"x\", \"title\": \"X\", \"source\": \"a\", \"compile\": [\"c\"], "
           "\"compile_if\": {\"bin/ld\": [\"-x\"]}}",
           "absolute paths");
    refuse("{\"name\": \"x\", \"title\": \"X\", \"source\": \"a\", \"compile\": [\"c\"], "
           "\"compile_if\": {\"/none\": \"-x\"}}",
           "list of 1 to 64");
    refuse("{\"name\": \"x\", \"title\": \"X\", \"source\": \"a\", \"compile_again\": [\"-lm\"]}",
           "beside \"compile\"");
    refuse("{\"name\": \"x\", \"title\": \"X\", \"source\": \"a\", \"run\": [\"a\"], "
           "\"prepare\": [\"p\"], \"prepared\": \"q\"}",
           "beside \"compile\"");
    refuse("{\"name\": \"x\", \"title\": \"X\", \"source\": \"a\", \"run\": [\"a\"], \"compile\": "
           "[\"c\"], \"artifact\": \"b\", \"prepare\": [\"p\"]}",
           "prepared");
    refuse("{\"name\": \"x\", \"title\": \"X\", \"source\": \"a\", \"run\": [\"a\"], \"compile\": "
           "[\"c\"], \"artifact\": \"b\", \"prepare\": [\"p\"], \"prepared\": \"b\"}",
           "another file");
}

static void test_words_for_tools(void **state) {
    static const char text[] =
        "{\"name\": \"x\", \"title\": \"X\", \"source\": \"a\", \"artifact\": \"b\", \"run\": "
        "[\"b\"], "
        "\"compile\": [\"c\", \"-o\"], \"compile_if\": {\"/none/at/all\": [\"-no\"], "
        "\"/\": [\"-yes\", \"-more\"]}}";
    static const char *const expected[] = {"c", "-o", "-yes", "-more"};
    bv_language *language;
    (void)state;
    assert_ok(bv_language_parse(text, strlen(text), "mine", &language));
    for (size_t i = 0; i < 4; i++) assert_string_equal(language->compile[i], expected[i]);
    assert_null(language->compile[4]);
    bv_language_free(&language);
}

static void test_words_for_again(void **state) {
    static const char text[] =
        "{\"name\": \"x\", \"title\": \"X\", \"source\": \"a\", \"artifact\": \"b\", \"run\": "
        "[\"b\"], \"compile\": [\"c\"], \"compile_if\": {\"/\": [\"-yes\"]}, \"compile_again\": "
        "[\"-lm\"]}";
    static const char *const expected[] = {"c", "-yes", "-lm"};
    bv_language *language;
    (void)state;
    assert_ok(bv_language_parse(text, strlen(text), "mine", &language));
    for (size_t i = 0; i < 3; i++) assert_string_equal(language->compile_again[i], expected[i]);
    assert_null(language->compile_again[3]);
    assert_null(language->compile[2]);
    bv_language_free(&language);
}

static void mangle(char *text, size_t size, uint32_t seed) {
    for (uint32_t k = 0; k < 1 + seed % 4; k++) {
        const bv_random4 r = bv_random(seed, BV_RANDOM_TEST, 0, k, 0, 0);
        text[r.v[0] % size] = r.v[1] % 3 ? "{}[]\",:0-?/\\\n x\0"[r.v[2] % 16] : (char)r.v[2];
    }
}

static void test_mangled_descriptions(void **state) {
    (void)state;
    size_t accepted = 0;
    for (uint32_t seed = 0; seed < 20000; seed++) {
        char text[4096];
        const char *good = bv_language_texts[seed % bv_language_text_count].text;
        const size_t size = strlen(good);
        assert_true(size < sizeof text);
        memcpy(text, good, size);
        mangle(text, size, seed);
        bv_language *language;
        bv_error *error = bv_language_parse(text, size - seed % 3, "mangled", &language);
        if (!error) {
            assert_true(language->name[0] && language->run && language->run[0]);
            accepted++;
        }
        bv_error_free(&error);
        bv_language_free(&language);
    }
    assert_true(accepted > 100 && accepted < 19000);
}

/* ---- where control groups are ---- */

static void write_group(const char *folder, const char *group, const char *name, const char *text) {
    char path[512];
    snprintf(path, sizeof path, "%s/unified/%s/%s", folder, group, name);
    assert_ok(bv_file_write(path, text, strlen(text)));
}

static void expect_in(const char *folder, const char *group, const char *name, const char *text) {
    char path[512];
    bv_buffer found = {0};
    snprintf(path, sizeof path, "%s/unified/%s/%s", folder, group, name);
    assert_ok(bv_file_read(path, &found));
    bv_buffer_text(&found, "");
    assert_string_equal(found.data, text);
    bv_buffer_free(&found);
}

static void test_cgroup_texts(void **state) {
    (void)state;
    char *folder = make_folder(), mounts[8192], path[8192];
    bv_cgroup_bases b;
    snprintf(path, sizeof path, "%s/memory/a/b", folder);
    assert_ok(bv_dir_make(path));
    snprintf(path, sizeof path, "%s/unified/c", folder);
    assert_ok(bv_dir_make(path));
    /* Version 1, the group below the mount's root; pids is not mounted. */
    snprintf(mounts, sizeof mounts, "35 31 0:32 / %s/memory rw - cgroup cgroup rw,memory\n",
             folder);
    bv_cgroup_find(mounts, "4:memory:/a/b\n8:pids:/\n0::/c\n", &b);
    snprintf(path, sizeof path, "%s/memory/a/b", folder);
    assert_string_equal(b.memory, path);
    assert_string_equal(b.pids, "");
    assert_false(b.version2);
    /* In a container the mount shows only our part. */
    snprintf(mounts, sizeof mounts, "35 31 0:32 /a %s/memory/a rw - cgroup cgroup rw,memory\n",
             folder);
    bv_cgroup_find(mounts, "4:memory:/a/b\n", &b);
    assert_string_equal(b.memory, path);
    /* Version 2, with the controllers given on. */
    write_group(folder, "c", "cgroup.procs", "");
    write_group(folder, "c", "cgroup.subtree_control", "cpu memory pids\n");
    snprintf(mounts, sizeof mounts, "41 31 0:38 / %s/unified rw - cgroup2 cgroup2 rw\n", folder);
    bv_cgroup_find(mounts, "0::/c\n", &b);
    snprintf(path, sizeof path, "%s/unified/c", folder);
    assert_true(b.version2);
    assert_string_equal(b.memory, path);
    assert_string_equal(b.cpu, path);
    for (uint32_t seed = 0; seed < 5000; seed++) {
        char own[] = "4:memory:/a/b\n8:pids:/\n0::/c\n", broken[8192];
        snprintf(broken, sizeof broken, "%s", mounts);
        mangle(own, sizeof own - 1, seed);
        mangle(broken, strlen(mounts), seed + 1);
        bv_cgroup_find(broken, own, &b);
    }
    remove_folder(folder);
}

/* Version 2: whoever is alone in a group divides it, nobody else does. The files are ordinary ones;
 * in a kernel's, `make vm` looks. */
static void test_cgroup_divided(void **state) {
    (void)state;
    char *folder = make_folder(), mounts[1024], base[480], own[32], path[512];
    bv_cgroup_bases b;
    snprintf(own, sizeof own, "%d\n", (int)getpid());
    snprintf(base, sizeof base, "%s/unified/g", folder);
    snprintf(path, sizeof path, "%s/beaver-own", base);
    assert_ok(bv_dir_make(path));
    snprintf(mounts, sizeof mounts, "41 31 0:38 / %s/unified rw - cgroup2 cgroup2 rw\n", folder);
    bv_cgroup_find(mounts, "0::/g\n", &b);
    assert_false(b.version2);
    assert_string_equal(b.obstacle, "not writable");
    write_group(folder, "g", "cgroup.subtree_control", "");
    write_group(folder, "g", "cgroup.controllers", "cpu memory\n");
    write_group(folder, "g", "cgroup.procs", own);
    write_group(folder, "g/beaver-own", "cgroup.procs", "");
    bv_cgroup_find(mounts, "0::/g\n", &b);
    assert_string_equal(b.obstacle, "our group has no controllers");
    write_group(folder, "g", "cgroup.controllers", "cpu memory pids\n");
    static const char *const others[] = {"0\n%s", "%s1\n"}; /* one that we do not see; another */
    for (int i = 0; i < 2; i++) {
        char both[64];
        snprintf(both, sizeof both, others[i], own);
        write_group(folder, "g", "cgroup.procs", both);
        bv_cgroup_find(mounts, "0::/g\n", &b);
        assert_string_equal(b.obstacle, "other processes are in our group");
        assert_string_equal(b.memory, "");
    }
    expect_in(folder, "g", "cgroup.subtree_control", "");
    write_group(folder, "g", "cgroup.procs", own);
    bv_cgroup_find(mounts, "0::/g\n", &b);
    assert_null(b.obstacle);
    assert_true(b.version2);
    assert_string_equal(b.memory, base);
    own[strlen(own) - 1] = 0;
    expect_in(folder, "g/beaver-own", "cgroup.procs", own);
    expect_in(folder, "g", "cgroup.subtree_control", "+memory +pids");
    /* Our children, or who was put there: beside it. */
    write_group(folder, "g", "cgroup.subtree_control", "");
    bv_cgroup_find(mounts, "0::/g/beaver-own\n", &b);
    assert_string_equal(b.pids, base);
    expect_in(folder, "g", "cgroup.subtree_control", "+memory +pids");
    remove_folder(folder);
}

/* A controller that is taken away while a pool runs leaves open files that cannot be read. */
static void test_cgroup_lost(void **state) {
    (void)state;
    const int file = open("/dev/null", O_RDWR | O_CLOEXEC);
    bv_cgroup g = {.memory = true, .memory_max = file, .memory_events = file};
    assert_true(file >= 0);
    g.memory_now = g.memory_peak = file;
    assert_fails(bv_cgroup_begin(&g, 1000, 1), BV_CODE_FAULT, "lost its memory controller");
    g = (bv_cgroup){.pids = true, .pids_max = file, .pids_events = file};
    assert_fails(bv_cgroup_begin(&g, 1000, 1), BV_CODE_FAULT, "lost its pids controller");
    close(file);
}

static void hash_of(const bv_language *language, char out[BV_SHA256_TEXT_SIZE]) {
    bv_sha256 *hash;
    assert_ok(bv_sha256_begin(&hash));
    bv_language_hash(language, hash);
    bv_sha256_end(&hash, out);
}

/* An interpreter that is upgraded is another one. */
static void test_hash(void **state) {
    (void)state;
    char *folder = make_folder(), path[600], text[1200];
    char before[BV_SHA256_TEXT_SIZE], after[BV_SHA256_TEXT_SIZE];
    bv_language *language;
    snprintf(path, sizeof path, "%s/interpreter", folder);
    snprintf(text, sizeof text,
             "{\"name\": \"own\", \"title\": \"Own\", \"source\": \"main.own\", "
             "\"run\": [\"%s\", \"main.own\"], \"run_binds\": [\"/usr/bin\"]}",
             path);
    assert_ok(bv_file_write(path, "old", 3));
    assert_ok(bv_language_parse(text, strlen(text), "mine", &language));
    hash_of(language, before);
    hash_of(language, after);
    assert_string_equal(before, after);
    assert_ok(bv_file_write(path, "newer", 5));
    hash_of(language, after);
    assert_string_not_equal(before, after);
    bv_language_free(&language);
    remove_folder(folder);
}

/* So is one whose description says anything else: what was made by the other is not its own. */
static void test_hash_of_descriptions(void **state) {
    (void)state;
    static const char *const rest[] = {
        "",
        ", \"compile_again\": [\"-lm\"]",
        ", \"compile_again\": [\"-lz\"]",
        ", \"compile_binds\": [\"/usr/lib\"]",
        ", \"compile_binds\": [\"/usr/lib?\"]",
        ", \"run_binds\": [\"/usr/lib\"]",
        ", \"compile_limits\": {\"cpu_ms\": 1000}",
        ", \"compile_limits\": {\"cpu_ms\": 2000}",
        ", \"compile_environment\": [\"A=b\"]",
        ", \"warm_python\": true",
        ", \"prepare\": [\"own\"], \"prepared\": \"part\"",
        ", \"prepare\": [\"own\", \"-x\"], \"prepared\": \"part\"",
    };
    enum { COUNT = sizeof rest / sizeof *rest };
    char hashes[COUNT][BV_SHA256_TEXT_SIZE], text[400];
    for (size_t i = 0; i < COUNT; i++) {
        bv_language *language;
        snprintf(text, sizeof text,
                 "{\"name\": \"own\", \"title\": \"Own\", \"source\": \"main.own\", "
                 "\"compile\": [\"own\"], \"artifact\": \"main\", \"run\": [\"./main\"]%s}",
                 rest[i]);
        assert_ok(bv_language_parse(text, strlen(text), "mine", &language));
        hash_of(language, hashes[i]);
        bv_language_free(&language);
        for (size_t k = 0; k < i; k++)
            if (!strcmp(hashes[i], hashes[k])) fail_msg("%s and %s", rest[i], rest[k]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_built_in),        cmocka_unit_test(test_static),
        cmocka_unit_test(test_libraries),       cmocka_unit_test(test_static_nonsense),
        cmocka_unit_test(test_warm_python),     cmocka_unit_test(test_bad_descriptions),
        cmocka_unit_test(test_words_for_tools), cmocka_unit_test(test_words_for_again),
        cmocka_unit_test(test_again),           cmocka_unit_test(test_mangled_descriptions),
        cmocka_unit_test(test_cgroup_texts),    cmocka_unit_test(test_cgroup_divided),
        cmocka_unit_test(test_cgroup_lost),     cmocka_unit_test(test_hash),
        cmocka_unit_test(test_too_large),       cmocka_unit_test(test_hash_of_descriptions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
