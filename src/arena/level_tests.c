#include "arena/level_tests.h"

#include "arena/author_program.h"

#include <stdio.h>

/* GENERATOR SEED INDEX COUNT writes an input. */
static bv_status generate(const bv_level *level, bv_sandbox_pool *pool, const bv_program *program,
                          int64_t count, bv_level_test *test) {
    const bv_level_program *generator = level->generator.list;
    char seed[24], index[24], all[24];
    bv_sandbox_result result = {0};
    snprintf(seed, sizeof seed, "%lld", (long long)(level->seed + test->generated));
    snprintf(index, sizeof index, "%lld", (long long)test->generated);
    snprintf(all, sizeof all, "%lld", (long long)count);
    const char *arguments[] = {seed, index, all, NULL};
    const bv_program_run run = {.arguments = arguments};
    bv_error *error = bv_author_program_run(pool, generator, program, &run, &result);
    if (!error && result.exit_code != 0)
        error =
            bv_fail(BV_CODE_INPUT, "%s %s %s %s: exit code 1", generator->name, seed, index, all);
    if (!error) bv_buffer_append(&test->input, result.output.data, result.output.size);
    if (!error) error = bv_buffer_error(&test->input);
    bv_sandbox_result_free(&result);
    return error;
}

static bv_status generate_all(bv_level *level, bv_sandbox_pool *pool) {
    int64_t count = 0;
    bv_program *program = NULL;
    if (level->generator.count == 0) return BV_OK;
    for (size_t i = 0; i < level->test_count; i++) count += level->tests[i].generated >= 0;
    bv_error *error = bv_author_program_create(pool, level->generator.list, &program);
    for (size_t i = 0; !error && i < level->test_count; i++)
        if (level->tests[i].generated >= 0)
            error = generate(level, pool, program, count, &level->tests[i]);
    bv_program_destroy(&program);
    return error;
}

/* The reference's answer, within the limits that bind everybody. */
static bv_status answer(const bv_level *level, bv_sandbox_pool *pool, const bv_program *program,
                        bv_level_test *test) {
    bv_sandbox_result result = {0};
    const bv_program_run run = {
        .input = test->input.data, .input_size = test->input.size, .limits = level->limits};
    bv_error *error = bv_program_execute(pool, program, &run, &result);
    if (!error && result.verdict != BV_VERDICT_OK)
        error =
            bv_fail(BV_CODE_INPUT, "%s has no answer to %s: %s: %s", level->references.list[0].name,
                    test->name, bv_sandbox_verdict_name(result.verdict), result.reason);
    if (!error) bv_buffer_append(&test->answer, result.output.data, result.output.size);
    if (!error) error = bv_buffer_error(&test->answer);
    test->has_answer = !error;
    bv_sandbox_result_free(&result);
    return error;
}

static bv_status answer_all(bv_level *level, bv_sandbox_pool *pool) {
    bv_program *program = NULL;
    bv_error *error = bv_author_program_create(pool, level->references.list, &program);
    for (size_t i = 0; !error && i < level->test_count; i++)
        if (!level->tests[i].has_answer) error = answer(level, pool, program, &level->tests[i]);
    bv_program_destroy(&program);
    return error;
}

bv_status bv_level_complete(bv_level *level, bv_sandbox_pool *pool) {
    bv_error *error = generate_all(level, pool);
    if (!error) error = answer_all(level, pool);
    if (!error && level->checker.count)
        error = bv_author_program_create(pool, level->checker.list, &level->checker_program);
    level->complete = !error;
    return bv_while(error, "making the tests of %s", level->name);
}
