#include "arena/level_check.h"

#include "base/clock.h"

#include <stdio.h>

/* A wrong solution that never ran says nothing about the tests. */
static bool is_good(const bv_level_check_row *row) {
    if (row->reference) return row->verdict == BV_LEVEL_ACCEPTED;
    return row->verdict != BV_LEVEL_ACCEPTED && row->verdict != BV_LEVEL_NOT_COMPILED &&
           row->verdict != BV_LEVEL_REFUSED;
}

static void read_judgement(const bv_level_judgement *j, bv_level_check_row *row) {
    row->verdict = j->verdict;
    row->score = j->score;
    snprintf(row->message, sizeof row->message, "%s", j->message.data ? j->message.data : "");
    for (size_t i = 0; i < j->result_count; i++) {
        const bv_level_test_result *r = &j->results[i];
        if (r->cpu_ns > row->cpu_ns_max) row->cpu_ns_max = r->cpu_ns;
        if (row->test || r->verdict == BV_LEVEL_ACCEPTED) continue;
        row->test = r->test;
        snprintf(row->message, sizeof row->message, "%s", r->message);
    }
    row->good = is_good(row);
}

bv_status bv_level_check_judge(bv_sandbox_pool *pool, const bv_level *level,
                               bv_level_check_row *row) {
    const bv_level_program *solution = row->solution;
    const bv_judge_tools tools = {.pool = pool};
    bv_level_judgement judgement = {0};
    bv_error *error = bv_judge_level(&tools, level, solution->language, solution->source.data,
                                     solution->source.size, &judgement);
    if (!error) read_judgement(&judgement, row);
    bv_level_judgement_free(&judgement);
    return bv_while(error, "judging %s", solution->name);
}

bv_status bv_level_check_begin(const bv_level *level, bv_level_check *out) {
    const bv_level_programs *right = &level->references, *wrong = &level->wrongs;
    *out = (bv_level_check){0};
    out->rows = bv_calloc(right->count + wrong->count, sizeof *out->rows);
    if (!out->rows) return bv_fail_memory("the check of a level");
    for (size_t i = 0; i < right->count; i++)
        out->rows[out->count++] = (bv_level_check_row){&right->list[i], .reference = true};
    for (size_t i = 0; i < wrong->count; i++)
        out->rows[out->count++] = (bv_level_check_row){&wrong->list[i], .reference = false};
    return BV_OK;
}

static bool has_same_answers(const bv_level *level) {
    size_t same = 0;
    for (size_t i = 0; i < level->test_count; i++)
        same += bv_buffer_equal(&level->tests[i].answer, &level->tests[0].answer);
    return same == level->test_count && !level->checker.count;
}

static size_t count_repeated(const bv_level *level) {
    size_t count = 0;
    for (size_t i = level->visible_count; i < level->test_count; i++) {
        size_t k = 0;
        while (k < i && !bv_buffer_equal(&level->tests[k].input, &level->tests[i].input)) k++;
        count += k < i;
    }
    return count;
}

void bv_level_check_end(const bv_level *level, bv_level_check *check) {
    check->good = true;
    check->same_answers = has_same_answers(level);
    check->closed = level->deadline_ms && bv_clock_wall_ms() > level->deadline_ms;
    check->repeated = count_repeated(level);
    for (size_t i = 0; i < check->count; i++) {
        const bv_level_check_row *row = &check->rows[i];
        check->good = check->good && row->good;
        if (row->reference && 2 * row->cpu_ns_max > level->limits.cpu_ns) check->tight = true;
    }
}

void bv_level_check_free(bv_level_check *check) {
    bv_free(check->rows);
    *check = (bv_level_check){0};
}
