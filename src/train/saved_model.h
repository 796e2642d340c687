/*
 * A trained model as generation and evaluation open it: configuration, weights, tokenizer. From a
 * RUN (its latest checkpoint) or a file in llama2.c's format. Weights and tokenizer are owned.
 */
#ifndef BV_TRAIN_SAVED_MODEL_H
#define BV_TRAIN_SAVED_MODEL_H

#include "model/gpt_score.h"
#include "text/tokenizer.h"

typedef struct bv_saved_model {
    bv_gpt_config config;
    bv_numerics numerics;
    bv_weights *weights;
    bv_tokenizer *tokenizer;
    uint32_t start_token; /* before every text; BV_NO_TOKEN: nothing              */
    uint32_t end_token;   /* after which a text is complete; BV_NO_TOKEN: never   */
} bv_saved_model;

/* tokenizer: a file, or NULL: the one in the RUN. The pool is used to prepare weights. */
bv_status bv_saved_model_open(const char *path, const char *tokenizer, const bv_kernels *kernels,
                              bv_pool *pool, bv_saved_model *out);
void bv_saved_model_close(bv_saved_model *model);

#endif
