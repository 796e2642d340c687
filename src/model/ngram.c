#include "model/ngram.h"

/* (vocab_size + 1)^n, or 0 when that is more than a table may have. */
static uint64_t all_of(const bv_gpt_config *c, size_t n) {
    uint64_t all = 1;
    for (size_t i = 0; i < n; i++) {
        all *= c->vocab_size + 1;
        if (all > c->ngram_rows) return 0;
    }
    return all;
}

size_t bv_ngram_table_rows(const bv_gpt_config *c, size_t n) {
    const uint64_t all = all_of(c, n);
    return all ? (size_t)all : c->ngram_rows;
}

uint32_t bv_ngram_row(const bv_gpt_config *c, size_t n, const uint32_t *last, size_t known) {
    const bool exact = all_of(c, n) != 0;
    /* Horner's rule in the tokens; a hash multiplies by an odd constant (2^64 / golden ratio). */
    const uint64_t base = exact ? c->vocab_size + 1 : 0x9E3779B97F4A7C15u;
    uint64_t sum = 0;
    for (size_t i = n; i-- > 0;)
        sum = sum * base + (i <= known ? last[-(ptrdiff_t)i] : c->vocab_size);
    if (exact) return (uint32_t)sum;
    sum = (sum ^ sum >> 32) * base; /* the high bits depend on all tokens */
    return (uint32_t)((sum >> 32) * c->ngram_rows >> 32);
}
