#include "engine/sampler.h"

#include "base/memory.h"
#include "base/random.h"
#include "kernel/real_host.h"
#include <stdlib.h>

typedef struct candidate {
    uint32_t token;
    double weight; /* the logit, then the unnormalized probability */
} candidate;

struct bv_sampler {
    bv_sampler_options options;
    size_t vocab_size;
    candidate *list;
};

bv_status bv_sampler_create(const bv_sampler_options *options, size_t vocab_size,
                            bv_sampler **out) {
    *out = NULL;
    if (!(options->temperature >= 0) || !(options->top_p > 0 && options->top_p <= 1) ||
        !(options->min_p >= 0 && options->min_p <= 1))
        return bv_fail(BV_CODE_USAGE, "temperature must be >= 0, top-p in (0, 1], min-p in [0, 1]");
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

/* Larger weight first; equal weights by token, so that the order is one. */
static int by_weight(const void *a, const void *b) {
    const candidate *x = a, *y = b;
    if (x->weight != y->weight) return x->weight > y->weight ? -1 : 1;
    return x->token < y->token ? -1 : 1;
}

static uint32_t greedy(const float *logits, size_t count) {
    uint32_t best = 0;
    for (uint32_t i = 1; i < count; i++)
        if (logits[i] > logits[best] || logits[best] != logits[best]) best = i;
    return best;
}

/* How many of the first n candidates, likeliest first, reach top-p of what all n have together. */
static size_t nucleus(const bv_sampler *s, size_t n) {
    double total = 0, sum = 0;
    for (size_t i = 0; i < n; i++) total += s->list[i].weight;
    for (size_t i = 0; i < n; i++)
        if ((sum += s->list[i].weight) >= s->options.top_p * total) return i + 1;
    return n;
}

/* The candidates that survive, with unnormalized probabilities; returns how many. What has no
 * probability is none. */
static size_t cut(bv_sampler *s, const float *logits, double largest) {
    const bv_sampler_options *o = &s->options;
    /* Top-p is of all that top-k leaves, so min-p waits for it. */
    const double least = o->top_p < 1 ? 0 : o->min_p;
    size_t n = 0;
    for (uint32_t i = 0; i < s->vocab_size; i++) {
        const double p = bv_exp(((double)logits[i] - largest) / o->temperature);
        if (p > 0 && p >= least) s->list[n++] = (candidate){i, p};
    }
    if (o->top_k == 0 && o->top_p == 1) return n;
    qsort(s->list, n, sizeof *s->list, by_weight);
    if (o->top_k && o->top_k < n) n = o->top_k;
    if (o->top_p < 1) n = nucleus(s, n);
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
