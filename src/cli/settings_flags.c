#include "cli/settings_flags.h"

#include <stdio.h>
#include <string.h>

bv_status bv_settings_set_all(bv_settings *settings, const bv_flags *flags) {
    size_t count;
    const char *const *list = bv_flags_list(flags, "set", &count);
    for (size_t i = 0; i < count; i++) {
        char key[64];
        const char *equals = strchr(list[i], '=');
        if (!equals || equals == list[i] || (size_t)(equals - list[i]) >= sizeof key)
            return bv_try(bv_fail(BV_CODE_USAGE, "--set %s: not KEY=VALUE", list[i]),
                          "--set layers=6");
        snprintf(key, sizeof key, "%.*s", (int)(equals - list[i]), list[i]);
        BV_TRY(bv_settings_set(settings, key, equals + 1));
    }
    return BV_OK;
}

bool bv_settings_vocabulary(bv_settings *settings, const char *preset) {
    size_t *size = &settings->model.vocab_size;
    if (*size > 0) return false;
    if (!strncmp(preset, "gpt2", 4) || !strncmp(preset, "gpt3", 4))
        *size = 50257;
    else
        *size = strcmp(preset, "nanogpt-char-cpu") ? 4096 : 65;
    return true;
}
