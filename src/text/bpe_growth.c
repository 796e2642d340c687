#include "text/bpe_growth.h"

#include "base/memory.h"
#include "text/bpe_merge.h"
#include "text/tokenizer_struct.h"

struct bv_bpe_growth {
    bv_tokenizer *tokenizer; /* that knows the merges so far */
    bv_merger *merger;
    uint32_t *parts;
    bv_pair *merges;
    size_t count, most;
};

bv_status bv_bpe_growth_create(size_t most, bv_bpe_growth **out) {
    *out = NULL;
    if (most > BV_MERGES_MAX)
        return bv_fail(BV_CODE_INPUT, "%zu merges are more than %zu", most, BV_MERGES_MAX);
    bv_bpe_growth *g = *out = bv_calloc(1, sizeof *g);
    if (!g) return bv_fail_memory("merges");
    g->most = most;
    g->parts = bv_malloc(BV_GROWTH_BYTES_MAX * sizeof *g->parts);
    g->merges = bv_calloc(most + 1, sizeof *g->merges);
    bv_error *error = g->parts && g->merges ? BV_OK : bv_fail_memory("merges");
    if (!error) error = bv_tokenizer_bpe("gpt2", NULL, 0, &g->tokenizer);
    if (!error) {
        bv_merge_table_destroy(&g->tokenizer->ranks);
        error = bv_merge_table_create(most, &g->tokenizer->ranks);
    }
    if (!error) error = bv_merger_create(g->tokenizer, &g->merger);
    if (error) bv_bpe_growth_destroy(out);
    return error;
}

void bv_bpe_growth_destroy(bv_bpe_growth **growth) {
    bv_bpe_growth *g = *growth;
    if (!g) return;
    bv_merger_destroy(&g->merger);
    bv_tokenizer_destroy(&g->tokenizer);
    bv_free(g->parts);
    bv_free(g->merges);
    bv_free(g);
    *growth = NULL;
}

bv_status bv_bpe_growth_parts(bv_bpe_growth *g, const void *bytes, size_t size,
                              const uint32_t **parts, size_t *count) {
    BV_ASSERT(size > 0 && size <= BV_GROWTH_BYTES_MAX);
    *parts = g->parts;
    if (bv_merge_piece(g->merger, bytes, size, g->parts, count)) return BV_OK;
    return bv_fail_memory("merges");
}

void bv_bpe_growth_add(bv_bpe_growth *g, bv_pair pair) {
    bv_tokenizer *t = g->tokenizer;
    const uint32_t rank = (uint32_t)g->count;
    BV_ASSERT(g->count < g->most);
    const bool is_new = bv_merge_table_add(t->ranks, pair, rank);
    BV_ASSERT(is_new);
    if ((pair.left | pair.right) < 256) t->byte_pairs[pair.left << 8 | pair.right] = rank;
    g->merges[g->count++] = pair;
}

const bv_pair *bv_bpe_growth_merges(const bv_bpe_growth *g, size_t *count) {
    *count = g->count;
    return g->merges;
}
