#include "model/config.h"

#include "model/kneser_ney.h"
#include "model/ngram.h"

static bv_status positive(const char *name, size_t value) {
    if (value == 0) return bv_fail(BV_CODE_USAGE, "%s must be at least 1", name);
    return BV_OK;
}

static bv_status check_kneser_ney(const bv_gpt_config *c) {
    if (c->kneser_ney == 0) return BV_OK;
    if (c->kneser_ney > BV_KNESER_NEY_ORDER_MAX)
        return bv_fail(BV_CODE_USAGE, "kneser_ney %zu is more than %d", c->kneser_ney,
                       BV_KNESER_NEY_ORDER_MAX);
    if (c->vocab_size > BV_KNESER_NEY_VOCAB_MAX)
        return bv_try(bv_fail(BV_CODE_USAGE,
                              "kneser_ney counts at most %d different tokens, not %zu",
                              BV_KNESER_NEY_VOCAB_MAX, c->vocab_size),
                      "data of characters or bytes (--tokenizer char), or --set kneser_ney=0");
    if (c->tied)
        return bv_try(bv_fail(BV_CODE_USAGE, "kneser_ney needs a head of its own"),
                      "--set tied=false");
    if (c->logit_soft_cap > 0)
        return bv_try(bv_fail(BV_CODE_USAGE, "kneser_ney and logit_soft_cap exclude each other"),
                      "--set logit_soft_cap=0");
    return BV_OK;
}

bv_status bv_gpt_config_check(bv_gpt_config *c) {
    BV_TRY(positive("vocab_size", c->vocab_size));
    BV_TRY(positive("context", c->context));
    BV_TRY(positive("layers", c->layers));
    BV_TRY(positive("heads", c->heads));
    BV_TRY(positive("width", c->width));
    if (c->kv_heads == 0) c->kv_heads = c->heads;
    if (c->d_head == 0 && c->width % c->heads)
        return bv_try(
            bv_fail(BV_CODE_USAGE, "width %zu is not a multiple of heads %zu", c->width, c->heads),
            "--set width=%zu", (c->width / c->heads + 1) * c->heads);
    if (c->d_head == 0) c->d_head = c->width / c->heads;
    if (c->ff_width == 0) c->ff_width = 4 * c->width;
    if (c->heads % c->kv_heads)
        return bv_try(bv_fail(BV_CODE_USAGE, "heads %zu is not a multiple of kv_heads %zu",
                              c->heads, c->kv_heads),
                      "--set kv_heads=1");
    if (c->d_head > 256)
        return bv_try(bv_fail(BV_CODE_USAGE, "d_head %zu is more than 256", c->d_head),
                      "more heads");
    if (c->d_head % 2 && c->position == BV_POSITION_ROPE)
        return bv_try(
            bv_fail(BV_CODE_USAGE, "rotary positions need an even d_head, not %zu", c->d_head),
            "--set d_head=%zu", c->d_head + 1);
    if (c->ngram > BV_NGRAM_MAX)
        return bv_fail(BV_CODE_USAGE, "ngram %zu is more than %d", c->ngram, BV_NGRAM_MAX);
    if (c->ngram > 1) BV_TRY(positive("ngram_rows", c->ngram_rows));
    BV_TRY(check_kneser_ney(c));
    if (!(c->dropout >= 0 && c->dropout < 1))
        return bv_fail(BV_CODE_USAGE, "dropout %g is not in [0, 1)", c->dropout);
    return BV_OK;
}

size_t bv_gpt_head_rows(const bv_gpt_config *c) {
    return c->vocab_size + (c->kneser_ney > 0);
}

#define SHARES 8 /* of a probability */

size_t bv_gpt_expected_rows(const bv_gpt_config *c) {
    return c->kneser_ney ? SHARES * c->vocab_size : 0;
}

uint32_t bv_gpt_expected_row(uint32_t token, double p) {
    const uint32_t share = (uint32_t)(p * SHARES);
    return token * SHARES + (share < SHARES ? share : SHARES - 1);
}

size_t bv_gpt_parameter_count(const bv_gpt_config *c) {
    const size_t qkv = (c->heads + 2 * c->kv_heads) * c->d_head;
    const size_t up = c->activation == BV_SWIGLU ? 2 * c->ff_width : c->ff_width;
    const size_t norm = c->width * (c->bias && !c->rms_norm ? 2 : 1);
    const size_t matrices = c->width * (qkv + c->heads * c->d_head + up + c->ff_width);
    const size_t biases = c->bias ? qkv + up + 2 * c->width : 0;
    size_t tables = c->vocab_size + (c->tied ? 0 : bv_gpt_head_rows(c)) + bv_gpt_expected_rows(c) +
                    (c->position == BV_POSITION_LEARNED ? c->context : 0);
    for (size_t n = 2; n <= c->ngram; n++) tables += bv_ngram_table_rows(c, n);
    return c->layers * (matrices + biases + 2 * norm) + norm + tables * c->width;
}
