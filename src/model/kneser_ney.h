/*
 * An n-gram model of tokens: interpolated Kneser-Ney smoothing with three discounts a length
 * (Chen & Goodman 1999, An empirical study of smoothing techniques for language modeling). It is
 * counted, not trained. A network then learns what it leaves open: logits are added to its
 * log-probabilities (Li et al. 2022, Residual Learning of Neural Text Generation with n-gram
 * Language Model).
 *
 * Counts of a text tell what the text goes on with, so a network that saw them in training would
 * learn to trust them too much: there each prediction leaves out the one occurrence it is for.
 *
 * For alphabets, as of characters or bytes: at most 256 tokens. Read-only once made, any thread.
 * Counts and + - * / in double only, so the bits are the same everywhere.
 */
#ifndef BV_MODEL_KNESER_NEY_H
#define BV_MODEL_KNESER_NEY_H

#include "base/status.h"
#include <stddef.h>
#include <stdint.h>

#define BV_KNESER_NEY_VOCAB_MAX 256
#define BV_KNESER_NEY_ORDER_MAX 8                 /* tokens of an n-gram */
#define BV_KNESER_NEY_COUNT_MAX ((size_t)1 << 28) /* tokens of a text: 4 GB while it is counted */

typedef struct bv_kneser_ney bv_kneser_ney;

/* BV_CODE_USAGE for a text of more than BV_KNESER_NEY_COUNT_MAX tokens. */
bv_status bv_kneser_ney_check_count(uint64_t count);
/* Bytes that are taken while a text of `count` tokens is counted, beside the counts. These stay: 12
 * bytes for each different n-gram, which is less for ordinary text. */
size_t bv_kneser_ney_counting_bytes(uint64_t count);

/* tokens: [count], all < vocab_size; no longer needed afterwards. order: the longest n-gram. */
bv_status bv_kneser_ney_create(const uint8_t *tokens, size_t count, size_t vocab_size, size_t order,
                               bv_kneser_ney **out);
void bv_kneser_ney_destroy(bv_kneser_ney **model);

/* p: [vocab_size], of the token after *last; `known` tokens before *last may be read. left_out: a
 * token whose occurrence here does not count, or vocab_size: all count. */
void bv_kneser_ney_predict(const bv_kneser_ney *model, const uint32_t *last, size_t known,
                           uint32_t left_out, double *p);

#endif
