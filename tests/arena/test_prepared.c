/* What a language prepares once for all compilations, and that it changes nothing of what they
 * give. */
#include "support/compiled.h"

#include "arena/languages.h"

/* What a compiler that only writes down its words and what was prepared makes of a source. */
static void expect_made(bv_sandbox_pool *pool, const bv_language *language, const char *text) {
    bv_artifact a;
    bv_sandbox_result r = {0};
    compile(pool, language, "", &a, &r);
    assert_int_equal(a.file_count, 1);
    assert_int_equal(a.files[0].size, strlen(text));
    assert_memory_equal(a.files[0].bytes, text, strlen(text));
    bv_sandbox_result_free(&r);
    bv_artifact_free(&a);
}

/* Made once; where it fails, makes nothing, or too much, compilations do without. */
static void test_prepared(void **state) {
    (void)state;
    static const struct {
        const char *prepare, *made;
    } rows[] = {
        {"echo part >parts", "own parts if\npart\n"},
        {"echo part >parts; exit 1", "own if\n"},
        {"echo part >other", "own if\n"},
        {"truncate -s 200000 parts", "own if\n"},
    };
    char text[800];
    bv_sandbox_pool *pool = boxes_open(1);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bv_language *language;
        snprintf(text, sizeof text,
                 "{\"name\": \"own\", \"title\": \"O\", \"source\": \"x\", \"artifact\": "
                 "\"made\", \"compile\": [\"/bin/sh\", \"-c\", \"echo $* >made; cat parts "
                 ">>made 2>/dev/null; exit 0\", \"sh\", \"own\"], \"compile_if\": {\"/\": "
                 "[\"if\"]}, \"prepare\": [\"/bin/sh\", \"-c\", \"%s\"], \"prepared\": "
                 "\"parts\", \"run\": [\"made\"], \"compile_binds\": [\"/usr\", \"/bin?\", "
                 "\"/lib?\", \"/lib64?\"], \"compile_limits\": {\"files_bytes\": 100000}}",
                 rows[i].prepare);
        assert_ok(bv_language_parse(text, strlen(text), "mine", &language));
        expect_made(pool, language, "own if\n");
        for (int k = 0; k < 2; k++) assert_ok(bv_language_prepare(pool, language));
        expect_made(pool, language, rows[i].made);
        bv_language_free(&language);
    }
    bv_sandbox_pool_destroy(&pool);
}

static bv_language *parse_built_in(const char *name) {
    bv_language *language = NULL;
    for (size_t i = 0; i < bv_language_text_count; i++)
        if (!strcmp(bv_language_texts[i].name, name))
            assert_ok(bv_language_parse(bv_language_texts[i].text,
                                        strlen(bv_language_texts[i].text), name, &language));
    assert_non_null(language);
    return language;
}

/* What compiling said, or else what the program did. */
static void compile_and_run(bv_sandbox_pool *pool, const bv_language *language, const char *text,
                            bv_buffer *out) {
    bv_artifact a;
    bv_sandbox_result r = {0};
    compile(pool, language, text, &a, &r);
    if (a.file_count) run_made(pool, &a, "20 22 x\n", NULL, &r);
    bv_buffer_printf(out, "%d %d %d %s %s", (int)a.file_count, r.verdict, r.exit_code,
                     r.output.data ? r.output.data : "", r.error.data ? r.error.data : "");
    assert_ok(bv_buffer_error(out));
    bv_sandbox_result_free(&r);
    bv_artifact_free(&a);
}

/* Programs whose C library is looked at from all sides. */
static const char *const library_sources[] = {
    "#include <stdio.h>\nint main(void) { int a, b; char s[9];\n"
    "if (scanf(\"%d%d%8s\", &a, &b, s) != 3) return 1;\n"
    "printf(\"%d %s %.3f %Lg\\n\", a + b, s, a / 7., (long double)b); return 3; }\n",
    "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <errno.h>\n"
    "static int less(const void *a, const void *b) { return *(char *)a - *(char *)b; }\n"
    "static void last(void) { puts(\"last\"); }\n"
    "int main(void) { char *s = malloc(40); atexit(last); fgets(s, 40, stdin);\n"
    "qsort(s, strlen(s), 1, less); s = realloc(s, 100000); printf(\"%s\", s);\n"
    "fprintf(stderr, \"%s %ld\\n\", strerror(ERANGE), strtol(\"0x1f\", NULL, 0));\n"
    "free(s); fputs(\"no newline\", stdout); return 4; }\n",
    /* its own functions in place of the library's, which the library then calls as well */
    "#include <stdio.h>\nint puts(const char *s) { return printf(\"mine %s\\n\", s); }\n"
    "size_t strlen(const char *s) { return 1; }\nint abs(int x) { return 7; }\n"
    "int main(void) { puts(\"a\"); printf(\"%d %d\\n\", (int)strlen(\"four\"), abs(-1)); }\n",
    /* its own memory */
    "#include <stdio.h>\n#include <string.h>\nstatic char room[1 << 20]; static size_t used;\n"
    "void *malloc(size_t n) { used += 64 + n / 16 * 16; return room + used - n / 16 * 16; }\n"
    "void free(void *p) { used++; }\n"
    "int main(void) { char *p = malloc(10); strcpy(p, \"nine\"); free(p);\n"
    "printf(\"%s %d\\n\", p, (int)(p - room)); return 0; }\n",
    /* variables with the names of functions, without values and with */
    "extern int printf(const char *, ...);\nint free, exit[3], getchar = 5; char *scanf;\n"
    "int main(void) { free = 1; exit[2] = 2; printf(\"%d %d %d %d\\n\", free, exit[2], "
    "getchar, "
    "!scanf); return 0; }\n",
    "int main(void) { return 9; }\n",
    "#include <math.h>\n#include <stdio.h>\n"
    "int main(void) { double x; scanf(\"%lf\", &x); printf(\"%.9f\\n\", sin(x)); return 0; }\n",
    "#include <time.h>\n#include <stdio.h>\n#include <wchar.h>\n#include <stdlib.h>\n"
    "int main(void) { char s[40]; time_t t = 0; strftime(s, 40, \"%c\", gmtime(&t));\n"
    "printf(\"%s %ls %d\\n\", s, L\"wide\", getenv(\"HOME\") != NULL); abort(); }\n",
    "int nowhere(void);\nint main(void) { return nowhere(); }\n",
    "int no_main(void) { return 1; }\n",
    "int _start(void) { return 1; }\nint main(void) { return 0; }\n",
    "int main(void) { return 1 }\n",
};

/* Of an error of the linker's: it names a file of the compiler's own. */
static void cut_names(char *text) {
    char *end = strstr(text, "/tmp/cc");
    if (end) *end = 0;
}

/* A C library whose parts are put together is the same one: whatever a program defines itself is
 * its own, and whatever it lacks is missed. */
static void test_prepared_library(void **state) {
    (void)state;
    bv_language *plain = parse_built_in("c-tcc.json"), *prepared = parse_built_in("c-tcc.json");
    bv_sandbox_pool *pool = boxes_open(1);
    assert_ok(bv_language_prepare(pool, prepared));
    for (size_t i = 0; i < sizeof library_sources / sizeof *library_sources; i++) {
        bv_buffer expected = {0}, got = {0};
        compile_and_run(pool, plain, library_sources[i], &expected);
        compile_and_run(pool, prepared, library_sources[i], &got);
        cut_names(expected.data), cut_names(got.data);
        assert_string_equal(expected.data, got.data);
        bv_buffer_free(&expected);
        bv_buffer_free(&got);
    }
    bv_sandbox_pool_destroy(&pool);
    bv_language_free(&plain);
    bv_language_free(&prepared);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prepared),
        cmocka_unit_test(test_prepared_library),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
