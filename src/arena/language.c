#include "arena/language.h"
#include <string.h>
static const char *const cc[] = {"/usr/bin/gcc", "-O2", "-o", "main", "main.c", "-lm", NULL};
static const char *const run_c[] = {"./main", NULL};
static const char *const run_py[] = {"python3", "main.py", NULL};
static const char *const run_sh[] = {"/bin/sh", "main.sh", NULL};
static const bv_language table[] = {
    {"c", ".c", "main.c", cc, "main", run_c},
    {"python", ".py", "main.py", NULL, NULL, run_py},
    {"shell", ".sh", "main.sh", NULL, NULL, run_sh},
};
size_t bv_language_count(void) {
    return 3;
}
const bv_language *bv_language_at(size_t i) {
    return &table[i];
}
const bv_language *bv_language_find(const char *name) {
    for (size_t i = 0; i < 3; i++)
        if (!strcmp(name, table[i].name)) return &table[i];
    return NULL;
}
const bv_language *bv_language_by_file(const char *name) {
    for (size_t i = 0; i < 3; i++) {
        size_t n = strlen(name), m = strlen(table[i].extension);
        if (n > m && !strcmp(name + n - m, table[i].extension)) return &table[i];
    }
    return NULL;
}
