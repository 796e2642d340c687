#include "base/memory.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static bv_allocator current; /* all NULL: the C library's */
static _Atomic int no_alloc_depth;
static const char *_Atomic no_alloc_phase;

void bv_allocator_set(const bv_allocator *allocator) {
    current = allocator ? *allocator : (bv_allocator){0};
}

void bv_no_alloc_begin(const char *phase) {
    no_alloc_phase = phase;
    no_alloc_depth++;
}

void bv_no_alloc_end(void) {
    no_alloc_depth--;
}

static void check_phase(void) {
    if (atomic_load_explicit(&no_alloc_depth, memory_order_relaxed) == 0) return;
    fprintf(stderr, "our own mistake: memory was allocated during a %s\n", no_alloc_phase);
    abort();
}

void *bv_malloc(size_t size) {
    return bv_realloc(NULL, size);
}

void *bv_calloc(size_t count, size_t size) {
    if (size && count > SIZE_MAX / size) return NULL;
    if (!current.reallocate && count * size > 0) { /* large ones come as zeros from the system */
        check_phase();
        return calloc(count, size);
    }
    void *pointer = bv_malloc(count * size);
    if (pointer) memset(pointer, 0, count * size);
    return pointer;
}

static void *reallocate(void *pointer, size_t size) {
    if (size == 0) size = 1;
    if (size > PTRDIFF_MAX) return NULL;
    if (current.reallocate) return current.reallocate(current.context, pointer, size);
    return realloc(pointer, size);
}

void *bv_realloc(void *pointer, size_t size) {
    check_phase();
    return reallocate(pointer, size);
}

void *bv_malloc_for_error(size_t size) {
    return reallocate(NULL, size);
}

void bv_free(void *pointer) {
    if (!pointer) return;
    if (current.release)
        current.release(current.context, pointer);
    else
        free(pointer);
}

char *bv_strdup(const char *text) {
    const size_t size = strlen(text) + 1;
    char *copy = bv_malloc(size);
    if (copy) memcpy(copy, text, size);
    return copy;
}

bool bv_list_grow(void **list, size_t count, size_t *capacity, size_t element) {
    if (count < *capacity) return true;
    const size_t wanted = *capacity ? 2 * *capacity : 16;
    void *larger = bv_realloc(*list, wanted * element);
    if (!larger) return false;
    *list = larger;
    *capacity = wanted;
    return true;
}

/* Stands before an aligned block: where the memory came from. */
typedef struct origin {
    void *raw;
    size_t mapped; /* bytes to unmap; 0: from the allocator */
} origin;

/* Large blocks come from the system, page by page when they are first touched, as zeros: who
 * computes on them pays for what it uses, and all threads share the work. */
static void *map_zeros(size_t size) {
    check_phase();
    void *raw = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return raw == MAP_FAILED ? NULL : raw;
}

void *bv_malloc_aligned(size_t size) {
    const size_t alignment = size >= BV_HUGE_PAGE ? BV_HUGE_PAGE : 64;
    if (size > SIZE_MAX - alignment - sizeof(origin)) return NULL;
    const size_t whole = size + alignment + sizeof(origin);
    const bool mapped = size >= BV_HUGE_PAGE && !current.reallocate;
    char *raw = mapped ? map_zeros(whole) : bv_malloc(whole);
    if (!raw) return NULL;
    const uintptr_t address = ((uintptr_t)raw + sizeof(origin) + alignment - 1) & ~(alignment - 1);
    char *aligned = raw + (address - (uintptr_t)raw);
    const origin from = {raw, mapped ? whole : 0};
    memcpy(aligned - sizeof from, &from, sizeof from);
    if (size >= BV_HUGE_PAGE) madvise(aligned, size / BV_HUGE_PAGE * BV_HUGE_PAGE, MADV_HUGEPAGE);
    if (!mapped) memset(aligned, 0, size);
    return aligned;
}

void bv_free_aligned(void *pointer) {
    if (!pointer) return;
    origin from;
    memcpy(&from, (char *)pointer - sizeof from, sizeof from);
    if (from.mapped)
        munmap(from.raw, from.mapped);
    else
        bv_free(from.raw);
}

/* ---- arenas ---- */

#define BLOCK_SIZE ((size_t)64 << 10)

typedef struct block {
    struct block *next;
    size_t used, size;
} block; /* followed by its bytes, 16-byte aligned */

#define HEADER ((sizeof(block) + 15) / 16 * 16)

struct bv_arena {
    block *blocks; /* newest first */
};

bv_arena *bv_arena_create(void) {
    return bv_calloc(1, sizeof(bv_arena));
}

void bv_arena_destroy(bv_arena **arena) {
    if (!*arena) return;
    for (block *b = (*arena)->blocks, *next; b; b = next) {
        next = b->next;
        bv_free(b);
    }
    bv_free(*arena);
    *arena = NULL;
}

void *bv_arena_alloc(bv_arena *arena, size_t size) {
    if (size > SIZE_MAX / 2) return NULL;
    size = (size + 15) / 16 * 16;
    block *b = arena->blocks;
    if (!b || b->size - b->used < size) {
        const size_t wanted = size > BLOCK_SIZE ? size : BLOCK_SIZE;
        b = bv_malloc(HEADER + wanted);
        if (!b) return NULL;
        *b = (block){arena->blocks, 0, wanted};
        arena->blocks = b;
    }
    char *pointer = (char *)b + HEADER + b->used;
    b->used += size;
    return memset(pointer, 0, size);
}

char *bv_arena_strdup(bv_arena *arena, const char *text) {
    const size_t size = strlen(text) + 1;
    char *copy = bv_arena_alloc(arena, size);
    return copy ? memcpy(copy, text, size) : NULL;
}

char *bv_arena_printf(bv_arena *arena, const char *format, ...) {
    va_list list;
    va_start(list, format);
    const int length = vsnprintf(NULL, 0, format, list);
    va_end(list);
    if (length < 0) return NULL;
    char *text = bv_arena_alloc(arena, (size_t)length + 1);
    if (!text) return NULL;
    va_start(list, format);
    vsnprintf(text, (size_t)length + 1, format, list);
    va_end(list);
    return text;
}
