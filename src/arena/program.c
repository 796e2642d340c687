#include "arena/program.h"

#include "arena/language.h"
#include "base/memory.h"

#define ARGUMENTS_MAX 80
#define FILES_MAX 8

struct bv_program {
    bv_artifact artifact;
};

/* A fault of ours that bv_sandbox_run could not mend by running again. */
static bv_status check_sandbox(const bv_sandbox_result *result) {
    if (result->verdict != BV_VERDICT_FAULT) return BV_OK;
    return bv_fail(BV_CODE_FAULT, "the sandbox failed: %s", result->reason);
}

/* What the author of a source that did not compile has to know. */
static void put_log(const bv_sandbox_result *result, bv_buffer *log) {
    if (result->verdict != BV_VERDICT_FAILED) bv_buffer_printf(log, "%s\n", result->reason);
    bv_buffer_append(log, result->error.data, result->error.size);
    bv_buffer_append(log, result->output.data, result->output.size);
}

bv_status bv_program_create(bv_sandbox_pool *pool, const bv_program_source *source,
                            bv_program **out, bv_buffer *log, uint64_t *cpu_ns) {
    const bv_language *l = bv_language_find(source->language);
    const bv_sandbox_file file = {
        .name = l ? l->source : "", .bytes = source->bytes, .size = source->size};
    bv_sandbox_result result = {0};
    *out = NULL;
    BV_ASSERT(l);
    bv_program *program = bv_calloc(1, sizeof *program);
    bv_error *error = program ? BV_OK : bv_fail_memory("a program");
    if (!error) error = bv_language_compile(pool, l, &file, 1, &program->artifact, &result);
    if (!error) error = check_sandbox(&result);
    const bool done = !error && result.verdict == BV_VERDICT_OK;
    if (!error && !done) put_log(&result, log);
    *cpu_ns += result.cpu_ns;
    if (!error) error = bv_buffer_error(log);
    bv_sandbox_result_free(&result);
    if (!error && done)
        *out = program;
    else if (program)
        bv_program_destroy(&program);
    return error;
}

void bv_program_destroy(bv_program **program) {
    if (!*program) return;
    bv_artifact_free(&(*program)->artifact);
    bv_free(*program);
    *program = NULL;
}

size_t bv_program_bytes(const bv_program *program) {
    size_t bytes = 0;
    for (size_t i = 0; i < program->artifact.file_count; i++) {
        const bv_sandbox_file *f = &program->artifact.files[i];
        bytes += f->sealed > 0 ? 2 * f->size : f->size;
    }
    return bytes;
}

size_t bv_program_open_files(const bv_program *program) {
    size_t files = 0;
    for (size_t i = 0; i < program->artifact.file_count; i++)
        files += program->artifact.files[i].sealed > 0;
    return files;
}

size_t bv_program_file_bytes(const bv_program *program) {
    size_t bytes = 0;
    for (size_t i = 0; i < program->artifact.file_count; i++)
        bytes += program->artifact.files[i].size;
    return bytes;
}

bv_status bv_program_execute(bv_sandbox_pool *pool, const bv_program *program,
                             const bv_program_run *run, bv_sandbox_result *result) {
    const char *argv[ARGUMENTS_MAX];
    bv_sandbox_file files[FILES_MAX];
    bv_sandbox_job job = {
        .limits = run->limits, .input = run->input, .input_size = run->input_size};
    size_t argc = 0, file_count = 0;
    bv_language_job(&program->artifact, &job);
    for (; job.argv[argc]; argc++) argv[argc] = job.argv[argc];
    for (size_t i = 0; run->arguments && run->arguments[i]; i++) argv[argc++] = run->arguments[i];
    BV_ASSERT(argc < ARGUMENTS_MAX && job.file_count + run->file_count <= FILES_MAX);
    argv[argc] = NULL;
    for (size_t i = 0; i < job.file_count; i++) files[file_count++] = job.files[i];
    for (size_t i = 0; i < run->file_count; i++) files[file_count++] = run->files[i];
    job.argv = argv;
    job.warm_python = job.warm_python && !run->arguments; /* it knows none */
    job.files = files;
    job.file_count = file_count;
    BV_TRY(bv_sandbox_run(pool, &job, result));
    return check_sandbox(result);
}
