/* Settings from flags, for subcommands that take --set. */
#ifndef BV_CLI_SETTINGS_FLAGS_H
#define BV_CLI_SETTINGS_FLAGS_H

#include "cli/flags.h"
#include "train/settings.h"

/* Applies every --set KEY=VALUE, in order. BV_CODE_USAGE names what is wrong. */
bv_status bv_settings_set_all(bv_settings *settings, const bv_flags *flags);

/* A vocabulary where none is set, since there is no tokenizer here: GPT-2's 50,257 tokens for the
 * presets of GPT-2 and GPT-3, the 65 characters of tinyshakespeare for nanogpt-char-cpu, 4,096
 * else. Returns whether it was set here. */
bool bv_settings_vocabulary(bv_settings *settings, const char *preset);

#endif
