#include "arena/level_check.h"

#include <stdio.h>
#include <string.h>

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
    row->good = row->reference == (j->verdict == BV_LEVEL_ACCEPTED);
}

static bv_status judge(bv_sandbox_pool *pool, const bv_level *level,
                       const bv_level_program *solution, bool reference, bv_level_check *out) {
    bv_level_judgement judgement = {0};
    bv_level_check_row *row = &out->rows[out->count++];
    *row = (bv_level_check_row){.solution = solution, .reference = reference};
    bv_error *error = bv_judge_level(pool, level, solution->language, solution->source.data,
                                     solution->source.size, &judgement);
    if (!error) read_judgement(&judgement, row);
    bv_level_judgement_free(&judgement);
    out->good = out->good && row->good;
    if (reference && 2 * row->cpu_ns_max > level->limits.cpu_ns) out->tight = true;
    return bv_while(error, "judging %s", solution->name);
}

bv_status bv_level_check_run(bv_sandbox_pool *pool, const bv_level *level, bv_level_check *out) {
    const bv_level_programs *right = &level->references, *wrong = &level->wrongs;
    *out = (bv_level_check){.good = true};
    out->rows = bv_calloc(right->count + wrong->count, sizeof *out->rows);
    if (!out->rows) return bv_fail_memory("the check of a level");
    bv_error *error = BV_OK;
    for (size_t i = 0; !error && i < right->count; i++)
        error = judge(pool, level, &right->list[i], true, out);
    for (size_t i = 0; !error && i < wrong->count; i++)
        error = judge(pool, level, &wrong->list[i], false, out);
    return error;
}

void bv_level_check_free(bv_level_check *check) {
    bv_free(check->rows);
    *check = (bv_level_check){0};
}
