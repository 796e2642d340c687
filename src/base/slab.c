#include "base/slab.h"

#include "base/memory.h"
#include "base/order.h"
#include <stdint.h>

#define BLOCK_MAX ((size_t)32 << 20) /* unless what is taken is larger */

/* What lies between two that were taken is nobody's. */
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define GAP 64
#define CLOSE(at, size) ASAN_POISON_MEMORY_REGION(at, size)
#define OPEN(at, size) ASAN_UNPOISON_MEMORY_REGION(at, size)
#else
#define GAP 0
#define CLOSE(at, size) (void)0
#define OPEN(at, size) (void)0
#endif

typedef struct bv_slab_block {
    struct bv_slab_block *before;
    char *data;
    size_t size, used;
} block;

static size_t up(size_t n, size_t unit) {
    return (n + unit - 1) / unit * unit;
}

/* As much as was taken before, so that a small slab stays small. */
static size_t block_size(const bv_slab *slab, size_t wanted) {
    const size_t size = bv_larger(slab->taken < BLOCK_MAX ? slab->taken : BLOCK_MAX, wanted);
    return size < BV_HUGE_PAGE ? size : up(size, BV_HUGE_PAGE);
}

static block *add_block(bv_slab *slab, size_t wanted) {
    block *b = bv_malloc(sizeof *b);
    if (!b) return NULL;
    const size_t size = block_size(slab, wanted);
    *b = (block){.before = slab->last, .data = bv_malloc_aligned(size), .size = size};
    if (!b->data) {
        bv_free(b);
        return NULL;
    }
    CLOSE(b->data, size);
    return slab->last = b;
}

void *bv_slab_take(bv_slab *slab, size_t size) {
    if (size > SIZE_MAX / 2) return NULL;
    const size_t wanted = up(size ? size : 1, 64) + GAP;
    block *b = slab->last;
    if (!b || b->size - b->used < wanted) b = add_block(slab, wanted);
    if (!b) return NULL;
    void *taken = b->data + b->used;
    OPEN(taken, size);
    b->used += wanted;
    slab->taken += size;
    return taken;
}

void bv_slab_free(bv_slab *slab) {
    for (block *b = slab->last, *before; b; b = before) {
        before = b->before;
        OPEN(b->data, b->size);
        bv_free_aligned(b->data);
        bv_free(b);
    }
    *slab = (bv_slab){0};
}
