#include "text/bpe_encode.h"

#include "base/memory.h"
#include "text/bpe_merge.h"
#include "text/pieces.h"
#include "text/tokenizer_struct.h"
#include "text/word.h"

#define BATCH 128                         /* pieces between looking up and asking for memory */
#define BUCKETS ((size_t)1 << 16)         /* of two slots, a cache line */
#define RING ((uint64_t)1 << 17)          /* words */
#define KEY_BYTES 15                      /* of a piece that stands in its key */
#define CACHED_BYTES 255                  /* of a piece in the ring */
#define INLINE_TOKENS 3                   /* in a slot; more stand in the ring */
#define WORTH_A_CACHE ((uint64_t)1 << 12) /* bytes of text so far; a prompt goes without */

/* A piece of up to 15 bytes is its own key: its bytes, zeros, its length. A longer one has a hash
 * and 0xff there, and its bytes in the ring, before its tokens. A key of zeros is an empty slot. */
typedef struct key {
    uint64_t low, high;
} key;

/* The tokens, or where they stand in the ring: the low and the high half of a number. */
typedef struct slot {
    key key;
    uint32_t tokens[INLINE_TOKENS], count;
} slot;

typedef struct probe {
    key key;
    slot *bucket;
} probe;

/* The ring has the last RING words of all that was ever written to it. */
struct bv_bpe_encoder {
    const bv_tokenizer *tokenizer;
    bv_splitter *splitter;
    bv_merger *merger;
    slot *slots;
    uint32_t *ring;
    uint64_t written;
    uint64_t encoded; /* bytes of text */
};

bv_status bv_bpe_encoder_create(const bv_tokenizer *tokenizer, bv_bpe_encoder **out) {
    bv_bpe_encoder *e = *out = bv_calloc(1, sizeof *e);
    if (!e) return bv_fail_memory("an encoder");
    e->tokenizer = tokenizer;
    bv_error *error = bv_splitter_create(tokenizer->pattern, &e->splitter);
    if (!error) error = bv_merger_create(tokenizer, &e->merger);
    if (error) bv_bpe_encoder_destroy(out);
    return error;
}

void bv_bpe_encoder_destroy(bv_bpe_encoder **encoder) {
    if (!*encoder) return;
    bv_splitter_destroy(&(*encoder)->splitter);
    bv_merger_destroy(&(*encoder)->merger);
    bv_free_aligned((*encoder)->slots);
    bv_free((*encoder)->ring);
    bv_free(*encoder);
    *encoder = NULL;
}

/* ---- keys ---- */

static inline key short_key(const unsigned char *piece, size_t size, size_t readable) {
#define BELOW(bytes) ((bytes) >= 8 ? ~(uint64_t)0 : ((uint64_t)1 << 8 * ((bytes)&7)) - 1)
#define MASK(n)                                                                                    \
    { BELOW(n), (n) > 8 ? BELOW((n)-8) : 0 }
    static const uint64_t masks[KEY_BYTES + 1][2] = {
        MASK(0), MASK(1), MASK(2),  MASK(3),  MASK(4),  MASK(5),  MASK(6),  MASK(7),
        MASK(8), MASK(9), MASK(10), MASK(11), MASK(12), MASK(13), MASK(14), MASK(15)};
    unsigned char copy[16] = {0};
    if (readable < sizeof copy) piece = memcpy(copy, piece, size);
    return (key){bv_load_word(piece) & masks[size][0],
                 (bv_load_word(piece + 8) & masks[size][1]) | (uint64_t)size << 56};
}

static key long_key(const unsigned char *piece, size_t size) {
    uint64_t h = size * 0x9E3779B97F4A7C15u;
    size_t at = 0;
    for (; size - at >= 8; at += 8) {
        h = (h ^ bv_load_word(piece + at)) * 0xD6E8FEB86659FD93u;
        h ^= h >> 32;
    }
    h ^= short_key(piece + at, size - at, size - at).low * 0xA0761D6478BD642Fu;
    return (key){h ^ h >> 29, 0xff00000000000000u | size};
}

static inline size_t bucket_of(key k) {
    const unsigned __int128 product =
        (unsigned __int128)(k.low ^ 0x9E3779B97F4A7C15u) * (k.high ^ 0xD6E8FEB86659FD93u);
    return (size_t)((uint64_t)product ^ (uint64_t)(product >> 64)) & (BUCKETS - 1);
}

/* ---- the cache ---- */

static bool open_cache(bv_bpe_encoder *e) {
    if (!e->slots) e->slots = bv_malloc_aligned(2 * BUCKETS * sizeof(slot));
    if (!e->ring) e->ring = bv_malloc(RING * sizeof *e->ring);
    return e->slots && e->ring;
}

static size_t words_of_bytes(size_t size) {
    return size > KEY_BYTES ? (size + 3) / 4 : 0;
}

/* Where the tokens stand that do not fit into the slot; NULL when the ring has lost them, or when
 * they are of another piece with the same hash. */
static const uint32_t *in_ring(const bv_bpe_encoder *e, const slot *s, const unsigned char *piece,
                               size_t size) {
    const uint64_t at = s->tokens[0] | (uint64_t)s->tokens[1] << 32;
    if (e->written - at > RING) return NULL;
    const uint32_t *words = e->ring + at % RING;
    if (size > KEY_BYTES && memcmp(words, piece, size)) return NULL;
    return words + words_of_bytes(size);
}

static void keep(bv_bpe_encoder *e, slot *s, key k, const unsigned char *piece, size_t size,
                 const uint32_t *tokens, size_t count) {
    *s = (slot){.key = k, .count = (uint32_t)count};
    if (size <= KEY_BYTES && count <= INLINE_TOKENS) {
        memcpy(s->tokens, tokens, count * sizeof *tokens);
        return;
    }
    const size_t before = words_of_bytes(size), words = before + count;
    if (RING - e->written % RING < words) e->written += RING - e->written % RING;
    uint32_t *at = e->ring + e->written % RING;
    if (before) memcpy(at, piece, size);
    memcpy(at + before, tokens, count * sizeof *tokens);
    s->tokens[0] = (uint32_t)e->written;
    s->tokens[1] = (uint32_t)(e->written >> 32);
    e->written += words;
}

/* ---- pieces ---- */

static bool merge(bv_bpe_encoder *e, const unsigned char *piece, size_t size, uint32_t *tokens,
                  size_t *count) {
    *count = 0;
    for (size_t n, more; size; piece += n, size -= n, *count += more) {
        n = size < BV_MERGE_MAX ? size : BV_MERGE_MAX;
        if (!bv_merge_piece(e->merger, piece, n, tokens + *count, &more)) return false;
    }
    const uint32_t *ids = e->tokenizer->ids;
    for (size_t i = 0; ids && i < *count; i++) tokens[i] = ids[tokens[i]];
    return true;
}

static bool take(bv_bpe_encoder *e, const probe *p, const unsigned char *piece, size_t size,
                 uint32_t *tokens, size_t *count) {
    slot *s = p->bucket;
    if (!s) return merge(e, piece, size, tokens, count);
    const uint32_t *found = NULL;
    for (int i = 0; i < 2 && !found; i++) {
        if (s[i].key.low != p->key.low || s[i].key.high != p->key.high) continue;
        const bool inside = s[i].count <= INLINE_TOKENS && size <= KEY_BYTES;
        found = inside ? s[i].tokens : in_ring(e, &s[i], piece, size);
        *count = s[i].count;
        if (found) memcpy(tokens, found, *count * sizeof *tokens);
        if (found && i == 1) { /* what comes again moves to the front; what is new, behind it */
            const slot first = s[0];
            s[0] = s[1];
            s[1] = first;
        }
    }
    if (found) return true;
    if (!merge(e, piece, size, tokens, count)) return false;
    keep(e, &s[s[0].key.high != 0], p->key, piece, size, tokens, *count);
    return true;
}

/* Looks the pieces up whose ends these are; the first begins at `at`. */
static void ask(bv_bpe_encoder *e, const unsigned char *text, size_t size, size_t at,
                const size_t *ends, size_t count, probe *probes) {
    for (size_t i = 0; i < count; at = ends[i++]) {
        const size_t n = ends[i] - at;
        probe *p = &probes[i];
        p->bucket = NULL;
        if (!e->slots || n > CACHED_BYTES) continue;
        p->key = n <= KEY_BYTES ? short_key(text + at, n, size - at) : long_key(text + at, n);
        p->bucket = e->slots + 2 * bucket_of(p->key);
        __builtin_prefetch(p->bucket, 1);
    }
}

bv_status bv_bpe_encode(bv_bpe_encoder *e, const void *text, size_t size, uint32_t *tokens,
                        size_t *count) {
    const unsigned char *bytes = text;
    size_t ends[BATCH], at = 0, n;
    probe probes[BATCH];
    *count = 0;
    e->encoded += size;
    if (e->encoded >= WORTH_A_CACHE && !open_cache(e)) return bv_fail_memory("an encoder");
    bv_splitter_text(e->splitter, text, size);
    while ((n = bv_splitter_ends(e->splitter, ends, BATCH))) {
        ask(e, bytes, size, at, ends, n, probes);
        for (size_t i = 0; i < n; at = ends[i++]) {
            const probe *p = &probes[i];
            const slot *s = p->bucket;
            if (s && s->key.low == p->key.low && s->key.high == p->key.high &&
                s->count <= INLINE_TOKENS && ends[i] - at <= KEY_BYTES) {
                memcpy(tokens + *count, s->tokens, sizeof s->tokens);
                *count += s->count;
                continue;
            }
            size_t more;
            if (!take(e, p, bytes + at, ends[i] - at, tokens + *count, &more))
                return bv_fail_memory("tokens");
            *count += more;
        }
    }
    return BV_OK;
}
