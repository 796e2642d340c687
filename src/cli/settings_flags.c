#include "cli/settings_flags.h"

#include <stdio.h>
#include <string.h>

static bv_status apply_pair(bv_settings *settings, const char *pair) {
    char key[64];
    const char *equals = strchr(pair, '=');
    if (!equals || equals == pair || (size_t)(equals - pair) >= sizeof key)
        return bv_try(bv_fail(BV_CODE_USAGE, "--set needs KEY=VALUE, not \"%s\"", pair),
                      "--set lr=0.001");
    snprintf(key, sizeof key, "%.*s", (int)(equals - pair), pair);
    return bv_settings_set(settings, key, equals + 1);
}

bv_status bv_settings_from_flags(const bv_flags *flags, bv_settings *settings) {
    const char *preset = bv_flags_string(flags, "preset"),
               *config = bv_flags_string(flags, "config");
    if (preset) BV_TRY(bv_settings_preset(settings, preset));
    if (config) BV_TRY(bv_settings_load(settings, config));
    size_t count;
    const char *const *pairs = bv_flags_list(flags, "set", &count);
    for (size_t i = 0; i < count; i++) BV_TRY(apply_pair(settings, pairs[i]));
#define NAME(name, ...) #name,
    static const char *const names[] = {BV_SETTINGS_LIST(NAME, NAME, NAME, NAME)};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = bv_flags_string(flags, names[i]);
        if (!value) continue;
        BV_TRY(bv_while(bv_settings_set(settings, names[i], value), "reading %s",
                        bv_flag_spelled(names[i]).text));
    }
    return BV_OK;
}

bool bv_settings_flag_given(const bv_flags *flags, const char *key) {
    const size_t length = strlen(key);
    size_t count;
    const char *const *pairs = bv_flags_list(flags, "set", &count);
    for (size_t i = 0; i < count; i++)
        if (!strncmp(pairs[i], key, length) && pairs[i][length] == '=') return true;
    return bv_flags_given(flags, key);
}

bool bv_settings_otherwise(const char *flag, char text[64]) {
    bv_settings settings;
    bv_settings_default(&settings);
    return bv_settings_text(&settings, flag, text, 64);
}
