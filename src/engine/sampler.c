#include "engine/sampler.h"

#include "base/memory.h"
#include "base/random.h"
#include "kernel/real_host.h"
#include <stdbool.h>

typedef struct candidate {
    uint32_t token;
    double weight; /* unnormalized probability */
} candidate;

struct bv_sampler {
    bv_sampler_options options;
    size_t vocab_size;
    candidate *list;
};

bv_status bv_sampler_create(const bv_sampler_options *options, size_t vocab_size,
                            bv_sampler **out) {
    *out = NULL;
    if (!(options->temperature >= 0))
        return bv_fail(BV_CODE_USAGE, "the temperature must not be negative");
    if (!(options->top_p >= 0 && options->top_p <= 1))
        return bv_fail(BV_CODE_USAGE, "top-p must be between 0 and 1");
    if (!(options->min_p >= 0 && options->min_p <= 1))
        return bv_fail(BV_CODE_USAGE, "min-p must be between 0 and 1");
    bv_sampler *s = bv_calloc(1, sizeof *s);
    if (!s) return bv_fail_memory("a sampler");
    s->options = *options;
    s->vocab_size = vocab_size;
    s->list = bv_calloc(vocab_size, sizeof *s->list);
    if (!s->list) {
        bv_free(s);
        return bv_fail_memory("a sampler");
    }
    *out = s;
    return BV_OK;
}

void bv_sampler_destroy(bv_sampler **sampler) {
    if (!*sampler) return;
    bv_free((*sampler)->list);
    bv_free(*sampler);
    *sampler = NULL;
}

static uint32_t greedy(const float *logits, size_t count) {
    uint32_t best = 0;
    for (uint32_t i = 1; i < count; i++)
        if (logits[i] > logits[best] || logits[best] != logits[best]) best = i;
    return best;
}

/* ---- the likeliest first, no more of them than are asked for ---- */

/* Larger weight first; equal weights by token, so that the order is one. */
static bool before(const candidate *a, const candidate *b) {
    return a->weight != b->weight ? a->weight > b->weight : a->token < b->token;
}

/* A heap that lies backwards: its root is at the end of the list, the others stand before it. */
static void sink(candidate *root, size_t count, size_t at) {
    const candidate value = *(root - at);
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && before(root - child - 1, root - child)) child++;
        if (!before(root - child, &value)) break;
        *(root - at) = *(root - child);
    }
    *(root - at) = value;
}

static void make_heap(candidate *list, size_t n) {
    for (size_t i = n / 2; i-- > 0;) sink(list + n - 1, n, i);
}

/* Brings the likeliest of the heap behind the `done` that are in front, where the heap ends. */
static void bring(candidate *list, size_t n, size_t done) {
    candidate *root = list + n - 1;
    const candidate likeliest = *root;
    *root = list[done];
    list[done] = likeliest;
    sink(root, n - done - 1, 0);
}

/* ---- what survives ---- */

/* Top-k, then top-p of all that it leaves: how many are in front then, likeliest first. */
static size_t choose(const bv_sampler_options *o, candidate *list, size_t n) {
    const size_t most = o->top_k && o->top_k < n ? o->top_k : n;
    size_t done = 0;
    double total = 0, sum = 0;
    make_heap(list, n);
    if (o->top_k)
        while (done < most) bring(list, n, done++);
    if (o->top_p == 1) return most;
    for (size_t i = 0; i < most; i++) total += list[i].weight;
    for (size_t i = 0; i < most; i++) {
        if (i == done) bring(list, n, done++);
        if ((sum += list[i].weight) >= o->top_p * total) return i + 1;
    }
    return most;
}

/* Lists the candidates that survive, with unnormalized probabilities; how many. A token of no
 * probability, or of none that is a number, is none. */
static size_t cut(bv_sampler *s, const float *logits, double largest) {
    const bv_sampler_options *o = &s->options;
    /* Top-p is of all that top-k leaves, so min-p waits for it. */
    const double least = o->top_p < 1 ? 0 : o->min_p;
    size_t n = 0;
    for (uint32_t i = 0; i < s->vocab_size; i++) {
        const double p = bv_exp(((double)logits[i] - largest) / o->temperature);
        if (p > 0 && p >= least) s->list[n++] = (candidate){i, p};
    }
    if (o->top_k || o->top_p < 1) n = choose(o, s->list, n);
    while (n > 0 && s->list[n - 1].weight < o->min_p) n--;
    return n;
}

uint32_t bv_sampler_pick(bv_sampler *s, const float *logits, uint32_t sequence, uint32_t position) {
    const uint32_t best = greedy(logits, s->vocab_size);
    if (s->options.temperature == 0) return best;
    const size_t n = cut(s, logits, (double)logits[best]);
    if (n == 0) return best;
    const bv_random4 r = bv_random(s->options.seed, BV_RANDOM_SAMPLE, 0, 0, sequence, position);
    double total = 0;
    for (size_t i = 0; i < n; i++) total += s->list[i].weight;
    double left = bv_uniform_f64(r.v[0], r.v[1]) * total;
    for (size_t i = 0; i < n; i++)
        if ((left -= s->list[i].weight) < 0) return s->list[i].token;
    return s->list[n - 1].token;
}
