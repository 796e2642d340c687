/*
 * A prepared folder, mapped: tokens by offset, and the order in which sequences are drawn. A
 * sequence is a function of (seed, index), so resuming needs nothing but the index. Read-only, any
 * thread.
 */
#ifndef BV_DATA_DATASET_H
#define BV_DATA_DATASET_H

#include "base/status.h"
#include <stddef.h>
#include <stdint.h>

typedef enum bv_split { BV_SPLIT_TRAIN, BV_SPLIT_VAL } bv_split;

typedef struct bv_dataset bv_dataset;

bv_status bv_dataset_open(const char *folder, bv_dataset **out); /* checks sizes */
/* Reads all of it once: BV_CODE_INPUT, with the file, where a shard's SHA-256 is not the
 * manifest's. */
bv_status bv_dataset_verify(const bv_dataset *dataset);
/* What was read until now is what the shards held; else BV_CODE_INPUT, with the one that was cut
 * short meanwhile. */
bv_status bv_dataset_check(const bv_dataset *dataset);
/* BV_CODE_USAGE where `out` would replace one of its files; folder: from where it was opened. */
bv_status bv_dataset_check_apart(const bv_dataset *dataset, const char *folder, const char *out);
void bv_dataset_close(bv_dataset **dataset);
size_t bv_dataset_vocab_size(const bv_dataset *dataset);
uint64_t bv_dataset_tokens(const bv_dataset *dataset, bv_split split);
/* Tokens offset .. offset + count; the range must exist. */
void bv_dataset_read(const bv_dataset *dataset, bv_split split, uint64_t offset, size_t count,
                     uint32_t *tokens);

typedef enum bv_order {
    BV_ORDER_RANDOM, /* each sequence begins anywhere (nanoGPT)                            */
    BV_ORDER_EPOCH,  /* windows without overlap, each once an epoch, in a permuted order   */
} bv_order;

/* BV_CODE_INPUT, with both numbers, when the training text is shorter than context + 1. */
bv_status bv_dataset_check_context(const bv_dataset *dataset, size_t context);

/* Token of the training text at which the n-th sequence of a run begins. */
uint64_t bv_dataset_offset(const bv_dataset *dataset, bv_order order, uint64_t seed, uint64_t n,
                           size_t context);

/* The n-th sequence of a run: inputs and targets (the next tokens), [context]. */
void bv_dataset_sequence(const bv_dataset *dataset, bv_order order, uint64_t seed, uint64_t n,
                         size_t context, uint32_t *inputs, uint32_t *targets);

#endif
