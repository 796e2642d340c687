/* Presets: named settings, as "key=value key=value". */
#ifndef BV_TRAIN_PRESETS_H
#define BV_TRAIN_PRESETS_H

/* NULL when there is none of that name. bv_settings_presets (settings.h) lists them. */
const char *bv_preset_text(const char *name);

#endif
