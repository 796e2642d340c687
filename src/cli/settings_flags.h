/* Flags that make the settings of a run: --preset, --config, --set, and the common ones by name. */
#ifndef BV_CLI_SETTINGS_FLAGS_H
#define BV_CLI_SETTINGS_FLAGS_H

#include "cli/flags.h"
#include "train/settings.h"

/* clang-format off */
#define BV_SETTINGS_FLAGS                                                                          \
    {.name = "preset", .value = "NAME", .type = BV_FLAG_STRING,                                    \
     .help = "named settings: demo, tiny, nano, mini, nanogpt-char-cpu, gpt2, gpt2-medium, ... "   \
             "gpt3-175b"},                                                                         \
    {.name = "config", .value = "FILE", .type = BV_FLAG_STRING,                                    \
     .help = "a JSON object of settings; applied after --preset"},                                 \
    {.name = "set", .value = "KEY=VALUE", .type = BV_FLAG_LIST,                                    \
     .help = "one setting; applied last"},                                                         \
    {.name = "steps", .value = "N", .type = BV_FLAG_INT, .min = 0, .max = 1e9,                     \
     .help = "steps to train"},                                                                    \
    {.name = "seed", .value = "N", .type = BV_FLAG_INT, .min = 0, .max = 1e15,                     \
     .help = "of all random numbers"},                                                             \
    {.name = "dtype", .value = "f32|bf16", .type = BV_FLAG_STRING,                                 \
     .help = "numerics of training: f32, or bf16 with f32 master weights and sums"}
/* clang-format on */

/* Applies them in this order: preset, config, set, steps, seed, dtype. */
bv_status bv_settings_from_flags(const bv_flags *flags, bv_settings *settings);

#endif
