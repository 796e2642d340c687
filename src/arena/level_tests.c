#include "arena/level_tests.h"

#include "arena/author_program.h"
#include "arena/level_cache.h"
#include "base/tasks.h"

#include <stdio.h>

/* The work of one of the two programs, on tests[0], tests[1] ...: each test is one thread's. */
typedef struct making {
    const bv_level_maker *maker;
    const bv_level *level;
    bv_program *program;
    bv_level_test **tests;
    size_t count;
} making;

/* GENERATOR SEED INDEX COUNT writes an input, appended to `input`. */
static bv_status run_generator(const making *m, const bv_level_test *test, bv_buffer *input) {
    const bv_level *level = m->level;
    const bv_level_program *generator = level->generator.list;
    char seed[24], index[24], all[24];
    bv_sandbox_result result = {0};
    snprintf(seed, sizeof seed, "%lld", (long long)(level->seed + test->generated));
    snprintf(index, sizeof index, "%lld", (long long)test->generated);
    snprintf(all, sizeof all, "%lld", (long long)m->count);
    const char *arguments[] = {seed, index, all, NULL};
    const bv_program_run run = {.arguments = arguments};
    bv_error *error = bv_author_program_run(m->maker->pool, generator, m->program, &run, &result);
    if (!error && result.exit_code != 0)
        error =
            bv_fail(BV_CODE_INPUT, "%s %s %s %s: exit code 1", generator->name, seed, index, all);
    if (!error) bv_buffer_append(input, result.output.data, result.output.size);
    if (!error) error = bv_buffer_error(input);
    bv_sandbox_result_free(&result);
    return error;
}

/* Twice: a test that is another each time would be another on each judge. */
static bv_status generate(void *context, size_t index_of_test) {
    const making *m = context;
    bv_level_test *test = m->tests[index_of_test];
    bv_buffer again = {0}, *input = &test->input;
    bv_buffer_clear(input);
    bv_error *error = run_generator(m, test, input);
    if (!error) error = run_generator(m, test, &again);
    if (!error && !bv_buffer_equal(&again, input))
        error =
            bv_try(bv_fail(BV_CODE_INPUT, "%s with seed %lld wrote another input when it ran again",
                           m->level->generator.list[0].name,
                           (long long)(m->level->seed + test->generated)),
                   "let all that is random follow from its first argument, the seed");
    bv_buffer_free(&again);
    return error;
}

/* The reference's answer, within the limits that bind everybody. */
static bv_status answer(void *context, size_t index_of_test) {
    const making *m = context;
    const bv_level *level = m->level;
    bv_level_test *test = m->tests[index_of_test];
    bv_sandbox_result result = {0};
    const bv_program_run run = {
        .input = test->input.data, .input_size = test->input.size, .limits = level->limits};
    bv_error *error = bv_program_execute(m->maker->pool, m->program, &run, &result);
    if (!error && result.verdict != BV_VERDICT_OK)
        error = bv_author_program_wrote(
            bv_fail(BV_CODE_INPUT, "%s has no answer to %s: %s: %s", level->references.list[0].name,
                    test->name, bv_sandbox_verdict_name(result.verdict), result.reason),
            &result);
    bv_buffer_clear(&test->answer);
    if (!error) bv_buffer_append(&test->answer, result.output.data, result.output.size);
    if (!error) error = bv_buffer_error(&test->answer);
    bv_sandbox_result_free(&result);
    return error;
}

/* Lets `program` do `task` for m->tests. */
static bv_status make_all(making *m, const bv_level_program *program, bv_task *task) {
    if (!m->count) return BV_OK;
    BV_TRY(bv_author_program_create(m->maker->pool, program, &m->program));
    bv_error *error = bv_tasks_run(m->maker->threads, m->count, task, m);
    bv_program_destroy(&m->program);
    return error;
}

static bv_status make_tests(bv_level *level, const bv_level_maker *maker) {
    making inputs = {maker, level, NULL, NULL, 0}, answers = inputs;
    bv_level_test **list = bv_calloc(2 * level->test_count, sizeof(bv_level_test *));
    if (!list) return bv_fail_memory("tests");
    inputs.tests = list;
    answers.tests = list + level->test_count;
    for (size_t i = 0; i < level->test_count; i++) {
        bv_level_test *test = &level->tests[i];
        if (test->generated >= 0) inputs.tests[inputs.count++] = test;
        if (test->answer_made) answers.tests[answers.count++] = test;
    }
    bv_error *error = make_all(&inputs, level->generator.list, generate);
    if (!error) error = make_all(&answers, level->references.list, answer);
    bv_free(list);
    return error;
}

/* A cache that cannot be written is no reason not to judge. */
static void keep_tests(const bv_level *level, const bv_level_maker *maker) {
    bv_error *error = bv_level_cache_put(maker->cache, level);
    if (error && maker->log) maker->log(maker->context, bv_error_text(error));
    bv_error_free(&error);
}

bv_status bv_level_complete(bv_level *level, const bv_level_maker *maker) {
    bool found = false;
    bv_error *error = maker->cache ? bv_level_cache_get(maker->cache, level, &found) : BV_OK;
    if (!error && !found) {
        error = make_tests(level, maker);
        if (!error && maker->cache) keep_tests(level, maker);
    }
    if (!error && level->checker.count)
        error = bv_author_program_create(maker->pool, level->checker.list, &level->checker_program);
    level->complete = !error;
    level->recalled = found;
    return bv_while(error, "making the tests of %s", level->name);
}
