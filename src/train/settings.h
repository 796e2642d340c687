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
    bool recompute, fuse;
} bv_settings;

/* All settings: name, what stands for its value, help. The names are those of files and flags. */
/* clang-format off */
#define BV_SETTINGS_LIST(X)                                                                        \
    X(vocab_size, "N", "tokens of the vocabulary; 0: as many as the data's tokenizer has")         \
    X(context, "N", "longest sequence, tokens")                                                    \
    X(layers, "N", "blocks")                                                                       \
    X(heads, "N", "attention heads of a block")                                                    \
    X(kv_heads, "N", "of keys and values, shared by groups of heads; 0: as many as heads")         \
    X(width, "N", "of the residual stream")                                                        \
    X(d_head, "N", "width of a head; 0: width / heads")                                            \
    X(ff_width, "N", "hidden width of the MLP; 0: 4 x width")                                      \
    X(position, "KIND", "learned or rope")                                                         \
    X(rope_base, "X", "base of the rotary angles")                                                 \
    X(rms_norm, "BOOL", "RMS norm in place of layer norm")                                         \
    X(norm_eps, "X", "added to a norm's variance")                                                 \
    X(bias, "BOOL", "biases on linears and layer norms")                                           \
    X(qk_norm, "BOOL", "norm of queries and keys")                                                 \
    X(activation, "KIND", "gelu, relu2, silu or swiglu")                                           \
    X(tied, "BOOL", "the head is the token embedding")                                             \
    X(ngram, "N", "embeddings of the last 2 to N tokens beside the token's; 0: none")              \
    X(ngram_rows, "N", "rows of each of their tables; more n-grams share rows by a hash")          \
    X(kneser_ney, "N", "counts n-grams of the text up to so long, which logits correct; 0: none")  \
    X(logit_soft_cap, "X", "logits become cap tanh(logits / cap); 0: none")                        \
    X(band, "N", "every second layer sees only the last N positions (GPT-3); 0: all are dense")    \
    X(dropout, "P", "after embedding, attention weights, attention and MLP")                       \
    X(document_mask, "BOOL", "attention does not cross the end of a document")                     \
    X(batch, "N", "sequences of a step")                                                           \
    X(grains, "N", "parts of a batch whose gradients are summed in a fixed tree")                  \
    X(micro_batch, "N", "sequences computed together; changes no bit; 0: all of a grain")          \
    X(steps, "N", "steps to train")                                                                \
    X(seed, "N", "of all random numbers")                                                          \
    X(dtype, "KIND", "f32, or bf16 with f32 master weights and sums")                              \
    X(optimizer, "KIND", "adamw, or muon for hidden matrices and adamw for the rest")              \
    X(lr, "X", "learning rate at its peak")                                                        \
    X(min_lr, "X", "learning rate at the end")                                                     \
    X(beta1, "X", "AdamW")                                                                         \
    X(beta2, "X", "AdamW")                                                                         \
    X(eps, "X", "AdamW")                                                                           \
    X(weight_decay, "X", "on matrices and tables")                                                 \
    X(muon_lr, "X", "Muon's learning rate at its peak")                                            \
    X(muon_momentum, "X", "Muon")                                                                  \
    X(grad_clip, "X", "largest gradient norm; 0: any")                                             \
    X(schedule, "KIND", "of the learning rate: cosine, wsd (flat, then down) or constant")         \
    X(warmup, "N", "steps until the peak")                                                         \
    X(decay, "F", "wsd: the last part of the steps, in which it falls")                            \
    X(batch_ramp, "N", "steps in which the batch grows to its size; 0: none")                      \
    X(order, "KIND", "epoch: windows in a shuffled order; random: they begin anywhere")            \
    X(eval_every, "N", "steps between evaluations; 0: never")                                      \
    X(eval_windows, "N", "windows of an evaluation; 0: the whole validation text")                 \
    X(checkpoint_every, "N", "steps between checkpoints; 0: only at the end")                      \
    X(keep, "N", "checkpoints to keep, the best one beside them")                                  \
    X(guard_limit, "X", "standard deviations at which a step is bad; 0: when it is not finite")    \
    X(recompute, "BOOL",                                                                           \
      "compute activations again in place of remembering them; changes no bit")                    \
    X(fuse, "BOOL", "run rows through several steps while they are in cache; changes no bit")
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
