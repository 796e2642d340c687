/* Presets: named settings, as "key=value key=value". */
#ifndef BV_TRAIN_PRESETS_H
#define BV_TRAIN_PRESETS_H

#include <stddef.h>

const char *const *bv_preset_names(size_t *count);
/* NULL when there is none of that name. */
const char *bv_preset_text(const char *name);

/* Tokens that the data of a preset usually has, which leaves them open: tinyshakespeare's
 * characters where characters are its purpose, else those of GPT-2. NULL: of no preset. */
size_t bv_preset_vocab(const char *name);

#endif
