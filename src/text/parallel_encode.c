#include "text/parallel_encode.h"

#include "base/memory.h"
#include "text/pieces.h"
#include "text/tokenizer_struct.h"
#include <stdatomic.h>
#include <string.h>

#define PART_BYTES ((size_t)16 << 10)

typedef struct part {
    const unsigned char *bytes;
    size_t size, text;
    bv_error *error;
} part;

struct bv_parallel_encoder {
    const bv_tokenizer *tokenizer;
    bv_pool *pool;
    size_t token_bytes;
    bv_encoder **encoders; /* one a thread */
    part *parts;
    size_t part_count, part_capacity;
    size_t *turns; /* parts from turns[i] to turns[i + 1] are encoded by one thread */
    size_t turn_count, turn_capacity;
    _Atomic size_t next; /* of the side work, then of the turns */
    _Atomic size_t used; /* tokens that have their place */
    const bv_side_work *side;
    bv_encoded *out;
};

void bv_encoded_free(bv_encoded *encoded) {
    bv_free(encoded->runs);
    bv_free_aligned(encoded->tokens);
    *encoded = (bv_encoded){0};
}

bv_status bv_parallel_encoder_create(const bv_tokenizer *tokenizer, bv_pool *pool,
                                     size_t token_bytes, bv_parallel_encoder **out) {
    BV_ASSERT(token_bytes == 4 || bv_tokenizer_vocab_size(tokenizer) <= 65536);
    bv_parallel_encoder *e = *out = bv_calloc(1, sizeof *e);
    if (!e) return bv_fail_memory("an encoder");
    const int threads = bv_pool_threads(pool);
    e->tokenizer = tokenizer;
    e->pool = pool;
    e->token_bytes = token_bytes;
    e->encoders = bv_calloc((size_t)threads, sizeof(bv_encoder *));
    bv_error *error = e->encoders ? BV_OK : bv_fail_memory("an encoder");
    for (int i = 0; !error && i < threads; i++)
        error = i == 0 ? bv_encoder_create(tokenizer, &e->encoders[i])
                       : bv_encoder_create_beside(e->encoders[0], &e->encoders[i]);
    if (error) bv_parallel_encoder_destroy(out);
    return error;
}

void bv_parallel_encoder_destroy(bv_parallel_encoder **encoder) {
    bv_parallel_encoder *e = *encoder;
    if (!e) return;
    for (int i = bv_pool_threads(e->pool); e->encoders && i-- > 0;)
        bv_encoder_destroy(&e->encoders[i]); /* the others use what the first one has */
    bv_free(e->encoders);
    bv_free(e->parts);
    bv_free(e->turns);
    bv_free(e);
    *encoder = NULL;
}

/* ---- dividing ---- */

static bool divide(bv_parallel_encoder *e, const bv_text *texts, size_t count, size_t *room) {
    size_t in_turn = PART_BYTES;
    e->part_count = e->turn_count = *room = 0;
    for (size_t i = 0; i < count; i++) {
        const unsigned char *bytes = texts[i].bytes;
        for (size_t left = texts[i].size, n; left; bytes += n, left -= n) {
            const bool whole = left <= PART_BYTES || e->tokenizer->kind == BV_TOKENIZER_SCORED;
            n = whole ? left : bv_pieces_cut(bytes, left, PART_BYTES);
            if (!bv_list_grow((void **)&e->parts, e->part_count, &e->part_capacity, sizeof(part)) ||
                !bv_list_grow((void **)&e->turns, e->turn_count + 1, &e->turn_capacity,
                              sizeof(size_t)))
                return false;
            if (in_turn >= PART_BYTES) {
                e->turns[e->turn_count++] = e->part_count;
                in_turn = 0;
            }
            in_turn += n;
            e->parts[e->part_count++] = (part){.bytes = bytes, .size = n, .text = i};
            *room += n + BV_ENCODE_SLACK;
        }
    }
    if (e->turn_count) e->turns[e->turn_count] = e->part_count;
    return true;
}

static bool make_room(bv_encoded *out, size_t runs, size_t bytes) {
    if (runs > out->run_capacity) {
        bv_free(out->runs);
        out->runs = bv_malloc(runs * sizeof *out->runs);
        out->run_capacity = out->runs ? runs : 0;
        if (!out->runs) return false;
    }
    if (bytes > out->capacity) {
        bytes += bytes / 8; /* the next texts may be a little larger: pages are there by then */
        bv_free_aligned(out->tokens);
        out->tokens = bv_malloc_aligned(bytes);
        out->capacity = out->tokens ? bytes : 0;
    }
    return bytes <= out->capacity;
}

/* ---- encoding ---- */

/* Tokens are put where they belong by the thread that has them near, close behind those that others
 * were done with before: so few pages are touched. */
static bv_status encode_part(bv_parallel_encoder *e, bv_encoder *encoder, const part *p,
                             bv_token_run *run) {
    const uint32_t *tokens;
    size_t count;
    *run = (bv_token_run){.text = p->text};
    BV_TRY(bv_encoder_encode(encoder, p->bytes, p->size, &tokens, &count));
    const size_t at = atomic_fetch_add_explicit(&e->used, count, memory_order_relaxed);
    *run = (bv_token_run){e->out->tokens + at * e->token_bytes, count, p->text};
    uint16_t *two = run->tokens;
    if (e->token_bytes == 4)
        memcpy(run->tokens, tokens, count * sizeof *tokens);
    else
        for (size_t i = 0; i < count; i++) two[i] = (uint16_t)tokens[i];
    return BV_OK;
}

static void take_turns(void *context, int thread, int threads) {
    bv_parallel_encoder *e = context;
    const size_t before = e->side ? e->side->count : 0;
    (void)threads;
    for (size_t next; (next = e->next++) < before + e->turn_count;) {
        if (next < before) {
            e->side->task(e->side->context, next);
            continue;
        }
        const size_t turn = next - before;
        for (size_t i = e->turns[turn]; i < e->turns[turn + 1]; i++) {
            part *p = &e->parts[i];
            p->error = encode_part(e, e->encoders[thread], p, &e->out->runs[i]);
        }
    }
}

bv_status bv_parallel_encode(bv_parallel_encoder *e, const bv_text *texts, size_t count,
                             const bv_side_work *side, bv_encoded *out) {
    size_t room;
    bv_error *first = BV_OK;
    e->side = side;
    e->out = out;
    if (!divide(e, texts, count, &room) || !make_room(out, e->part_count, room * e->token_bytes)) {
        first = bv_fail_memory("tokens");
        e->part_count = e->turn_count = 0;
    }
    e->next = e->used = 0;
    bv_pool_run(e->pool, take_turns, e);
    out->run_count = e->part_count;
    for (size_t i = 0; i < e->part_count; i++) first = bv_first_error(first, e->parts[i].error);
    return first;
}
