#include "text/bpe_encode.h"

#include "base/memory.h"
#include "text/bpe_merge.h"
#include "text/pieces.h"
#include "text/tokenizer_struct.h"
#include "text/word.h"
#include <stdatomic.h>

#define BATCH 128                         /* pieces between looking up and asking for memory */
#define BUCKETS ((size_t)1 << 16)         /* of two slots, a cache line */
#define RING ((uint64_t)1 << 17)          /* words */
#define KEY_BYTES 15                      /* of a piece that stands in its key */
#define CACHED_BYTES 252                  /* of a piece in the ring */
#define INLINE_TOKENS 3                   /* in a slot; more stand in the ring */
#define CHANGING 255                      /* the count of a slot that is being written */
#define WORTH_A_CACHE ((uint64_t)1 << 12) /* bytes of text so far; a prompt goes without */

/* A piece of up to 15 bytes is its own key: its bytes, zeros, its length. A longer one has a hash
 * and 0xff there, and its bytes in the ring, before its tokens. A key of zeros is an empty slot. */
typedef struct key {
    uint64_t low, high;
} key;

/* Two tokens, or where in the ring all stand; `last`: the third, 8 bits of count, 24 that change
 * whenever the slot does. */
typedef struct entry {
    uint64_t tokens, last;
} entry;

typedef struct slot {
    _Atomic uint64_t low, high, tokens, last;
} slot;

/* Of all threads. None waits for another: what one cannot write is merged again, and what changes
 * while it is read counts as not found. The ring has the last RING words of all that was ever
 * written to it. */
typedef struct cache {
    slot slots[BUCKETS][2];
    _Atomic uint32_t ring[RING];
    _Alignas(64) _Atomic bool writing;     /* to the ring: one at a time */
    _Alignas(64) _Atomic uint64_t written; /* with what is just being written */
} cache;

typedef struct probe {
    key key;
    slot *bucket;
} probe;

struct bv_bpe_encoder {
    const bv_tokenizer *tokenizer;
    bv_splitter *splitter;
    bv_merger *merger;
    cache *cache, *own; /* own: NULL where it is another encoder's */
    uint64_t encoded;   /* bytes of text */
};

bv_status bv_bpe_encoder_create(const bv_tokenizer *tokenizer, const bv_bpe_encoder *other,
                                bv_bpe_encoder **out) {
    bv_bpe_encoder *e = *out = bv_calloc(1, sizeof *e);
    if (!e) return bv_fail_memory("an encoder");
    e->tokenizer = tokenizer;
    if (!other) e->own = bv_malloc_aligned(sizeof *e->own);
    e->cache = other ? other->cache : e->own;
    bv_error *error = e->cache ? BV_OK : bv_fail_memory("an encoder");
    if (!error) error = bv_splitter_create(tokenizer->pattern, &e->splitter);
    if (!error) error = bv_merger_create(tokenizer, &e->merger);
    if (error) bv_bpe_encoder_destroy(out);
    return error;
}

void bv_bpe_encoder_destroy(bv_bpe_encoder **encoder) {
    if (!*encoder) return;
    bv_splitter_destroy(&(*encoder)->splitter);
    bv_merger_destroy(&(*encoder)->merger);
    bv_free_aligned((*encoder)->own);
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

/* ---- slots ---- */

#define LOAD(atomic) atomic_load_explicit(atomic, memory_order_acquire)
#define STORE(atomic, value) atomic_store_explicit(atomic, value, memory_order_release)

static inline uint32_t count_of(entry e) {
    return (uint32_t)(e.last >> 32) & 255;
}

static inline bool inside(entry e, size_t size) {
    return count_of(e) <= INLINE_TOKENS && size <= KEY_BYTES;
}

/* Three tokens, of which the first `count` are meant. */
static inline void put(entry e, uint32_t *tokens) {
    memcpy(tokens, &e.tokens, sizeof e.tokens);
    tokens[2] = (uint32_t)e.last;
}

/* False where another piece stands, or another one came meanwhile: each load stays before the next
 * one, each store behind the last. What was changing already has the count CHANGING. */
static inline bool read_slot(const slot *s, key k, entry *out) {
    out->last = LOAD(&s->last);
    const uint64_t other = (LOAD(&s->low) ^ k.low) | (LOAD(&s->high) ^ k.high);
    out->tokens = LOAD(&s->tokens);
    return !(other | (atomic_load_explicit(&s->last, memory_order_relaxed) ^ out->last));
}

/* Takes a slot to write it; false if another thread does. */
static bool claim(slot *s, entry *was) {
    was->last = LOAD(&s->last);
    const uint64_t changing = ((was->last >> 40) + 1) << 40 | (uint64_t)CHANGING << 32;
    if (count_of(*was) == CHANGING ||
        !atomic_compare_exchange_strong_explicit(&s->last, &was->last, changing,
                                                 memory_order_acquire, memory_order_relaxed))
        return false;
    was->tokens = LOAD(&s->tokens);
    return true;
}

static void give_back(slot *s, entry e) {
    STORE(&s->last, LOAD(&s->last) >> 40 << 40 | (e.last & 0xffffffffff));
}

/* Of a claimed slot. */
static void write_slot(slot *s, key k, entry e) {
    STORE(&s->low, k.low);
    STORE(&s->high, k.high);
    STORE(&s->tokens, e.tokens);
    give_back(s, e);
}

static key key_of(const slot *s) {
    return (key){LOAD(&s->low), LOAD(&s->high)};
}

static bool same_key(key a, key b) {
    return a.low == b.low && a.high == b.high;
}

/* ---- the ring ---- */

#define RECORD_WORDS (CACHED_BYTES / 4 + CACHED_BYTES)

static size_t words_of_bytes(size_t size) {
    return size > KEY_BYTES ? (size + 3) / 4 : 0;
}

/* False if another thread writes. */
static bool write_ring(cache *c, const unsigned char *piece, size_t size, const uint32_t *tokens,
                       size_t count, uint64_t *at) {
    uint32_t record[RECORD_WORDS] = {0};
    const size_t before = words_of_bytes(size), words = before + count;
    if (before) memcpy(record, piece, size);
    memcpy(record + before, tokens, count * sizeof *tokens);
    if (atomic_exchange_explicit(&c->writing, true, memory_order_acquire)) return false;
    *at = LOAD(&c->written);
    if (RING - *at % RING < words) *at += RING - *at % RING;
    STORE(&c->written, *at + words);
    for (size_t i = 0; i < words; i++) STORE(&c->ring[*at % RING + i], record[i]);
    STORE(&c->writing, false);
    return true;
}

/* The tokens of a piece; false when the ring has lost them, or when they are of another piece with
 * the same hash. */
static bool read_ring(const cache *c, entry e, const unsigned char *piece, size_t size,
                      uint32_t *tokens) {
    uint32_t bytes[CACHED_BYTES / 4];
    const size_t before = words_of_bytes(size), count = count_of(e);
    const _Atomic uint32_t *words = c->ring + e.tokens % RING;
    for (size_t i = 0; i < before; i++) bytes[i] = LOAD(&words[i]);
    for (size_t i = 0; i < count; i++) tokens[i] = LOAD(&words[before + i]);
    return LOAD(&c->written) - e.tokens <= RING && !(before && memcmp(bytes, piece, size));
}

/* ---- the cache ---- */

/* Behind the piece in front, if there is another. */
static void keep(cache *c, const probe *p, const unsigned char *piece, size_t size,
                 const uint32_t *tokens, size_t count) {
    entry e = {0, (uint64_t)count << 32}, ignored;
    if (inside(e, size)) {
        memcpy(&e.tokens, tokens, (count < 2 ? count : 2) * sizeof *tokens);
        if (count > 2) e.last |= tokens[2];
    } else if (!write_ring(c, piece, size, tokens, count, &e.tokens)) {
        return;
    }
    const key first = key_of(p->bucket);
    slot *s = first.high == 0 || same_key(first, p->key) ? p->bucket : p->bucket + 1;
    if (claim(s, &ignored)) write_slot(s, p->key, e);
}

/* What comes again. */
static void move_to_front(const probe *p) {
    slot *first = p->bucket, *second = first + 1;
    entry front, behind;
    if (!claim(second, &behind)) return;
    if (same_key(key_of(second), p->key) && claim(first, &front)) {
        write_slot(second, key_of(first), front);
        write_slot(first, p->key, behind);
    } else {
        give_back(second, behind);
    }
}

static bool look_up(cache *c, const probe *p, const unsigned char *piece, size_t size,
                    uint32_t *tokens, size_t *count) {
    for (int i = 0; i < 2; i++) {
        entry e;
        if (!read_slot(p->bucket + i, p->key, &e) || count_of(e) == CHANGING) continue;
        *count = count_of(e);
        if (inside(e, size))
            put(e, tokens);
        else if (!read_ring(c, e, piece, size, tokens))
            continue;
        if (i == 1) move_to_front(p);
        return true;
    }
    return false;
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
    if (!p->bucket) return merge(e, piece, size, tokens, count);
    if (look_up(e->cache, p, piece, size, tokens, count)) return true;
    if (!merge(e, piece, size, tokens, count)) return false;
    keep(e->cache, p, piece, size, tokens, *count);
    return true;
}

/* Looks the pieces up whose ends these are; the first begins at `at`. */
static void ask(const bv_bpe_encoder *e, const unsigned char *text, size_t size, size_t at,
                const size_t *ends, size_t count, probe *probes) {
    cache *c = e->encoded < WORTH_A_CACHE ? NULL : e->cache;
    for (size_t i = 0; i < count; at = ends[i++]) {
        const size_t n = ends[i] - at;
        probe *p = &probes[i];
        p->bucket = NULL;
        if (!c || n > CACHED_BYTES) continue;
        p->key = n <= KEY_BYTES ? short_key(text + at, n, size - at) : long_key(text + at, n);
        p->bucket = c->slots[bucket_of(p->key)];
        __builtin_prefetch(p->bucket);
    }
}

bv_status bv_bpe_encode(bv_bpe_encoder *e, const void *text, size_t size, uint32_t *tokens,
                        size_t *count) {
    const unsigned char *bytes = text;
    size_t ends[BATCH], at = 0, n;
    probe probes[BATCH];
    *count = 0;
    e->encoded += size;
    bv_splitter_text(e->splitter, text, size);
    while ((n = bv_splitter_ends(e->splitter, ends, BATCH))) {
        ask(e, bytes, size, at, ends, n, probes);
        for (size_t i = 0; i < n; at = ends[i++]) {
            const probe *p = &probes[i];
            entry found;
            if (p->bucket && read_slot(p->bucket, p->key, &found) && inside(found, ends[i] - at)) {
                put(found, tokens + *count);
                *count += count_of(found);
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
