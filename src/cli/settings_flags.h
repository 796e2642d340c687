/* Flags that make the settings of a run: --preset, --config, --set, and each setting by its name.
 */
#ifndef BV_CLI_SETTINGS_FLAGS_H
#define BV_CLI_SETTINGS_FLAGS_H

#include "cli/flags.h"
#include "train/settings.h"

/* clang-format off */
#define BV_PRESET_FLAGS                                                                            \
    BV_STRING_FLAG("preset", "NAME", NULL,                                                         \
                   "named settings: demo, tiny, nano, mini, nanogpt-char-cpu, gpt2, "              \
                   "gpt2-medium, ... gpt3-175b"),                                                  \
    BV_STRING_FLAG("config", "FILE", NULL, "a JSON object of settings; applied after --preset"),   \
    BV_LIST_FLAG("set", "KEY=VALUE", "one setting, as in a file; each is a flag of its own, too: " \
                                     "beaver train --help lists them")

/* Each with its help, and without: then it is known, and not listed. */
#define BV_SETTINGS_FLAGS                                                                          \
    BV_SETTINGS_LIST(BV_SETTING_N, BV_SETTING_X, BV_SETTING_BOOL, BV_SETTING_KIND)
#define BV_SETTINGS_UNLISTED                                                                       \
    BV_SETTINGS_LIST(BV_SETTING_QUIET, BV_SETTING_QUIET, BV_SETTING_QUIET, BV_SETTING_QUIET)
#define BV_SETTING_N(key, member, min, max, text) BV_STRING_FLAG(#key, "N", NULL, text),
#define BV_SETTING_X(key, member, min, max, text) BV_STRING_FLAG(#key, "X", NULL, text),
#define BV_SETTING_BOOL(key, member, text) BV_STRING_FLAG(#key, "BOOL", NULL, text),
#define BV_SETTING_KIND(key, member, choices, text) BV_STRING_FLAG(#key, "KIND", NULL, text),
#define BV_SETTING_QUIET(key, ...) BV_STRING_FLAG(#key, "VALUE", NULL, NULL),
/* clang-format on */

/* Applies them in this order: preset, config, set, settings by name. */
bv_status bv_settings_from_flags(const bv_flags *flags, bv_settings *settings);
/* What a setting is without a preset: a command's `otherwise`. */
bool bv_settings_otherwise(const char *flag, char text[64]);
/* Is this setting given by its flag or by --set, not only by a preset or a file? */
bool bv_settings_flag_given(const bv_flags *flags, const char *key);

#endif
