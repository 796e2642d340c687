/*
 * Settings drawn at random from all that is legal, tiny ones: a function of (seed, number), in the
 * words of --set, so that what failed can be repeated. Sizes stand at the edges of tiles as often
 * as between them. For tests only.
 *
 *     BEAVER_DRAWS=N   how many (by default a test draws few)
 *     BEAVER_SEED=N    of all of them
 *     BEAVER_FIRST=N   the number of the first: with BEAVER_DRAWS=1 only that one
 */
#ifndef BV_TESTS_SUPPORT_ANY_SETTINGS_H
#define BV_TESTS_SUPPORT_ANY_SETTINGS_H

#include "base/buffer.h"
#include "base/random.h"
#include "support/check.h"
#include "train/settings.h"

typedef struct any_settings {
    uint64_t seed;
    uint32_t number, drawn;
    bool bf16;
    bool large;     /* micro-batches of many rows (BV_MANY_ROWS) of a small model */
    bv_buffer text; /* "key=value key=value ..." */
} any_settings;

#define ANY_VOCAB_LEAST 128 /* the texts of tests are ASCII */

/* Which ones to draw: by the environment, else the first `few` of seed 1. */
typedef struct any_range {
    uint64_t seed;
    uint32_t first, end;
} any_range;

static inline uint64_t any_from_environment(const char *name, uint64_t fallback) {
    const char *value = getenv(name);
    return value ? strtoull(value, NULL, 10) : fallback;
}

static inline any_range any_wanted(uint32_t few) {
    any_range r = {.seed = any_from_environment("BEAVER_SEED", 1),
                   .first = (uint32_t)any_from_environment("BEAVER_FIRST", 0)};
    r.end = r.first + (uint32_t)any_from_environment("BEAVER_DRAWS", few);
    return r;
}

static inline uint32_t any_draw(any_settings *a, uint32_t below) {
    return bv_random(a->seed, BV_RANDOM_TEST, 2000, a->number, a->drawn++, 0).v[0] % below;
}

static inline bool any_flip(any_settings *a) {
    return any_draw(a, 2);
}

#define ANY_OF(a, list) ((list)[any_draw(a, sizeof(list) / sizeof *(list))])
#define ANY_WORD(a, key, ...)                                                                      \
    bv_buffer_printf(&(a)->text, key "=%s ", ANY_OF(a, ((const char *const[]){__VA_ARGS__})))

static inline void any_size(any_settings *a, const char *key, size_t value) {
    bv_buffer_printf(&a->text, "%s=%zu ", key, value);
}

static inline void any_bool(any_settings *a, const char *key) {
    bv_buffer_printf(&a->text, "%s=%s ", key, any_flip(a) ? "true" : "false");
}

/* Heads, how they share keys and values, their width; pairs need an even one. */
static inline void any_attention(any_settings *a) {
    static const size_t counts[] = {1, 1, 2, 2, 3, 4, 6};
    const size_t heads = ANY_OF(a, counts), most = a->large ? 8 : 64;
    const bool rope = any_flip(a), pairs = rope || a->bf16;
    size_t kv_heads = 1 + any_draw(a, (uint32_t)heads);
    while (heads % kv_heads) kv_heads--;
    size_t d_head = 1 + any_draw(a, (uint32_t)(most / heads > 1 ? most / heads : 2));
    if (pairs) d_head += d_head % 2;
    any_size(a, "heads", heads);
    any_size(a, "kv_heads", any_draw(a, 3) ? kv_heads : 0);
    bv_buffer_printf(&a->text, "position=%s ", rope ? "rope" : "learned");
    if (any_flip(a)) { /* the stream has the width of all heads together */
        any_size(a, "width", heads * d_head);
    } else {
        any_size(a, "d_head", d_head);
        any_size(a, "width", a->large ? 8 + any_draw(a, 9) : 8 + any_draw(a, 57));
    }
    any_size(a, "band", any_flip(a) ? 0 : 1 + any_draw(a, 70));
    any_bool(a, "qk_norm");
    if (rope) ANY_WORD(a, "rope_base", "10000", "500", "1000000");
}

static inline void any_model(any_settings *a) {
    static const size_t edges[] = {15, 16, 17, 24, 31, 32, 33, 47, 48, 49, 63, 64, 65, 96, 127};
    const bool counted = any_draw(a, 4) == 0;
    const size_t vocab = ANY_VOCAB_LEAST + ANY_OF(a, edges) + (any_flip(a) ? 1 : 0);
    any_size(a, "vocab_size", counted || any_flip(a) ? vocab : vocab + any_draw(a, 60));
    any_size(a, "layers", a->large ? 1 + any_draw(a, 2) : 1 + any_draw(a, 3));
    any_attention(a);
    any_size(a, "ff_width", any_flip(a) ? 0 : 1 + any_draw(a, a->large ? 20 : 100));
    ANY_WORD(a, "activation", "gelu", "relu2", "silu", "swiglu");
    any_bool(a, "rms_norm");
    ANY_WORD(a, "norm_eps", "1e-5", "1e-6", "0.01");
    any_bool(a, "bias");
    any_bool(a, "document_mask");
    ANY_WORD(a, "dropout", "0", "0", "0.1", "0.5");
    if (any_flip(a)) {
        any_size(a, "ngram", any_draw(a, 6));
        any_size(a, "ngram_rows", 1 + any_draw(a, 200));
    }
    if (counted)
        bv_buffer_printf(&a->text, "kneser_ney=%u tied=false ", 1 + any_draw(a, 6));
    else
        any_bool(a, "tied");
    if (!counted) ANY_WORD(a, "logit_soft_cap", "0", "0", "2", "30");
}

/* A batch of few tokens, or of so many that plans treat them as many. */
static inline void any_batch(any_settings *a) {
    static const size_t edges[] = {1,  2,  3,  7,  8,  9,  15, 16,  17,  31,  32,
                                   33, 48, 63, 64, 65, 66, 96, 127, 128, 129, 130};
    size_t context = ANY_OF(a, edges);
    if (a->bf16) context += context % 2;
    if (a->large && context < 60) context = 64;
    const size_t grains = a->large ? 1 : 1 + any_draw(a, 3);
    const size_t most = (a->large ? 1300 : 300) / context / grains;
    const size_t grain = a->large   ? 1024 / context + any_draw(a, 3)
                         : most > 1 ? 1 + any_draw(a, most < 5 ? (uint32_t)most : 5)
                                    : 1;
    any_size(a, "context", context);
    any_size(a, "grains", grains);
    any_size(a, "batch", grains * grain);
    any_size(a, "micro_batch", a->large ? 0 : any_draw(a, (uint32_t)grain + 1));
    any_size(a, "batch_ramp", any_flip(a) ? 0 : any_draw(a, 8));
    ANY_WORD(a, "order", "epoch", "random");
}

static inline void any_learning(any_settings *a) {
    ANY_WORD(a, "optimizer", "adamw", "muon");
    ANY_WORD(a, "lr", "0.001", "0.01", "0.0001", "0");
    ANY_WORD(a, "min_lr", "0", "0.0001", "0.02");
    ANY_WORD(a, "beta1", "0.9", "0", "0.5");
    ANY_WORD(a, "beta2", "0.95", "0", "0.999");
    ANY_WORD(a, "eps", "1e-8", "0.001");
    ANY_WORD(a, "weight_decay", "0.1", "0", "2");
    ANY_WORD(a, "muon_lr", "0.02", "0.001", "0");
    ANY_WORD(a, "muon_momentum", "0.95", "0", "0.5");
    ANY_WORD(a, "grad_clip", "1", "0", "0.05");
    ANY_WORD(a, "schedule", "cosine", "wsd", "constant");
    ANY_WORD(a, "decay", "0", "0.2", "0.5", "1");
    any_size(a, "warmup", any_draw(a, 12));
    any_size(a, "seed", any_draw(a, 1000000));
}

/* Few steps; or enough of them for the guard, which finds much to be bad, to have its say. */
static inline void any_length(any_settings *a) {
    const bool guarded = !a->large && any_draw(a, 4) == 0;
    any_size(a, "steps", guarded ? 40 + any_draw(a, 30) : 1 + any_draw(a, a->large ? 3 : 8));
    any_size(a, "eval_every", any_draw(a, guarded ? 20 : 5));
    any_size(a, "eval_windows", any_draw(a, 3) ? any_draw(a, 9) : 0);
    any_size(a, "checkpoint_every", any_draw(a, guarded ? 20 : 5));
    any_size(a, "keep", 1 + any_draw(a, 3));
    if (guarded)
        ANY_WORD(a, "guard_limit", "0.2", "0.5", "1", "2");
    else
        ANY_WORD(a, "guard_limit", "8", "0", "3");
}

/* text: free with bv_buffer_free. */
static inline any_settings any_begin(uint64_t seed, uint32_t number) {
    any_settings a = {.seed = seed, .number = number};
    a.bf16 = any_draw(&a, 3) == 0;
    a.large = any_draw(&a, 10) == 0;
    bv_buffer_printf(&a.text, "dtype=%s ", a.bf16 ? "bf16" : "f32");
    any_model(&a);
    any_batch(&a);
    any_learning(&a);
    any_length(&a);
    ANY_WORD(&a, "recompute", "none", "cheap", "all");
    any_bool(&a, "fuse");
    assert_ok(bv_buffer_error(&a.text));
    return a;
}

/* The settings that the text names. */
static inline void any_apply(const any_settings *a, bv_settings *s) {
    bv_settings_default(s);
    assert_ok(bv_settings_words(s, a->text.data));
    assert_ok(bv_settings_check(s));
}

#endif
