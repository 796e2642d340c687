/*
 * Engine: runs one plan a step over the live tokens of many sequences. It owns the pages of the KV
 * cache; a sequence holds pages of 64 positions. Results of a sequence do not depend on what runs
 * beside it, nor on how its tokens are cut into steps. One thread at a time.
 */
#ifndef BV_ENGINE_ENGINE_H
#define BV_ENGINE_ENGINE_H

#include "model/gpt.h"
#include "model/kneser_ney.h"
#include "tensor/plan.h"

typedef struct bv_engine_options {
    bv_gpt_config config; /* checked */
    bv_numerics numerics; /* f32 or bf16 */
    const bv_kernels *kernels;
    bv_pool *pool;
    bv_weights *weights;             /* borrowed */
    const bv_kneser_ney *kneser_ney; /* borrowed; NULL: none */
    size_t rows_max;                 /* tokens of one step: longer prompts are cut */
    size_t sequences_max;            /* live at once */
} bv_engine_options;

typedef struct bv_engine bv_engine;

bv_status bv_engine_create(const bv_engine_options *options, bv_engine **out);
void bv_engine_destroy(bv_engine **engine);

/* Forgets all of a sequence (0 <= sequence < sequences_max): it starts again at position 0. */
void bv_engine_reset(bv_engine *engine, size_t sequence);
/* Makes `to` continue where `from` stands (pages are copied). */
bv_status bv_engine_copy(bv_engine *engine, size_t from, size_t to);
size_t bv_engine_position(const bv_engine *engine, size_t sequence);

/* Appends `count` tokens to a sequence. BV_CODE_INPUT beyond the model's context.
 * logits of the last token: bv_engine_logits until the next call. */
bv_status bv_engine_feed(bv_engine *engine, size_t sequence, const uint32_t *tokens, size_t count);
/* Appends one token to each of `count` sequences in one step. */
bv_status bv_engine_step(bv_engine *engine, const size_t *sequences, const uint32_t *tokens,
                         size_t count);

/* [vocab_size] after soft cap and prior, of the i-th sequence of the last call. */
const float *bv_engine_logits(const bv_engine *engine, size_t i);
/* log p(token) of those logits, with the bits of training's loss. */
float bv_engine_logprob(const bv_engine *engine, size_t i, uint32_t token);

#endif
