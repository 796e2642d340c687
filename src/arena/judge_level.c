#include "arena/judge_level.h"

#include "arena/author_program.h"
#include "base/clock.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>

#define LOG_BYTES_MAX 4000 /* of a compiler's log that is shown */

static const char *const names[BV_LEVEL_VERDICT_COUNT] = {
    "accepted", "wrong-answer", "failed", "time",           "wall",         "memory",
    "pids",     "output",       "disk",   "forbidden-call", "not-compiled", "refused"};

const char *bv_level_verdict_name(bv_level_verdict verdict) {
    BV_ASSERT((unsigned)verdict < BV_LEVEL_VERDICT_COUNT);
    return names[verdict];
}

/* One judging: what is made once for all tests. */
typedef struct judging {
    const bv_judge_tools *tools;
    const bv_level *level;
    bv_program_loan program;
    bv_level_judgement *out;
} judging;

/* ---- what is refused ---- */

static void refuse(bv_level_judgement *out, bv_level_verdict verdict, const char *text) {
    out->verdict = verdict;
    bv_buffer_text(&out->message, text);
}

static void refuse_language(const bv_level *level, const char *language, bv_level_judgement *out) {
    const char *near = bv_suggest(language, level->languages, level->language_count);
    refuse(out, BV_LEVEL_REFUSED, "the language ");
    bv_buffer_printf(&out->message, "\"%.40s\" is not accepted here", language);
    if (near) bv_buffer_printf(&out->message, " (did you mean \"%s\"?)", near);
    bv_buffer_text(&out->message, "; accepted:");
    for (size_t i = 0; i < level->language_count; i++)
        bv_buffer_printf(&out->message, "%s %s", i ? "," : "", level->languages[i]);
}

/* True when there is something to judge. */
static bool accept_source(const bv_level *level, const char *language, const void *source,
                          size_t size, bv_level_judgement *out) {
    if (!bv_level_accepts(level, language)) {
        refuse_language(level, language, out);
    } else if (size == 0) {
        refuse(out, BV_LEVEL_REFUSED, "the source is empty");
    } else if (size > BV_SOURCE_BYTES_MAX) {
        refuse(out, BV_LEVEL_REFUSED, "the source is too large: ");
        bv_buffer_printf(&out->message, "%zu bytes, %u are allowed", size, BV_SOURCE_BYTES_MAX);
    } else if (bv_level_is_binary(language)) {
        return true;
    } else if (memchr(source, 0, size)) {
        refuse(out, BV_LEVEL_REFUSED, "the source has a zero byte");
    } else if (bv_utf8_valid_prefix(source, size) != size) {
        refuse(out, BV_LEVEL_REFUSED, "the source is not UTF-8: ");
        bv_buffer_printf(&out->message, "see byte %zu", bv_utf8_valid_prefix(source, size));
    } else {
        return true;
    }
    return false;
}

/* What no box of this level could hold: a source, or what its compiler made of it. */
static bool accept_program(const bv_level *level, const bv_program *program,
                           bv_level_judgement *out) {
    const uint64_t bytes = bv_program_file_bytes(program), most = level->limits.files_bytes;
    if (bytes <= most) return true;
    refuse(out, BV_LEVEL_REFUSED, "the program is too large: ");
    bv_buffer_printf(&out->message, "%llu bytes, the level allows %llu of files",
                     (unsigned long long)bytes, (unsigned long long)most);
    return false;
}

/* Appends at most `most` bytes as valid UTF-8 text: what is not, as question marks. */
static void append_text(bv_buffer *out, const bv_buffer *text, size_t most) {
    const size_t size = text->size < most ? text->size : most;
    bv_text_utf8(out, text->data, size, "?");
    for (char *p = out->data; p && (p = memchr(p, 0, out->size - (size_t)(p - out->data)));)
        *p = '?';
    if (size < text->size) bv_buffer_text(out, "\n...");
}

/* Appends the last `most` bytes so, from where a line begins in them. */
static void append_end(bv_buffer *out, const bv_buffer *text, size_t most) {
    if (!text->size) return;
    size_t from = text->size > most ? text->size - most : 0;
    const char *line = from ? memchr(text->data + from, '\n', most - 1) : NULL;
    if (line) from = (size_t)(line + 1 - text->data);
    if (from) bv_buffer_text(out, "...\n");
    append_text(out, &(bv_buffer){.data = text->data + from, .size = text->size - from}, most);
}

/* ---- one test ---- */

bv_status bv_judge_by_checker(bv_sandbox_pool *pool, const bv_level *level,
                              const bv_level_test *test, const bv_buffer *output,
                              bv_level_test_result *out, uint64_t *cpu_ns) {
    const bv_level_program *source = level->checker.list;
    const bv_sandbox_file files[] = {
        {.name = "input", .bytes = test->input.data, .size = test->input.size},
        {.name = "output", .bytes = output->data, .size = output->size},
        {.name = "answer", .bytes = test->answer.data, .size = test->answer.size}};
    const char *arguments[] = {"input", "output", "answer", NULL};
    const bv_program_run run = {.arguments = arguments, .files = files, .file_count = 3};
    bv_sandbox_result result = {0};
    bv_buffer text = {0};
    bv_error *error = bv_author_program_run(pool, source, level->checker_program, &run, &result);
    if (!error && result.exit_code != 0) {
        out->verdict = BV_LEVEL_WRONG_ANSWER;
        append_text(&text, &result.output, 300);
        if (text.size) text.data[strcspn(text.data, "\n")] = 0;
        snprintf(out->message, sizeof out->message, "%s", text.size ? text.data : "wrong answer");
    }
    *cpu_ns += result.cpu_ns;
    bv_buffer_free(&text);
    bv_sandbox_result_free(&result);
    return bv_while(error, "checking %s of %s", test->name, level->name);
}

static bv_status check_output(const judging *j, const bv_level_test *test, const bv_buffer *output,
                              bv_level_test_result *out) {
    bv_answer_difference difference;
    if (j->level->checker_program)
        return bv_judge_by_checker(j->tools->pool, j->level, test, output, out, &j->out->cpu_ns);
    if (bv_answer_matches(&j->level->check, output->data, output->size, test->answer.data,
                          test->answer.size, &difference))
        return BV_OK;
    out->verdict = BV_LEVEL_WRONG_ANSWER;
    snprintf(out->message, sizeof out->message, "%s", difference.text);
    return BV_OK;
}

/* Why the program did not end well, and how its errors end: there a traceback tells what it was. */
static void tell_failure(const bv_sandbox_result *result, bv_level_test_result *out) {
    bv_buffer text = {0};
    bv_buffer_text(&text, result->reason);
    if (result->error.size) bv_buffer_text(&text, text.size ? "; it wrote: " : "it wrote: ");
    append_end(&text, &result->error, 250);
    if (text.size) snprintf(out->message, sizeof out->message, "%s", text.data);
    const size_t valid = bv_utf8_valid_prefix(out->message, strlen(out->message));
    out->message[valid] = 0; /* the end may have been cut inside a character */
    bv_buffer_free(&text);
}

static bv_status run_test(const judging *j, const bv_level_test *test, bv_level_test_result *out) {
    bv_sandbox_result result = {0};
    const bv_program_run run = {
        .input = test->input.data, .input_size = test->input.size, .limits = j->level->limits};
    *out = (bv_level_test_result){.test = test};
    uint64_t begin = bv_clock_ns();
    bv_error *error = bv_program_execute(j->tools->pool, j->program.program, &run, &result);
    j->out->run_wall_ns += bv_clock_ns() - begin;
    j->out->run_count++;
    begin = bv_clock_ns();
    if (!error) {
        out->cpu_ns = result.cpu_ns;
        out->wall_ns = result.wall_ns;
        out->peak_memory_bytes = result.peak_memory_bytes;
        j->out->cpu_ns += result.cpu_ns;
    }
    if (!error && result.verdict != BV_VERDICT_OK) {
        out->verdict = BV_LEVEL_FAILED + (result.verdict - BV_VERDICT_FAILED);
        tell_failure(&result, out);
    } else if (!error) {
        error = check_output(j, test, &result.output, out);
    }
    j->out->check_wall_ns += bv_clock_ns() - begin;
    bv_sandbox_result_free(&result);
    return error;
}

/* ---- all tests ---- */

static bv_status run_tests(judging *j) {
    const bv_level *level = j->level;
    bv_level_judgement *out = j->out;
    const bool all = level->scoring == BV_SCORING_ALL;
    out->results = bv_calloc(level->test_count, sizeof *out->results);
    if (!out->results) return bv_fail_memory("results of tests");
    for (size_t i = 0; i < level->test_count; i++) {
        bv_level_test_result *result = &out->results[out->result_count];
        BV_TRY(run_test(j, &level->tests[i], result));
        out->result_count++;
        if (result->verdict == BV_LEVEL_ACCEPTED) {
            out->passed += !level->tests[i].visible;
            continue;
        }
        if (out->verdict == BV_LEVEL_ACCEPTED) out->verdict = result->verdict;
        if (all) break;
    }
    const size_t hidden = level->test_count - level->visible_count;
    if (!all)
        out->score = level->points * (int64_t)out->passed / (int64_t)hidden;
    else if (out->verdict == BV_LEVEL_ACCEPTED)
        out->score = level->points;
    return BV_OK;
}

static bv_status judge(judging *j, const bv_program_source *source) {
    bv_buffer log = {0};
    bv_level_judgement *out = j->out;
    const uint64_t begin = bv_clock_ns();
    bv_error *error = bv_program_cache_take(j->tools->programs, j->tools->pool, source, &j->program,
                                            &log, &out->cpu_ns);
    out->compile_wall_ns = bv_clock_ns() - begin;
    if (!error && !j->program.program) {
        out->verdict = BV_LEVEL_NOT_COMPILED;
        append_text(&out->message, &log, LOG_BYTES_MAX);
    }
    bv_buffer_free(&log);
    if (!error && j->program.program && accept_program(j->level, j->program.program, out))
        error = run_tests(j);
    return error;
}

bv_status bv_judge_level(const bv_judge_tools *tools, const bv_level *level, const char *language,
                         const void *source, size_t size, bv_level_judgement *out) {
    judging j = {.tools = tools, .level = level, .out = out};
    if (!accept_source(level, language, source, size, out)) return bv_buffer_error(&out->message);
    BV_ASSERT(level->complete);
    bv_error *error = judge(&j, &(bv_program_source){language, source, size});
    if (!error) error = bv_buffer_error(&out->message);
    bv_program_cache_give(tools->programs, &j.program);
    return bv_while(error, "judging a solution of %s", level->name);
}

void bv_level_judgement_free(bv_level_judgement *judgement) {
    bv_free(judgement->results);
    bv_buffer_free(&judgement->message);
    *judgement = (bv_level_judgement){0};
}

/* ---- for the submitter ---- */

static json_t *result_json(const bv_level_test_result *r, size_t number) {
    const char *verdict = bv_level_verdict_name(r->verdict);
    if (!r->test->visible)
        return json_pack("{sb sI ss}", "visible", 0, "number", (json_int_t)number, "verdict",
                         verdict);
    return json_pack("{sb sI ss sf sI ss}", "visible", 1, "number", (json_int_t)number, "verdict",
                     verdict, "cpu_ms", (double)(r->cpu_ns / 1000000), "memory_bytes",
                     (json_int_t)r->peak_memory_bytes, "message", r->message);
}

json_t *bv_level_judgement_json(const bv_level *level, const bv_level_judgement *judgement) {
    json_t *tests = json_array();
    const size_t visible = level->visible_count;
    for (size_t i = 0; tests && i < judgement->result_count; i++) {
        const size_t number = i < visible ? i + 1 : i - visible + 1;
        json_array_append_new(tests, result_json(&judgement->results[i], number));
    }
    return json_pack("{ss sI sI sI sI ss so}", "verdict", bv_level_verdict_name(judgement->verdict),
                     "score", (json_int_t)judgement->score, "points", (json_int_t)level->points,
                     "passed", (json_int_t)judgement->passed, "total",
                     (json_int_t)(level->test_count - visible), "message",
                     judgement->message.data ? judgement->message.data : "", "tests", tests);
}
