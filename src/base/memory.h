/*
 * Memory: one replaceable allocator, arenas, and a guard for phases that must not allocate.
 * All functions are thread-safe except those of one arena, which belongs to one thread at a time.
 */
#ifndef BV_BASE_MEMORY_H
#define BV_BASE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

/* NULL when there is no memory; size 0 gives a unique pointer. Free with bv_free. */
void *bv_malloc(size_t size);
void *bv_calloc(size_t count, size_t size); /* checks count * size for overflow */
void *bv_realloc(void *pointer, size_t size);
void bv_free(void *pointer);
char *bv_strdup(const char *text);

/* Room for one more element behind `count` of a list, whose capacity is doubled where it is full.
 * False without memory: the list stays as it was. */
bool bv_list_grow(void **list, size_t count, size_t *capacity, size_t element);

#define BV_HUGE_PAGE ((size_t)2 << 20)

/* Zeroed memory aligned to 64 bytes (huge pages asked for from BV_HUGE_PAGE on). Free with
 * bv_free_aligned. */
void *bv_malloc_aligned(size_t size);
void bv_free_aligned(void *pointer);

/* For errors only: like bv_malloc, but legal between bv_no_alloc_begin and end, since an error ends
 * the phase that must not allocate. */
void *bv_malloc_for_error(size_t size);

/* The allocator that all of the above use; NULL members restore the C library's. For tests and
 * embedders; set before anything else runs. `allocate` may return NULL. */
typedef struct bv_allocator {
    void *(*reallocate)(void *context, void *pointer, size_t size); /* size > 0 */
    void (*release)(void *context, void *pointer);
    void *context;
} bv_allocator;
void bv_allocator_set(const bv_allocator *allocator);

/* Between begin and end any allocation through this header, from any thread, is our own mistake
 * and fatal: the message names the phase ("training step"). Nestable. */
void bv_no_alloc_begin(const char *phase);
void bv_no_alloc_end(void);

/* An arena: many small allocations, one free. Zero-initialized memory, aligned to 16 bytes. */
typedef struct bv_arena bv_arena;
bv_arena *bv_arena_create(void); /* NULL without memory */
void bv_arena_destroy(bv_arena **arena);
void *bv_arena_alloc(bv_arena *arena, size_t size); /* NULL without memory */
char *bv_arena_strdup(bv_arena *arena, const char *text);
char *bv_arena_printf(bv_arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
