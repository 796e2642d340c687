/*
 * The text that a model's n-grams are counted of (kneser_ney.h): a run keeps its training tokens, a
 * byte each, as RUN/counted.bin, as it keeps its tokenizer, and needs its data no longer to be
 * evaluated. config.json has the hash. A model without such counts has neither file nor hash.
 */
#ifndef BV_TRAIN_COUNTED_TEXT_H
#define BV_TRAIN_COUNTED_TEXT_H

#include "base/hash.h"
#include "data/dataset.h"
#include "model/config.h"
#include "model/kneser_ney.h"

/* Counts the training text. *out: NULL for a model without counts. */
bv_status bv_counted_text_count(const bv_dataset *data, const bv_gpt_config *config,
                                bv_kneser_ney **out);
/* Writes the training text of the prepared folder `data`; hash: "" for a model without counts. */
bv_status bv_counted_text_save(const char *run, const char *data, const bv_gpt_config *config,
                               char hash[BV_SHA256_TEXT_SIZE]);
/* Tokens of the text that the run keeps; 0 where it has none. */
uint64_t bv_counted_text_tokens(const char *run);
/* Counts what the run keeps. BV_CODE_INPUT where it is not what the hash says. */
bv_status bv_counted_text_load(const char *run, const char *hash, const bv_gpt_config *config,
                               bv_kneser_ney **out);

#endif
