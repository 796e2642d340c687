#include "arena/samples.h"

#include "base/file.h"
#include "base/gzip.h"
#include "base/json.h"

#include <string.h>

#define FILE_BYTES_MAX (1ull << 30)

bv_status bv_samples_add(bv_samples *samples, const bv_problem *problem, const char *completion,
                         size_t size) {
    if (!bv_list_grow((void **)&samples->list, samples->count, &samples->capacity,
                      sizeof(bv_sample)))
        return bv_fail_memory("samples");
    if (size > BV_COMPLETION_BYTES_MAX)
        return bv_fail(BV_CODE_INPUT, "a completion of %s has %zu bytes, %u are allowed",
                       problem->id, size, BV_COMPLETION_BYTES_MAX);
    bv_sample *sample = &samples->list[samples->count];
    *sample = (bv_sample){.problem = problem, .completion = bv_malloc(size + 1), .size = size};
    if (!sample->completion) return bv_fail_memory("a sample");
    memcpy(sample->completion, completion, size);
    sample->completion[size] = 0;
    samples->count++;
    return BV_OK;
}

bv_status bv_samples_canonical(const bv_problem_set *set, bv_samples *out) {
    for (size_t i = 0; i < set->count; i++) {
        const bv_problem *p = &set->list[i];
        BV_TRY(bv_samples_add(out, p, p->canonical, strlen(p->canonical)));
    }
    return BV_OK;
}

static bv_status read_members(const json_t *line, const char **id, const char **completion) {
    if (!json_is_object(line)) return bv_fail(BV_CODE_INPUT, "it is no object");
    BV_TRY(bv_json_get_string(line, "task_id", id));
    return bv_json_get_string(line, "completion", completion);
}

typedef struct reading {
    const bv_problem_set *set;
    bv_samples *out;
} reading;

static bv_status add_line(void *context, const json_t *line) {
    const reading *r = context;
    const bv_problem_set *set = r->set;
    const char *id, *completion;
    BV_TRY(bv_try(read_members(line, &id, &completion),
                  "{\"task_id\": \"%s\", \"completion\": \"...\"} on each line", set->list[0].id));
    const bv_problem *problem = bv_problem_find(set, id);
    if (problem) return bv_samples_add(r->out, problem, completion, strlen(completion));
    return bv_try(bv_fail(BV_CODE_INPUT, "%s has no problem \"%.80s\"", set->name, id), "\"%s\"",
                  set->list[0].id);
}

bv_status bv_samples_read(const bv_problem_set *set, const char *path, bv_samples *out) {
    bv_buffer text = {0};
    reading r = {set, out};
    bv_error *error = bv_gzip_read(path, FILE_BYTES_MAX, &text);
    if (!error) error = bv_json_lines(&text, path, add_line, &r);
    if (!error && out->count == 0) error = bv_fail(BV_CODE_INPUT, "%s has no samples", path);
    bv_buffer_free(&text);
    return error;
}

void bv_samples_truncate(bv_samples *samples, const bv_problem_set *set) {
    for (size_t i = 0; i < samples->count; i++) {
        bv_sample *s = &samples->list[i];
        s->size = bv_problem_truncate(set, s->completion, s->size);
        s->completion[s->size] = 0;
    }
}

static bv_status write_line(const bv_sample *s, bv_writer *file) {
    bv_buffer text = {0};
    const bv_code_result *r = &s->result;
    const bool passed = r->verdict == BV_CODE_PASSED;
    double reward = 0;
    bv_error *refused = bv_code_result_reward(r, &reward); /* then it is null */
    json_t *line =
        json_pack("{ss ss% sb ss ss sb so}", "task_id", s->problem->id, "completion", s->completion,
                  s->size, "passed", passed, "result", passed ? "passed" : r->message, "verdict",
                  bv_code_verdict_name(r->verdict), "forgeable", r->forgeable, "reward",
                  refused ? json_null() : json_real(reward));
    bv_error_free(&refused);
    bv_error *error = bv_json_text(line, 0, &text);
    bv_buffer_text(&text, "\n");
    if (!error) error = bv_buffer_error(&text);
    if (!error) error = bv_writer_write(file, text.data, text.size);
    json_decref(line);
    bv_buffer_free(&text);
    return error;
}

bv_status bv_samples_write(const bv_samples *samples, const char *path) {
    bv_writer *file;
    BV_TRY(bv_writer_open(path, &file));
    bv_error *error = BV_OK;
    for (size_t i = 0; !error && i < samples->count; i++)
        error = write_line(&samples->list[i], file);
    if (!error) return bv_writer_commit(&file);
    bv_writer_abort(&file);
    return error;
}

void bv_samples_free(bv_samples *samples) {
    for (size_t i = 0; i < samples->count; i++) bv_free(samples->list[i].completion);
    bv_free(samples->list);
    *samples = (bv_samples){0};
}
