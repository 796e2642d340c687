/*
 * Settings of a run: the model and how it is trained. One table names them all; flags, --set,
 * configuration files and the run's config.json use it alike.
 */
#ifndef BV_TRAIN_SETTINGS_H
#define BV_TRAIN_SETTINGS_H

#include "base/json.h"
#include "data/dataset.h"
#include "model/config.h"
#include "nn/optimizer.h"
#include "tensor/autograd.h"
#include "tensor/run.h"

typedef enum bv_schedule { BV_SCHEDULE_COSINE, BV_SCHEDULE_WSD, BV_SCHEDULE_CONSTANT } bv_schedule;

typedef struct bv_settings {
    bv_gpt_config model;
    size_t batch, micro_batch; /* sequences of a step, and of a micro-batch (0: all) */
    size_t grains, steps, seed;
    bv_numerics numerics; /* "dtype" */
    bv_optimizer_kind optimizer;
    double lr, min_lr, beta1, beta2, eps, weight_decay, muon_lr, muon_momentum;
    double grad_clip; /* 0: none */
    bv_schedule schedule;
    size_t warmup;     /* steps */
    double decay;      /* WSD: the last part of the steps, as a fraction */
    size_t batch_ramp; /* steps over which the batch grows to its full size; 0: none */
    bv_order order;
    size_t eval_every;   /* steps; 0: never */
    size_t eval_windows; /* 0: the whole validation text */
    size_t checkpoint_every, keep;
    double guard_limit; /* standard deviations; 0: only what is not finite is bad (guard.h) */
    bv_recompute recompute;
    bool fuse;
} bv_settings;

/* All settings: name (that of files and flags), member, what is legal, help. */
/* clang-format off */
#define BV_SETTINGS_LIST(SIZE, REAL, BOOL, CHOICE)                                                 \
    SIZE(vocab_size, model.vocab_size, 0, 1e7,                                                     \
         "tokens of the vocabulary; 0: as many as the data's tokenizer has")                       \
    SIZE(context, model.context, 1, 1e6, "longest sequence, tokens")                               \
    SIZE(layers, model.layers, 1, 1000, "blocks")                                                  \
    SIZE(heads, model.heads, 1, 1000, "attention heads of a block")                                \
    SIZE(kv_heads, model.kv_heads, 0, 1000,                                                        \
         "of keys and values, shared by groups of heads; 0: as many as heads")                     \
    SIZE(width, model.width, 1, 1e5, "of the residual stream")                                     \
    SIZE(d_head, model.d_head, 0, 256, "width of a head; 0: width / heads")                        \
    SIZE(ff_width, model.ff_width, 0, 1e6, "hidden width of the MLP; 0: 4 x width")                \
    CHOICE(position, model.position, ("learned", "rope"), "learned or rope")                       \
    REAL(rope_base, model.rope_base, 1, 1e9, "base of the rotary angles")                          \
    BOOL(rms_norm, model.rms_norm, "RMS norm in place of layer norm")                              \
    REAL(norm_eps, model.norm_eps, 0, 1, "added to a norm's variance")                             \
    BOOL(bias, model.bias, "biases on linears and layer norms")                                    \
    BOOL(qk_norm, model.qk_norm, "norm of queries and keys")                                       \
    CHOICE(activation, model.activation, ("gelu", "relu2", "silu", "swiglu"),                      \
           "gelu, relu2, silu or swiglu")                                                          \
    BOOL(tied, model.tied, "the head is the token embedding")                                      \
    SIZE(ngram, model.ngram, 0, BV_NGRAM_MAX,                                                      \
         "embeddings of the last 2 to N tokens beside the token's; 0: none")                       \
    SIZE(ngram_rows, model.ngram_rows, 1, 1e9,                                                     \
         "rows of each of their tables; more n-grams share rows by a hash")                        \
    SIZE(kneser_ney, model.kneser_ney, 0, BV_KNESER_NEY_ORDER_MAX,                                 \
         "counts n-grams of the text up to so long, which logits correct; 0: none")                \
    REAL(logit_soft_cap, model.logit_soft_cap, 0, 1e6,                                             \
         "logits become cap tanh(logits / cap); 0: none")                                          \
    SIZE(band, model.band, 0, 1e6,                                                                 \
         "every second layer sees only the last N positions (GPT-3); 0: all are dense")            \
    REAL(dropout, model.dropout, 0, 0.99, "after embedding, attention weights, attention and MLP") \
    BOOL(document_mask, model.document_mask, "attention does not cross the end of a document")     \
    SIZE(batch, batch, 1, 1e6, "sequences of a step")                                              \
    SIZE(grains, grains, 1, 4096, "parts of a batch whose gradients are summed in a fixed tree")   \
    SIZE(micro_batch, micro_batch, 0, 1e6,                                                         \
         "sequences computed together; changes no bit; 0: all of a grain")                         \
    SIZE(steps, steps, 1, 1e9, "steps to train")                                                   \
    SIZE(seed, seed, 0, 1e15, "of all random numbers")                                             \
    CHOICE(dtype, numerics, ("f32", "bf16"), "f32, or bf16 with f32 master weights and sums")      \
    CHOICE(optimizer, optimizer, ("adamw", "muon"),                                                \
           "adamw, or muon for hidden matrices and adamw for the rest")                            \
    REAL(lr, lr, 0, 1e3, "learning rate at its peak")                                              \
    REAL(min_lr, min_lr, 0, 1e3, "learning rate at the end")                                       \
    REAL(beta1, beta1, 0, 1, "AdamW")                                                              \
    REAL(beta2, beta2, 0, 1, "AdamW")                                                              \
    REAL(eps, eps, 0, 1, "AdamW")                                                                  \
    REAL(weight_decay, weight_decay, 0, 100, "on matrices and tables")                             \
    REAL(muon_lr, muon_lr, 0, 1e3, "Muon's learning rate at its peak")                             \
    REAL(muon_momentum, muon_momentum, 0, 1, "Muon")                                               \
    REAL(grad_clip, grad_clip, 0, 1e9, "largest gradient norm; 0: any")                            \
    CHOICE(schedule, schedule, ("cosine", "wsd", "constant"),                                      \
           "of the learning rate: cosine, wsd (flat, then down) or constant")                      \
    SIZE(warmup, warmup, 0, 1e9, "steps until the peak")                                           \
    REAL(decay, decay, 0, 1, "wsd: the last part of the steps, in which it falls")                 \
    SIZE(batch_ramp, batch_ramp, 0, 1e9, "steps in which the batch grows to its size; 0: none")    \
    CHOICE(order, order, ("random", "epoch"),                                                      \
           "epoch: windows in a shuffled order; random: they begin anywhere")                      \
    SIZE(eval_every, eval_every, 0, 1e9, "steps between evaluations; 0: never")                    \
    SIZE(eval_windows, eval_windows, 0, 1e9,                                                       \
         "windows of an evaluation; 0: the whole validation text")                                 \
    SIZE(checkpoint_every, checkpoint_every, 0, 1e9,                                               \
         "steps between checkpoints; 0: only at the end")                                          \
    SIZE(keep, keep, 1, 1e6, "checkpoints to keep, the best one beside them")                      \
    REAL(guard_limit, guard_limit, 0, 1e6,                                                         \
         "standard deviations at which a step is bad; 0: when it is not finite")                   \
    CHOICE(recompute, recompute, ("none", "cheap", "all"),                                         \
           "activations computed again in place of remembering them: none; cheap: norms and the "  \
           "MLP's activation; or all; changes no bit")                                             \
    BOOL(fuse, fuse, "run rows through several steps while they are in cache; changes no bit")
/* clang-format on */

void bv_settings_default(bv_settings *settings);
/* BV_CODE_USAGE for an unknown name, with the nearest one. */
bv_status bv_settings_preset(bv_settings *settings, const char *name);
/* The setting that other trainers call `name`; NULL: none. */
const char *bv_settings_name_here(const char *name);
/* "key", "value" as typed; BV_CODE_USAGE naming both. */
bv_status bv_settings_set(bv_settings *settings, const char *key, const char *value);
/* "key=value key=value ...", as a preset is written; a word without "=" is our own mistake. */
bv_status bv_settings_words(bv_settings *settings, const char *words);
/* A JSON object of settings; an unknown key is refused with file, line and suggestion. */
bv_status bv_settings_load(bv_settings *settings, const char *path);
/* The value of a setting as it is typed; false where none has that name. */
bool bv_settings_text(const bv_settings *settings, const char *key, char *text, size_t size);
json_t *bv_settings_json(const bv_settings *settings); /* all of them; NULL without memory */
/* Fills what is derived and refuses what does not fit together. */
bv_status bv_settings_check(bv_settings *settings);
/* BV_CODE_USAGE naming both values of the first setting that differs; those that the list (NULL at
 * its end, or NULL) names may differ. */
bv_status bv_settings_same(const bv_settings *kept, const bv_settings *wanted,
                           const char *const *free_names);
/* The same of two models' settings, one of which is to begin with the weights of the other: all but
 * those that no weight depends on. */
bv_status bv_settings_same_model(const bv_settings *kept, const bv_settings *wanted);
/* Learning rate of a step (0-based) as a factor of its peak. */
double bv_settings_schedule(const bv_settings *settings, size_t step);
/* Sequences of a step's batch: a multiple of grains. */
size_t bv_settings_batch_at(const bv_settings *settings, size_t step);
/* Sequences of all steps before `step`. */
uint64_t bv_settings_sequences_before(const bv_settings *settings, size_t step);

#endif
