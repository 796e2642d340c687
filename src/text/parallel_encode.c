#include "text/parallel_encode.h"

#include "base/memory.h"
#include "text/bpe_encode.h"
#include "text/pieces.h"
#include "text/tokenizer_struct.h"

#define PART_BYTES ((size_t)64 << 10)

typedef struct part {
    size_t begin, end; /* in the text */
    size_t room;       /* where its tokens stand */
    bv_error *error;
} part;

struct bv_parallel_encoder {
    const bv_tokenizer *tokenizer;
    bv_pool *pool;
    bv_encoder *whole;         /* of tokenizers that are not divided */
    bv_bpe_encoder **encoders; /* one a thread */
    const unsigned char *text;
    part *parts;
    bv_token_run *runs;
    size_t part_count, part_capacity;
    uint32_t *tokens;
    size_t token_capacity;
};

bv_status bv_parallel_encoder_create(const bv_tokenizer *tokenizer, bv_pool *pool,
                                     bv_parallel_encoder **out) {
    bv_parallel_encoder *e = *out = bv_calloc(1, sizeof *e);
    if (!e) return bv_fail_memory("an encoder");
    const int threads = bv_pool_threads(pool);
    e->tokenizer = tokenizer;
    e->pool = pool;
    e->encoders = bv_calloc((size_t)threads, sizeof(bv_bpe_encoder *));
    bv_error *error = e->encoders ? BV_OK : bv_fail_memory("an encoder");
    if (!error && tokenizer->kind != BV_TOKENIZER_BPE)
        error = bv_encoder_create(tokenizer, &e->whole);
    for (int i = 0; !error && !e->whole && i < threads; i++)
        error = bv_bpe_encoder_create(tokenizer, &e->encoders[i]);
    if (error) bv_parallel_encoder_destroy(out);
    return error;
}

void bv_parallel_encoder_destroy(bv_parallel_encoder **encoder) {
    bv_parallel_encoder *e = *encoder;
    if (!e) return;
    for (int i = 0; e->encoders && i < bv_pool_threads(e->pool); i++)
        bv_bpe_encoder_destroy(&e->encoders[i]);
    bv_encoder_destroy(&e->whole);
    bv_free(e->encoders);
    bv_free(e->parts);
    bv_free(e->runs);
    bv_free(e->tokens);
    bv_free(e);
    *encoder = NULL;
}

static bv_status add_part(bv_parallel_encoder *e, part p) {
    if (e->part_count == e->part_capacity) {
        const size_t wanted = e->part_capacity ? 2 * e->part_capacity : 64;
        part *parts = bv_realloc(e->parts, wanted * sizeof *parts);
        if (parts) e->parts = parts;
        bv_token_run *runs = parts ? bv_realloc(e->runs, wanted * sizeof *runs) : NULL;
        if (!runs) return bv_fail_memory("tokens");
        e->runs = runs;
        e->part_capacity = wanted;
    }
    e->parts[e->part_count++] = p;
    return BV_OK;
}

static bv_status divide(bv_parallel_encoder *e, size_t size) {
    e->part_count = 0;
    size_t room = 0;
    for (size_t begin = 0, end; begin < size; begin = end) {
        end = begin + bv_pieces_cut(e->text + begin, size - begin, PART_BYTES);
        BV_TRY(add_part(e, (part){.begin = begin, .end = end, .room = room}));
        room += end - begin + BV_BPE_SLACK;
    }
    if (room <= e->token_capacity) return BV_OK;
    bv_free(e->tokens);
    e->tokens = bv_malloc(room * sizeof *e->tokens);
    e->token_capacity = e->tokens ? room : 0;
    return e->tokens ? BV_OK : bv_fail_memory("tokens");
}

static void encode_parts(void *context, int thread, int threads) {
    bv_parallel_encoder *e = context;
    (void)threads;
    for (size_t turn = 0;; turn++) {
        const size_t i = e->pool ? bv_pool_next(e->pool) : turn;
        if (i >= e->part_count) break;
        part *p = &e->parts[i];
        uint32_t *tokens = e->tokens + p->room;
        e->runs[i].tokens = tokens;
        p->error = bv_bpe_encode(e->encoders[thread], e->text + p->begin, p->end - p->begin, tokens,
                                 &e->runs[i].count);
    }
}

bv_status bv_parallel_encode(bv_parallel_encoder *e, const void *text, size_t size,
                             const bv_token_run **runs, size_t *count) {
    e->text = text;
    *count = 0;
    if (e->whole) {
        e->part_count = 0;
        BV_TRY(add_part(e, (part){0}));
        BV_TRY(bv_encoder_encode(e->whole, text, size, &e->runs[0].tokens, &e->runs[0].count));
    } else {
        BV_TRY(divide(e, size));
        bv_pool_run(e->pool, encode_parts, e);
    }
    bv_error *first = BV_OK;
    for (size_t i = 0; i < e->part_count; i++) {
        if (!first)
            first = e->parts[i].error;
        else
            bv_error_free(&e->parts[i].error);
    }
    *runs = e->runs;
    *count = e->part_count;
    return first;
}
