/*
 * Programs that were compiled before, by the hash of language and source: who hands in the same
 * source again, or a thousand users the same one, waits for no compiler. Held in memory up to a
 * number of bytes, and of open files; what was not used for longest goes first. A source that does
 * not compile is compiled again each time: its verdict may have been a busy machine's. Thread-safe.
 */
#ifndef BV_ARENA_PROGRAM_CACHE_H
#define BV_ARENA_PROGRAM_CACHE_H

#include "arena/program.h"

typedef struct bv_program_cache bv_program_cache;
bv_status bv_program_cache_create(size_t bytes_max, bv_program_cache **out);
void bv_program_cache_destroy(bv_program_cache **cache); /* nothing is in use; NULL is legal */

/* A program lent: stays as it is until it is given back. */
typedef struct bv_program_loan {
    bv_program *program; /* NULL: it did not compile */
    struct bv_program_entry *entry;
} bv_program_loan;

/* As bv_program_create, unless it is known. NULL cache: always bv_program_create. *out must be {0};
 * give it back whatever is returned. */
bv_status bv_program_cache_take(bv_program_cache *cache, bv_sandbox_pool *pool,
                                const bv_program_source *source, bv_program_loan *out,
                                bv_buffer *log, uint64_t *cpu_ns);
void bv_program_cache_give(bv_program_cache *cache, bv_program_loan *loan); /* {0} is legal */

#endif
