/*
 * Bits of attention at the best level: rows alone and in chunks against whole sequences, pages
 * against contiguous rows, and rows that do not see a NaN against the same run without it.
 */
#include "kernel/attention_problem.h"

#define NONE SIZE_MAX

static const bv_kernels *best(void) {
    size_t count;
    const bv_kernels *const *all = bv_kernels_all(&count), *found = NULL;
    for (size_t i = 0; i < count; i++)
        if (bv_kernels_usable(all[i])) found = all[i];
    return found;
}

/* Chunks of at most `most` rows. */
static void compare_chunks(const problem *p, const bv_kernels *kernels, const outcome *whole,
                           size_t most) {
    chunk *list = test_malloc(p->queries * sizeof *list);
    size_t count = 0;
    for (size_t s = 0; s < p->count; s++)
        for (size_t r = 0; r < p->rows[s]; r += list[count++].rows) {
            const size_t left = p->rows[s] - r, rows = random_size(1, most);
            list[count] = (chunk){s, r, rows < left ? rows : left};
        }
    outcome o = run_chunks(p, kernels, list, count, true);
    compare_outcomes(p, kernels->level, &o, whole, NULL, NULL);
    forget(&o);
    test_free(list);
}

static void test_alone_in_chunks_and_whole(void **state) {
    (void)state;
    for (int i = 0; i < 40; i++) {
        problem p = random_problem(i % 2, false);
        for (size_t s = 0; s < p.count; s++) p.position[s] = 0;
        fill(&p);
        outcome whole = run(&p, best(), false), paged = run(&p, best(), true);
        compare_outcomes(&p, "pages", &paged, &whole, NULL, NULL);
        compare_chunks(&p, best(), &whole, 1);
        compare_chunks(&p, best(), &whole, 5);
        compare_chunks(&p, best(), &whole, 100);
        forget(&paged);
        forget(&whole);
        clear(&p);
    }
}

/* More heads than one row takes together. */
static void test_many_heads(void **state) {
    (void)state;
    for (int i = 0; i < 8; i++) {
        problem p = {.heads = i < 4 ? 70 : 140,
                     .kv_heads = 70,
                     .d = 3,
                     .count = 1,
                     .rows = {66},
                     .half = i % 2,
                     .spread = 1};
        fill(&p);
        outcome whole = run(&p, best(), false);
        compare_chunks(&p, best(), &whole, 1);
        forget(&whole);
        clear(&p);
    }
}

/* Which queries see a bad key (or are bad themselves), and which keys those see. */
static void mark(const problem *p, size_t query, size_t key, bool *queries, bool *keys) {
    for (size_t s = 0; s < p->count; s++)
        for (size_t r = 0; r < p->rows[s]; r++) {
            const size_t row = p->row[s] + r;
            const bool here = key != NONE && key >= p->key[s] && key - p->key[s] <= r;
            queries[row] = row == query || (here && visible(p, s, r, key - p->key[s]));
            for (size_t j = 0; j <= r && queries[row]; j++)
                if (visible(p, s, r, j)) keys[p->key[s] + j] = true;
        }
}

static void spoil(float *x, size_t row, size_t cols, float bad) {
    for (size_t i = 0; i < cols; i++) x[row * cols + i] = bad;
}

/* Values whose sum, under equal weights, shows the order of the two elements of each pair even
 * after rounding to bf16: most pairs of keys are 2^24 and -2^24. */
static void cancel_pairs(problem *p) {
    const size_t cols = p->kv_heads * p->d;
    for (size_t s = 0; s < p->count; s++)
        for (size_t j = 0; j + 1 < p->rows[s]; j += 2) {
            if (j % 8 == 0) continue;
            float *even = p->v + (p->key[s] + j) * cols, *odd = even + cols;
            for (size_t e = 0; e < cols; e++) {
                even[e] = e % 2 ? 0x1p24f : -0x1p24f;
                odd[e] = -even[e];
            }
        }
}

/* A NaN or infinite row of q, k, v or dout changes nothing where it is not seen. */
static void test_unseen_values_do_not_leak(void **state) {
    (void)state;
    for (int i = 0; i < 64; i++) {
        problem p = random_problem(i % 2, true);
        const bool pairs = i % 4 == 1;
        p.rows[0] = random_size(20, 140);
        if (pairs) p.spread = 0;
        fill(&p);
        if (pairs) cancel_pairs(&p);
        outcome clean = run(&p, best(), false);
        bool *queries = test_malloc(p.queries), *keys = test_malloc(p.keys);
        memset(queries, 0, p.queries);
        memset(keys, 0, p.keys);
        const size_t row = random_size(0, p.rows[0] - 1), which = pairs ? 3 : random_word() % 4;
        const size_t cols = p.heads * p.d, kv_cols = p.kv_heads * p.d;
        const float bad = random_word() % 2 ? (float)NAN : (float)INFINITY;
        if (which < 2)
            spoil(which ? p.q : p.dout, row, cols, bad);
        else
            spoil(which == 2 ? p.k : p.v, row, kv_cols, bad);
        mark(&p, which < 2 ? row : NONE, which < 2 ? NONE : row, queries, keys);
        outcome spoilt = run(&p, best(), false);
        compare_outcomes(&p, "spoilt", &spoilt, &clean, queries, keys);
        test_free(queries);
        test_free(keys);
        forget(&spoilt);
        forget(&clean);
        clear(&p);
    }
}

int main(void) {
    random_begin(SEED, 2);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alone_in_chunks_and_whole),
        cmocka_unit_test(test_many_heads),
        cmocka_unit_test(test_unseen_values_do_not_leak),
    };
    const unsigned saved = bv_float_enter();
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    bv_float_leave(saved);
    return failed;
}
