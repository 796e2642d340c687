#include "arena/program.h"

#include "base/memory.h"

#include <string.h>

#define TRIES 3
#define ARGUMENTS_MAX 24
#define FILES_MAX 8

struct bv_program {
    const bv_language *language;
    bv_buffer file; /* the source, or what was compiled of it */
};

/* Runs until the sandbox is at no fault. */
static bv_status run(bv_sandbox_pool *pool, const bv_sandbox_job *job, bv_sandbox_result *result) {
    for (int i = 0; i < TRIES; i++) {
        bv_sandbox_result_free(result);
        BV_TRY(bv_sandbox_run(pool, job, result));
        if (result->verdict != BV_VERDICT_FAULT) return BV_OK;
    }
    return bv_fail(BV_CODE_FAULT, "the sandbox failed %d times: %s", TRIES, result->reason);
}

static void compiler_limits(bv_sandbox_limits *limits) {
    bv_sandbox_limits_default(limits);
    limits->cpu_ns = 10000000000ull;
    limits->wall_ns = 20000000000ull;
    limits->memory_bytes = 512000000;
}

static bv_status compile(bv_sandbox_pool *pool, bv_program *p, const void *source, size_t size,
                         bv_buffer *log, uint64_t *cpu_ns, bool *done) {
    const bv_language *l = p->language;
    const bv_sandbox_file file = {l->source, source, size, false};
    const bv_sandbox_wanted wanted = {l->artefact, 32u << 20};
    bv_sandbox_job job = {
        .argv = l->compile, .files = &file, .file_count = 1, .wanted = &wanted, .wanted_count = 1};
    bv_sandbox_result result = {0};
    compiler_limits(&job.limits);
    bv_error *error = run(pool, &job, &result);
    *done = !error && result.verdict == BV_VERDICT_OK && result.fetched[0].found;
    if (*done)
        bv_buffer_append(&p->file, result.fetched[0].bytes.data, result.fetched[0].bytes.size);
    if (!error && !*done) {
        if (result.verdict != BV_VERDICT_FAILED) bv_buffer_printf(log, "%s\n", result.reason);
        bv_buffer_append(log, result.error.data, result.error.size);
    }
    *cpu_ns += result.cpu_ns;
    if (!error) error = bv_buffer_error(&p->file);
    bv_sandbox_result_free(&result);
    return error;
}

bv_status bv_program_create(bv_sandbox_pool *pool, const char *language, const void *source,
                            size_t size, bv_program **out, bv_buffer *log, uint64_t *cpu_ns) {
    bool done = true;
    *out = NULL;
    bv_program *p = bv_calloc(1, sizeof *p);
    if (!p) return bv_fail_memory("a program");
    p->language = bv_language_find(language);
    BV_ASSERT(p->language);
    bv_error *error = BV_OK;
    if (p->language->compile)
        error = compile(pool, p, source, size, log, cpu_ns, &done);
    else
        bv_buffer_append(&p->file, source, size);
    if (!error) error = bv_buffer_error(&p->file);
    if (!error && done)
        *out = p;
    else
        bv_program_destroy(&p);
    return error;
}

void bv_program_destroy(bv_program **program) {
    if (!*program) return;
    bv_buffer_free(&(*program)->file);
    bv_free(*program);
    *program = NULL;
}

bv_status bv_program_execute(bv_sandbox_pool *pool, const bv_program *p, const bv_program_run *r,
                             bv_sandbox_result *result) {
    const bv_language *l = p->language;
    const char *argv[ARGUMENTS_MAX];
    bv_sandbox_file files[FILES_MAX];
    size_t argc = 0, file_count = 0;
    for (size_t i = 0; l->run[i]; i++) argv[argc++] = l->run[i];
    for (size_t i = 0; r->arguments && r->arguments[i]; i++) {
        BV_ASSERT(argc + 1 < ARGUMENTS_MAX);
        argv[argc++] = r->arguments[i];
    }
    argv[argc] = NULL;
    BV_ASSERT(r->file_count < FILES_MAX);
    files[file_count++] = (bv_sandbox_file){l->compile ? l->artefact : l->source, p->file.data,
                                            p->file.size, l->compile != NULL};
    for (size_t i = 0; i < r->file_count; i++) files[file_count++] = r->files[i];
    const bv_sandbox_job job = {.argv = argv,
                                .limits = r->limits,
                                .files = files,
                                .file_count = file_count,
                                .input = r->input,
                                .input_size = r->input_size};
    return run(pool, &job, result);
}
