#include "cli/languages_flag.h"

#include "arena/language.h"
#include "base/file.h"
#include "base/text.h"

bv_status bv_languages_flag_read(const bv_flags *flags) {
    const char *folder = bv_flags_string(flags, "languages");
    char **names = NULL;
    size_t count = 0, found = 0;
    if (!folder) return BV_OK;
    BV_TRY(bv_dir_list(folder, &names, &count));
    bv_error *error = BV_OK;
    for (size_t i = 0; !error && i < count; i++) {
        char path[BV_PATH_SIZE];
        if (!bv_ends_with(names[i], ".json")) continue;
        error = bv_path_in(path, folder, names[i]);
        if (!error) error = bv_language_add(path);
        found++;
    }
    bv_names_free(names, count);
    if (!error && !found)
        error = bv_try(bv_fail(BV_CODE_INPUT, "%s has no description of a language", folder),
                       "a .json file, as src/arena/languages/c.json");
    return error;
}
