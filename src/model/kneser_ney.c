#include "model/kneser_ney.h"

#include "base/memory.h"

/* n-grams of one length, each once, ascending. Of the longest the count is how often it occurs, of
 * shorter ones how many different tokens come before it (the continuation count). */
typedef struct level {
    uint64_t *keys; /* a token a byte: the context from the oldest, then what follows it, lowest */
    uint32_t *counts;
    size_t size;
    double discounts[4]; /* of a count of 1, 2, and 3 or more */
} level;

struct bv_kneser_ney {
    size_t vocab_size, order;
    level levels[BV_KNESER_NEY_ORDER_MAX]; /* by tokens of context */
};

/* ---- counting ---- */

static uint64_t low_bytes(size_t bytes) {
    return bytes < 8 ? ((uint64_t)1 << 8 * bytes) - 1 : UINT64_MAX;
}

/* Sorts `size` keys by their low bytes, in as many passes; `other` is as large. Where they are: */
static uint64_t *sort_keys(uint64_t *keys, uint64_t *other, size_t size, size_t bytes) {
    for (size_t byte = 0; byte < bytes; byte++) {
        size_t begin[256] = {0}, sum = 0;
        for (size_t i = 0; i < size; i++) begin[keys[i] >> 8 * byte & 255]++;
        for (size_t i = 0; i < 256; i++) {
            const size_t n = begin[i];
            begin[i] = sum;
            sum += n;
        }
        for (size_t i = 0; i < size; i++) other[begin[keys[i] >> 8 * byte & 255]++] = keys[i];
        uint64_t *sorted = other;
        other = keys;
        keys = sorted;
    }
    return keys;
}

/* Each of the sorted keys once, with how often it is there. */
static bv_status count_keys(const uint64_t *keys, size_t size, level *l) {
    size_t distinct = 0;
    for (size_t i = 0; i < size; i++) distinct += i == 0 || keys[i] != keys[i - 1];
    l->keys = bv_calloc(distinct + 1, sizeof *l->keys);
    l->counts = bv_calloc(distinct + 1, sizeof *l->counts);
    if (!l->keys || !l->counts) return bv_fail_memory("counts of n-grams");
    for (size_t i = 0; i < size; i++) {
        if (i == 0 || keys[i] != keys[i - 1]) l->keys[l->size++] = keys[i];
        l->counts[l->size - 1]++;
    }
    return BV_OK;
}

/* What each count gives up to the shorter context: from how many n-grams occur once, twice, ...
 * (Chen & Goodman, eq. 26); half of it where there are too few to tell. */
static void estimate_discounts(level *l) {
    double n[5] = {0};
    for (size_t i = 0; i < l->size; i++)
        if (l->counts[i] < 5) n[l->counts[i]]++;
    for (int i = 1; i <= 3; i++) {
        const double y = n[1] / (n[1] + 2 * n[2]), d = i - (i + 1) * y * n[i + 1] / n[i];
        l->discounts[i] = d > 0 && d < i ? d : 0.5 * i;
    }
}

static bv_status count_levels(bv_kneser_ney *m, uint64_t *keys, uint64_t *other, size_t size) {
    for (size_t k = m->order; k-- > 0;) {
        level *l = &m->levels[k];
        uint64_t *sorted = sort_keys(keys, other, size, k + 1);
        BV_TRY(count_keys(sorted, size, l));
        estimate_discounts(l);
        size = l->size;
        for (size_t i = 0; i < size; i++) keys[i] = l->keys[i] & low_bytes(k); /* the oldest goes */
    }
    return BV_OK;
}

bv_status bv_kneser_ney_check_count(uint64_t count) {
    if (count <= BV_KNESER_NEY_COUNT_MAX) return BV_OK;
    return bv_try(bv_fail(BV_CODE_USAGE, "n-grams are counted of at most %zu tokens, not %llu",
                          BV_KNESER_NEY_COUNT_MAX, (unsigned long long)count),
                  "--set kneser_ney=0");
}

/* The text, its n-grams, and these sorted. */
size_t bv_kneser_ney_counting_bytes(uint64_t count) {
    return (size_t)count * (1 + 2 * sizeof(uint64_t));
}

bv_status bv_kneser_ney_create(const uint8_t *tokens, size_t count, size_t vocab_size, size_t order,
                               bv_kneser_ney **out) {
    *out = NULL;
    BV_ASSERT(vocab_size <= BV_KNESER_NEY_VOCAB_MAX);
    BV_ASSERT(order >= 1 && order <= BV_KNESER_NEY_ORDER_MAX);
    BV_TRY(bv_kneser_ney_check_count(count));
    const size_t size = count < order ? 0 : count - order + 1;
    bv_kneser_ney *m = bv_calloc(1, sizeof *m);
    uint64_t *keys = bv_calloc(size + 1, sizeof *keys);
    uint64_t *other = bv_calloc(size + 1, sizeof *other);
    bv_error *error = m && keys && other ? BV_OK : bv_fail_memory("counts of n-grams");
    if (!error) {
        uint64_t key = 0;
        m->vocab_size = vocab_size;
        m->order = order;
        for (size_t i = 0; i < count; i++) {
            BV_ASSERT(tokens[i] < vocab_size);
            key = (key << 8 | tokens[i]) & low_bytes(order);
            if (i + 1 >= order) keys[i + 1 - order] = key;
        }
        error = count_levels(m, keys, other, size);
    }
    bv_free(keys);
    bv_free(other);
    if (error) bv_kneser_ney_destroy(&m);
    *out = m;
    return error;
}

void bv_kneser_ney_destroy(bv_kneser_ney **model) {
    bv_kneser_ney *m = *model;
    for (size_t k = 0; m && k < m->order; k++) {
        bv_free(m->levels[k].keys);
        bv_free(m->levels[k].counts);
    }
    bv_free(m);
    *model = NULL;
}

/* ---- predicting ---- */

/* The n-grams of one context that was seen. */
typedef struct followers {
    const uint64_t *keys;
    const uint32_t *counts;
    size_t size;
    bool leave_out; /* does the occurrence that is left out count here? */
} followers;

/* Of each level the first n-gram whose context is not before the wanted one. All levels are halved
 * in turns, so that one does not wait for the memory of another. */
static void find_first(const level *levels, const uint64_t *contexts, size_t count, size_t *first) {
    size_t left[BV_KNESER_NEY_ORDER_MAX], most = 0;
    for (size_t k = 0; k < count; k++) {
        first[k] = 0;
        left[k] = levels[k].size;
        if (left[k] > most) most = left[k];
    }
    for (; most > 0; most /= 2)
        for (size_t k = 0; k < count; k++) {
            if (left[k] == 0) continue;
            const size_t half = left[k] / 2;
            const bool before = levels[k].keys[first[k] + half] >> 8 < contexts[k];
            first[k] = before ? first[k] + half + 1 : first[k];
            left[k] = before ? left[k] - half - 1 : half;
        }
}

static followers followers_of(const level *l, uint64_t context, size_t first) {
    size_t end = first;
    while (end < l->size && l->keys[end] >> 8 == context) end++;
    return (followers){l->keys + first, l->counts + first, end - first, false};
}

static uint32_t count_of(const followers *f, uint32_t token) {
    for (size_t i = 0; i < f->size; i++)
        if ((f->keys[i] & 255) == token) return f->counts[i];
    return 0;
}

/* The occurrence counts in the longest context; in a shorter one if it was the only one with its
 * oldest token, so that without it one token fewer comes before. (Where a window has just begun,
 * the longest that is known is taken for it, which leaves out a little too much.) */
static void leave_out(followers *seen, size_t size, uint32_t token) {
    for (size_t k = size; k-- > 0;) {
        seen[k].leave_out = true;
        if (count_of(&seen[k], token) > 1) return;
    }
}

/* p becomes what this context says, with what p was, a shorter one's word, for the discounts. */
static void interpolate(const followers *f, const double *discounts, uint32_t left_out,
                        size_t vocab_size, double *p) {
    double total = 0, given_up = 0;
    for (int kept = 0; kept < 2; kept++) { /* first the sums, then what is kept of each count */
        for (size_t i = 0; i < f->size; i++) {
            const uint32_t token = f->keys[i] & 255;
            const uint32_t n = f->counts[i] - (f->leave_out && token == left_out);
            const double discount = discounts[n < 3 ? n : 3];
            if (kept)
                p[token] += (n - discount) / total;
            else
                total += n, given_up += discount;
        }
        if (total == 0) return; /* nothing but what is left out */
        for (size_t v = 0; !kept && v < vocab_size; v++) p[v] *= given_up / total;
    }
}

void bv_kneser_ney_predict(const bv_kneser_ney *m, const uint32_t *last, size_t known,
                           uint32_t left_out, double *p) {
    followers seen[BV_KNESER_NEY_ORDER_MAX];
    uint64_t contexts[BV_KNESER_NEY_ORDER_MAX] = {0};
    size_t first[BV_KNESER_NEY_ORDER_MAX], size = 0;
    const size_t levels = known + 1 < m->order ? known + 2 : m->order;
    for (size_t k = 1; k < levels; k++)
        contexts[k] = contexts[k - 1] | (uint64_t)(last[-(ptrdiff_t)(k - 1)] & 255) << 8 * (k - 1);
    find_first(m->levels, contexts, levels, first);
    for (; size < levels; size++) {
        seen[size] = followers_of(&m->levels[size], contexts[size], first[size]);
        if (seen[size].size == 0) break;
    }
    if (left_out < m->vocab_size) leave_out(seen, size, left_out);
    for (size_t v = 0; v < m->vocab_size; v++) p[v] = 1 / (double)m->vocab_size;
    for (size_t k = 0; k < size; k++)
        interpolate(&seen[k], m->levels[k].discounts, left_out, m->vocab_size, p);
}
