#include "arena/program_cache.h"

#include "arena/language.h"
#include "base/hash.h"
#include "base/memory.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define ENTRY_BYTES 1024 /* that an entry costs beside its program, as a bound on their number */
#define FILES_MAX 32     /* that idle programs keep open: connections have most of them */
#define BUCKETS 4096

typedef struct bv_program_entry entry;
struct bv_program_entry {
    entry *newer, *older; /* by their last use */
    entry *other;         /* of the same bucket */
    char key[BV_SHA256_TEXT_SIZE];
    bv_program *program;
    size_t bytes, files;
    int users;
};

struct bv_program_cache {
    size_t bytes_max;
    pthread_mutex_t lock; /* of all below */
    entry *newest, *oldest;
    size_t bytes, files; /* of all */
    entry *buckets[BUCKETS];
};

bv_status bv_program_cache_create(size_t bytes_max, bv_program_cache **out) {
    *out = bv_calloc(1, sizeof **out);
    if (!*out) return bv_fail_memory("a cache of programs");
    (*out)->bytes_max = bytes_max;
    pthread_mutex_init(&(*out)->lock, NULL);
    return BV_OK;
}

/* ---- under the lock ---- */

/* Keys are hexadecimal digits, each as likely as the others. */
static entry **bucket_of(bv_program_cache *c, const char *key) {
    const char digits[] = {key[0], key[1], key[2], 0};
    return &c->buckets[strtoul(digits, NULL, 16) % BUCKETS];
}

static void unlink_entry(bv_program_cache *c, entry *e) {
    *(e->newer ? &e->newer->older : &c->newest) = e->older;
    *(e->older ? &e->older->newer : &c->oldest) = e->newer;
}

static void put_first(bv_program_cache *c, entry *e) {
    e->newer = NULL, e->older = c->newest;
    *(c->newest ? &c->newest->newer : &c->oldest) = e;
    c->newest = e;
}

static void remove_entry(bv_program_cache *c, entry *e) {
    BV_ASSERT(e->users == 0);
    entry **at = bucket_of(c, e->key);
    while (*at != e) at = &(*at)->other;
    *at = e->other;
    unlink_entry(c, e);
    c->bytes -= e->bytes, c->files -= e->files;
    bv_program_destroy(&e->program);
    bv_free(e);
}

static void add_entry(bv_program_cache *c, entry *e) {
    entry **bucket = bucket_of(c, e->key);
    e->other = *bucket;
    *bucket = e;
    c->bytes += e->bytes, c->files += e->files;
    put_first(c, e);
}

/* Lends the entry of this key, which becomes the newest, or returns NULL. */
static entry *lend(bv_program_cache *c, const char *key) {
    entry *e = *bucket_of(c, key);
    while (e && strcmp(e->key, key) != 0) e = e->other;
    if (!e) return NULL;
    unlink_entry(c, e);
    put_first(c, e);
    e->users++;
    return e;
}

/* The oldest go while there are too many bytes, and of those with files, while there are too many;
 * nothing that is in use. */
static void make_room(bv_program_cache *c) {
    for (entry *e = c->oldest, *newer; e; e = newer) {
        const bool many_bytes = c->bytes > c->bytes_max, many_files = c->files > FILES_MAX;
        if (!many_bytes && !many_files) return;
        newer = e->newer;
        if (!e->users && (many_bytes || e->files)) remove_entry(c, e);
    }
}

/* ---- calls ---- */

void bv_program_cache_destroy(bv_program_cache **cache) {
    bv_program_cache *c = *cache;
    if (!c) return;
    while (c->oldest) remove_entry(c, c->oldest);
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
        add_entry(c, e);
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
