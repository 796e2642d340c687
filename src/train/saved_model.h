/*
 * A trained model as generation and evaluation open it: configuration, weights, tokenizer. From a
 * RUN (its latest checkpoint), RUN/checkpoints/STEP or a file in llama2.c's format. What it names
 * is owned.
 *
 * A run's weights stay in the mapped file, and opening does not read them: names and shapes are
 * checked, their SHA-256 is not, because that takes longer than the first token. Who opens has it
 * checked beside the first tokens (bv_saved_model_check_begin), and lets no result pass as whole
 * before bv_saved_model_check returned BV_OK.
 */
#ifndef BV_TRAIN_SAVED_MODEL_H
#define BV_TRAIN_SAVED_MODEL_H

#include "model/gpt_score.h"
#include "text/tokenizer.h"

typedef struct bv_saved_model {
    bv_gpt_config config;
    bv_numerics numerics;
    bv_weights *weights;
    bv_kneser_ney *kneser_ney; /* NULL: none */
    bv_tokenizer *tokenizer;
    uint32_t start_token; /* before every text; BV_NO_TOKEN: nothing              */
    uint32_t end_token;   /* after which a text is complete; BV_NO_TOKEN: never   */
    struct bv_saved_file *file;
} bv_saved_model;

/* tokenizer: a file, for a RUN the one that it was trained with (else BV_CODE_USAGE), or NULL: the
 * one in the RUN. The pool is used to prepare weights. */
bv_status bv_saved_model_open(const char *path, const char *tokenizer, const bv_kernels *kernels,
                              bv_pool *pool, bv_saved_model *out);
/* Begins to check the file's SHA-256 on a thread of its own, behind all others. */
void bv_saved_model_check_begin(bv_saved_model *model);
/* BV_CODE_INPUT when the file is damaged. wait: until that is known (begun or not, it is then
 * checked); otherwise only what is known already. Reports an error once. */
bv_status bv_saved_model_check(bv_saved_model *model, bool wait);
/* The SHA-256 that the manifest tells of a run's weights, borrowed; NULL: the model is a file. */
const char *bv_saved_model_sha256(const bv_saved_model *model);
/* Ends a check that still runs. */
void bv_saved_model_close(bv_saved_model *model);

#endif
