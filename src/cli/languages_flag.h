/* --languages, of what loads levels: languages that are not built in. */
#ifndef BV_CLI_LANGUAGES_FLAG_H
#define BV_CLI_LANGUAGES_FLAG_H

#include "cli/flags.h"

#define BV_LANGUAGES_FLAG                                                                          \
    BV_STRING_FLAG("languages", "DIR", NULL,                                                       \
                   "descriptions of more languages, a .json file each (docs/sandbox.md)")

/* Before levels are loaded and threads started. */
bv_status bv_languages_flag_read(const bv_flags *flags);

#endif
