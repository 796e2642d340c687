#include "arena/program_cache.h"

#include "arena/language.h"
#include "base/hash.h"
#include "base/memory.h"

#include <pthread.h>
#include <string.h>

#define ENTRY_BYTES 1024 /* that an entry costs beside its program, as a bound on their number */
#define FILES_MAX 32     /* that idle programs keep open: connections have most of them */

typedef struct bv_program_entry entry;
struct bv_program_entry {
    entry *next;
    char key[BV_SHA256_TEXT_SIZE];
    bv_program *program;
    size_t bytes, files;
    int users;
};

struct bv_program_cache {
    size_t bytes_max;
    pthread_mutex_t lock; /* of all below */
    entry *entries;       /* the one used last comes first */
};

bv_status bv_program_cache_create(size_t bytes_max, bv_program_cache **out) {
    *out = bv_calloc(1, sizeof **out);
    if (!*out) return bv_fail_memory("a cache of programs");
    (*out)->bytes_max = bytes_max;
    pthread_mutex_init(&(*out)->lock, NULL);
    return BV_OK;
}

/* ---- under the lock ---- */

static void remove_entry(entry **at) {
    entry *e = *at;
    BV_ASSERT(e->users == 0);
    *at = e->next;
    bv_program_destroy(&e->program);
    bv_free(e);
}

/* Lends the entry of this key, which becomes the first, or returns NULL. */
static entry *lend(bv_program_cache *c, const char *key) {
    for (entry **at = &c->entries; *at; at = &(*at)->next) {
        entry *e = *at;
        if (strcmp(e->key, key) != 0) continue;
        *at = e->next;
        e->next = c->entries;
        c->entries = e;
        e->users++;
        return e;
    }
    return NULL;
}

/* From the end: only what comes after so many bytes or files goes, and nothing that is in use. */
static void make_room(bv_program_cache *c) {
    size_t bytes = 0, files = 0;
    for (entry **at = &c->entries; *at;) {
        bytes += (*at)->bytes;
        files += (*at)->files;
        const bool too_much = bytes > c->bytes_max || ((*at)->files && files > FILES_MAX);
        if (too_much && !(*at)->users)
            remove_entry(at);
        else
            at = &(*at)->next;
    }
}

/* ---- calls ---- */

void bv_program_cache_destroy(bv_program_cache **cache) {
    bv_program_cache *c = *cache;
    if (!c) return;
    while (c->entries) remove_entry(&c->entries);
    pthread_mutex_destroy(&c->lock);
    bv_free(c);
    *cache = NULL;
}

static bv_status make_key(const bv_program_source *source, char key[BV_SHA256_TEXT_SIZE]) {
    bv_sha256 *hash;
    BV_TRY(bv_sha256_begin(&hash));
    bv_sha256_add(hash, source->language, strlen(source->language) + 1);
    bv_sha256_add(hash, source->bytes, source->size);
    bv_sha256_end(&hash, key);
    return BV_OK;
}

/* Keeps the program under the key and lends it; another thread may have been faster. Without memory
 * it is the borrower's alone. */
static void keep(bv_program_cache *c, const char *key, bv_program_loan *loan) {
    pthread_mutex_lock(&c->lock);
    entry *e = lend(c, key);
    if (e) {
        bv_program_destroy(&loan->program);
    } else if ((e = bv_calloc(1, sizeof *e))) {
        memcpy(e->key, key, sizeof e->key);
        e->program = loan->program;
        e->bytes = bv_program_bytes(e->program) + ENTRY_BYTES;
        e->files = bv_program_open_files(e->program);
        e->users = 1;
        e->next = c->entries;
        c->entries = e;
        make_room(c);
    }
    if (e) *loan = (bv_program_loan){e->program, e};
    pthread_mutex_unlock(&c->lock);
}

bv_status bv_program_cache_take(bv_program_cache *c, bv_sandbox_pool *pool,
                                const bv_program_source *source, bv_program_loan *out,
                                bv_buffer *log, uint64_t *cpu_ns) {
    char key[BV_SHA256_TEXT_SIZE];
    const bv_language *l = bv_language_find(source->language);
    const bool compiled = c && l && l->compile;
    if (compiled) {
        BV_TRY(make_key(source, key));
        pthread_mutex_lock(&c->lock);
        out->entry = lend(c, key);
        pthread_mutex_unlock(&c->lock);
        if (out->entry) {
            out->program = out->entry->program;
            return BV_OK;
        }
    }
    BV_TRY(bv_program_create(pool, source, &out->program, log, cpu_ns));
    if (compiled && out->program) keep(c, key, out);
    return BV_OK;
}

void bv_program_cache_give(bv_program_cache *c, bv_program_loan *loan) {
    if (loan->entry) {
        pthread_mutex_lock(&c->lock);
        loan->entry->users--;
        make_room(c);
        pthread_mutex_unlock(&c->lock);
    } else {
        bv_program_destroy(&loan->program);
    }
    *loan = (bv_program_loan){0};
}
