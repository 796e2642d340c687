#include "arena/author_program.h"

#include <string.h>

static void author_limits(bv_sandbox_limits *limits) {
    bv_sandbox_limits_default(limits);
    limits->cpu_ns = 10000000000ull;
    limits->wall_ns = 20000000000ull;
    limits->memory_bytes = 512000000;
    limits->output_bytes = BV_LEVEL_TEST_BYTES_MAX;
    limits->files_bytes = 4ull * BV_LEVEL_TEST_BYTES_MAX;
}

/* The end of a log, for an error's text. */
static const char *tail(const bv_buffer *log) {
    const size_t most = 600;
    return !log->size ? "" : log->size > most ? log->data + log->size - most : log->data;
}

bv_status bv_author_program_wrote(bv_error *error, const bv_sandbox_result *result) {
    return result->error.size ? bv_while(error, "it wrote:\n%s", tail(&result->error)) : error;
}

bv_status bv_author_program_create(bv_sandbox_pool *pool, const bv_level_program *source,
                                   bv_program **out) {
    bv_buffer log = {0};
    uint64_t cpu_ns = 0;
    const bv_program_source text = {source->language, source->source.data, source->source.size};
    bv_error *error = bv_program_create(pool, &text, out, &log, &cpu_ns);
    if (!error && !*out)
        error = bv_fail(BV_CODE_INPUT, "%s does not compile:\n%s", source->name, tail(&log));
    bv_buffer_free(&log);
    return error;
}

/* Exit code 1 is an answer, and also how Python ends with an exception that nobody caught: then a
 * line says where. */
static bool is_exception(const bv_buffer *log) {
    static const char line[] = "  File \"";
    const char *at = log->size ? memmem(log->data, log->size, line, sizeof line - 1) : NULL;
    return at && (at == log->data || at[-1] == '\n');
}

bv_status bv_author_program_run(bv_sandbox_pool *pool, const bv_level_program *source,
                                const bv_program *program, const bv_program_run *run,
                                bv_sandbox_result *result) {
    bv_program_run mine = *run;
    author_limits(&mine.limits);
    BV_TRY(bv_while(bv_program_execute(pool, program, &mine, result), "running %s", source->name));
    if (result->verdict == BV_VERDICT_OK) return BV_OK;
    if (result->verdict == BV_VERDICT_FAILED && result->exit_code == 1 &&
        !is_exception(&result->error))
        return BV_OK;
    bv_error *error =
        bv_fail(BV_CODE_FAULT, "%s ended with the verdict %s, exit code %d, signal %d: %s",
                source->name, bv_sandbox_verdict_name(result->verdict), result->exit_code,
                result->signal, result->reason);
    return bv_author_program_wrote(error, result);
}
