/*
 * The configuration of a GPT-shaped model: everything that decides its shapes and its arithmetic.
 * GPT-2 (Radford et al. 2019), GPT-3 (Brown et al. 2020) and the modern block (RMS norm, RoPE,
 * grouped queries, QK-norm, SwiGLU or squared ReLU, no biases, untied head, soft cap) are settings.
 * Plain data, copied by value.
 */
#ifndef BV_MODEL_CONFIG_H
#define BV_MODEL_CONFIG_H

#include "base/status.h"
#include "kernel/activation.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BV_NGRAM_MAX 8 /* tokens */

typedef enum bv_position_kind { BV_POSITION_LEARNED, BV_POSITION_ROPE } bv_position_kind;

typedef struct bv_gpt_config {
    size_t vocab_size; /* set from the tokenizer when 0 */
    size_t context;    /* longest sequence              */
    size_t layers, heads, kv_heads, width;
    size_t d_head;   /* width / heads unless set */
    size_t ff_width; /* hidden width of the MLP; 4 * width unless set (SwiGLU: of each half) */
    bv_position_kind position;
    double rope_base;
    bool rms_norm; /* else layer norm */
    double norm_eps;
    bool bias; /* on linears and layer norms */
    bool qk_norm;
    bv_activation activation;
    bool tied;             /* head = token embedding */
    size_t ngram;          /* longest n-gram with an embedding (ngram.h); 0 or 1: tokens only */
    size_t ngram_rows;     /* rows of each table of n-grams at most */
    size_t kneser_ney;     /* longest n-gram of the counted model that the logits correct
                              (kneser_ney.h); 0: none */
    double logit_soft_cap; /* 0: none */
    size_t band;           /* 0: all layers dense; else every second layer (1, 3, ...) sees only
                              the last `band` positions (GPT-3) */
    double dropout;        /* after embedding, attention weights, attention and MLP outputs */
    bool document_mask;    /* attention does not cross document borders */
} bv_gpt_config;

/* Fills what is derived (d_head, ff_width, kv_heads) and refuses what does not fit together:
 * width % heads, heads % kv_heads, odd d_head with RoPE, zero sizes. BV_CODE_USAGE, one line. */
bv_status bv_gpt_config_check(bv_gpt_config *config);

size_t bv_gpt_parameter_count(const bv_gpt_config *config);
/* Rows of the head: one a token, and behind them one that weighs the n-gram model. */
size_t bv_gpt_head_rows(const bv_gpt_config *config);
/* The table of what an n-gram model expects: a row for each token and each eighth of its
 * probability p. */
size_t bv_gpt_expected_rows(const bv_gpt_config *config);
uint32_t bv_gpt_expected_row(uint32_t token, double p);

#endif
