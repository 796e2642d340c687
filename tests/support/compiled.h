/* What a language makes of a text, and what that does, for tests. */
#ifndef BV_TESTS_SUPPORT_COMPILED_H
#define BV_TESTS_SUPPORT_COMPILED_H

#include "arena/language.h"
#include "support/boxes.h"

static inline void compile(bv_sandbox_pool *pool, const bv_language *language, const char *text,
                           bv_artifact *made, bv_sandbox_result *r) {
    const bv_sandbox_file source = {.name = "anything", .bytes = text, .size = strlen(text)};
    assert_ok(bv_language_compile(pool, language, &source, 1, made, r));
}

/* With time enough. env: NULL for the usual. */
static inline void run_made(bv_sandbox_pool *pool, const bv_artifact *made, const char *input,
                            const char *const *env, bv_sandbox_result *r) {
    bv_sandbox_job job = {0};
    bv_sandbox_result_free(r);
    bv_language_job(made, &job);
    bv_sandbox_limits_default(&job.limits);
    job.limits.wall_ns = 20000000000;
    job.input = input, job.input_size = strlen(input);
    if (env) job.env = env;
    assert_ok(bv_sandbox_run(pool, &job, r));
}

#endif
