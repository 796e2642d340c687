#include "store/dialect.h"

#include <string.h>

typedef struct word {
    const char *name, *text[2]; /* SQLite, PostgreSQL */
} word;

#define ROW(name, sqlite, postgres) {#name, {sqlite, postgres}},
static const word words[] = {BV_DIALECT(ROW)};

bv_status bv_dialect_text(const char *sql, bool postgres, bv_buffer *out) {
    for (const char *open; (open = strchr(sql, '{'));) {
        const size_t size = strcspn(open + 1, "}");
        const word *found = NULL;
        bv_buffer_append(out, sql, (size_t)(open - sql));
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
            if (strlen(words[i].name) == size && !memcmp(words[i].name, open + 1, size))
                found = &words[i];
        BV_ASSERT(found && open[1 + size] == '}');
        bv_buffer_text(out, found->text[postgres]);
        sql = open + size + 2;
    }
    bv_buffer_text(out, sql);
    return bv_buffer_error(out);
}
