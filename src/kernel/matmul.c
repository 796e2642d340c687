#include "kernel/matmul.h"

#include "base/order.h"
#include "kernel/blocks.h"
#include "kernel/kernel.h"
#include <stdint.h>

/*
 * The loops around the micro-kernels. A thread owns a rectangle of C and takes it in blocks that
 * its second-level cache holds:
 *
 *     columns of C, nc at a time      (B of these columns is packed here if it wasn't before)
 *       rows of C, mc at a time
 *         k, kc at a time             (A of these rows is packed here, see packs_rows())
 *           panels of `cols` columns
 *             tiles of `rows` rows
 *
 * With more than one block of k, sums rest in a block of reals between them; the first block reads
 * what C begins with, the last one adds the bias and rounds. Packed B: [blocks of k][panels][steps,
 * width] words, so that a panel is one stream and no two are a power of two apart.
 */

#define K_MAX_REAL 1024
#define K_MAX_BF16 1024
#define ROWS_BYTES ((size_t)256 << 10) /* of A, in the second-level cache */
#define ROWS_MAX 96                    /* of a block of sums */
#define COLS_MAX 816                   /* of a block of sums, of B that is packed on the way */
#define ALONE 32768                    /* multiply-adds that are not worth waking a thread */
#define BLOCKS_A_THREAD 8              /* of rows, where threads share them, and smaller ones */
#define SMALL_B ((size_t)1 << 20)      /* bytes of B that are soon read once more */
#define UNIT_TILES 4                   /* the least of a block with a larger B */

/* ---- the layout of packed operands ---- */

static size_t word_size(bv_dtype type) {
    return type == BV_BF16 ? 4 : bv_dtype_size(type);
}

static size_t steps_of(bv_dtype type, size_t k) {
    return type == BV_BF16 ? (k + 1) / 2 : k;
}

static size_t k_block(bv_dtype type, size_t k) {
    return piece(k, type == BV_BF16 ? K_MAX_BF16 : K_MAX_REAL, 16);
}

/* Is A packed on the way, and what does a step of it take of a row then? */
static bool packs_rows(const bv_matmul_kernels *kernels, const bv_matmul_args *args) {
    if (args->a_transposed) return true;
    if (args->type == BV_BF16) return kernels->splits_pairs;
    const size_t columns = kernels->packs_reals;
    return columns > 0 && args->n >= columns && args->m > 4 * kernels->rows;
}

/* Are whole panels of B packed by the tiles that use them first? */
static bool takes_source(const bv_matmul_kernels *kernels, const bv_matmul_args *args) {
    const bv_matmul_source *s = &args->b_source;
    return kernels->takes_source && packs_rows(kernels, args) && !args->b && s->col_stride == 1 &&
           s->type == args->type && (args->type != BV_BF16 || args->k % 2 == 0);
}

static size_t packed_word(const bv_matmul_kernels *kernels, bv_dtype type) {
    return word_size(type) * (type == BV_BF16 && kernels->splits_pairs ? 2 : 1);
}

/* From tile to tile of packed A: a cache line more than needed, because all tiles are written at
 * once and a power of two between them would put them into the same few places of the cache. */
static size_t rows_tile_bytes(const bv_matmul_kernels *kernels, bv_dtype type, size_t k) {
    return up(kernels->rows * steps_of(type, k) * packed_word(kernels, type), 64) + 64;
}

/* Bytes before the panel of column col (a multiple of the tile's) in the block that begins at k. */
static size_t panel_offset(bv_dtype type, size_t k_begin, size_t k_end, size_t n, size_t col) {
    const size_t before = steps_of(type, k_begin) * up(n, 16);
    return (before + steps_of(type, k_end - k_begin) * col) * word_size(type);
}

size_t bv_matmul_packed_bytes(const bv_kernels *kernels, bv_dtype type, size_t k, size_t n) {
    (void)kernels;
    return steps_of(type, k) * up(n, 16) * word_size(type);
}

/* ---- packing B ---- */

/* Elements k .. k_end - 1 of the columns of one panel. */
static void pack_panel(const bv_matmul_kernels *kernels, bv_dtype type,
                       const bv_matmul_source *source, size_t k, size_t k_end, size_t col, size_t n,
                       void *out) {
    if (type == BV_BF16)
        kernels->pack_panel_bf16(source, k, k_end, col, n, out);
    else
        kernels->pack_panel(source, k, k_end, col, n, out);
}

size_t bv_matmul_pack_unit(const bv_kernels *kernels) {
    return kernels->matmul->cols;
}

void bv_matmul_pack_range(const bv_kernels *kernels, bv_dtype type, const bv_matmul_source *source,
                          void *packed, size_t k_begin, size_t k_end, size_t col_begin,
                          size_t col_end) {
    const size_t cols = kernels->matmul->cols, kc = k_block(type, source->k);
    for (size_t block = k_begin / kc * kc; block < k_end; block += kc) {
        const size_t block_end = least(block + kc, source->k);
        const size_t k = bv_larger(block, k_begin), end = least(block_end, k_end);
        for (size_t col = col_begin; col < col_end; col += cols) {
            const size_t n = least(cols, source->n - col);
            char *panel = (char *)packed + panel_offset(type, block, block_end, source->n, col);
            char *out = panel + steps_of(type, k - block) * up(n, 16) * word_size(type);
            pack_panel(kernels->matmul, type, source, k, end, col, n, out);
        }
    }
}

typedef struct pack_task {
    const bv_kernels *kernels;
    const bv_matmul_source *source;
    bv_dtype type;
    void *packed;
} pack_task;

static void pack_columns(void *context, size_t begin, size_t end) {
    const pack_task *t = context;
    bv_matmul_pack_range(t->kernels, t->type, t->source, t->packed, 0, t->source->k, begin, end);
}

void bv_matmul_pack(const bv_kernels *kernels, bv_pool *pool, bv_dtype type,
                    const bv_matmul_source *source, void *packed) {
    pack_task task = {kernels, source, type, packed};
    bv_pool_run_ranges(source->k * source->n < ALONE ? NULL : pool, source->n,
                       kernels->matmul->cols, pack_columns, &task);
}

/* ---- who computes what, in which blocks ---- */

typedef struct blocking {
    division parts;
    bool packs;        /* packs_rows() */
    bool takes_source; /* takes_source() */
    bool shares_rows;  /* blocks of rows go to whoever is ready: cores are not equally fast */
    size_t unit;       /* rows: blocks that are shared are a multiple of these */
    size_t kc, mc, nc;
    size_t sums, rows, panels; /* bytes of a thread's scratch: sums of C, packed A, packed B */
} blocking;

/* Columns of which a thread's are multiples: of a panel's where B is packed already. */
static size_t cols_unit(const bv_matmul_kernels *kernels, const bv_matmul_args *args) {
    return args->b ? kernels->cols : 16;
}

/* What has to be packed costs more. */
static division divide_product(const bv_matmul_kernels *kernels, const bv_matmul_args *args,
                               size_t threads) {
    if (args->m * args->n * args->k < ALONE) threads = 1;
    return divide(args->m, args->n, kernels->rows, cols_unit(kernels, args),
                  packs_rows(kernels, args) ? 32 : 4, args->b ? 4 : 32, threads);
}

/* Rows of which blocks that threads share are multiples: a tile's, so that all end together, but
 * for an A that is transposed, of whose lines fewer would take small parts. */
static size_t rows_unit(const bv_matmul_kernels *kernels, const bv_matmul_args *args) {
    const bool small = args->n * steps_of(args->type, args->k) * word_size(args->type) <= SMALL_B;
    return kernels->rows * (small && !args->a_transposed ? 1 : UNIT_TILES);
}

static blocking plan_blocks(const bv_kernels *k, const bv_matmul_args *args, size_t threads) {
    const bv_matmul_kernels *kernels = k->matmul;
    blocking b = {.parts = divide_product(kernels, args, threads),
                  .packs = packs_rows(kernels, args),
                  .takes_source = takes_source(kernels, args)};
    const size_t m = share(args->m, kernels->rows, b.parts.m);
    const size_t n = share(args->n, cols_unit(kernels, args), b.parts.n);
    b.kc = k_block(args->type, args->k);
    const bool many = b.kc < args->k;
    const size_t bytes = b.packs ? steps_of(args->type, b.kc) * packed_word(kernels, args->type)
                                 : b.kc * bv_dtype_size(args->type);
    size_t m_most = least(ROWS_BYTES / bytes, many ? ROWS_MAX : SIZE_MAX);
    m_most = m_most < kernels->rows ? kernels->rows : m_most / kernels->rows * kernels->rows;
    const size_t n_most = COLS_MAX / kernels->cols * kernels->cols;
    b.nc = many || !args->b ? piece(n, n_most, kernels->cols) : up(n, kernels->cols);
    b.shares_rows = b.parts.m > 1 && b.parts.n == 1 && b.nc >= n;
    b.unit = rows_unit(kernels, args);
    if (b.unit > least(m, m_most)) b.unit = kernels->rows;
    if (b.shares_rows)
        m_most = least(m_most / b.unit * b.unit, up(m / BLOCKS_A_THREAD + 1, b.unit));
    b.mc = piece(m, m_most, b.shares_rows ? b.unit : kernels->rows);
    const size_t width = least(b.nc, up(n, 16));
    b.sums = many ? up(least(b.mc, m) * width * bv_dtype_size(k->real), 64) : 0;
    if (b.packs) b.rows = b.mc / kernels->rows * rows_tile_bytes(kernels, args->type, b.kc);
    b.panels = args->b ? 0 : up(width * steps_of(args->type, args->k) * word_size(args->type), 64);
    return b;
}

/* The most that a thread's part takes in this division, of A's rows as many as args says or fewer:
 * with fewer, blocks of rows may be higher, and those of k longer. */
static size_t part_bytes(const bv_kernels *k, const bv_matmul_args *args, division parts) {
    const bv_matmul_kernels *kernels = k->matmul;
    const size_t m = up(share(args->m, kernels->rows, parts.m), kernels->rows);
    const size_t n = share(args->n, kernels->cols, parts.n);
    const size_t n_most = COLS_MAX / kernels->cols * kernels->cols;
    const size_t width = least(piece(n, n_most, kernels->cols), up(n, 16));
    const size_t k_most = args->type == BV_BF16 ? K_MAX_BF16 : K_MAX_REAL;
    size_t bytes = 0;
    if (args->k > k_most)
        bytes += up(least(m, up(ROWS_MAX, kernels->rows)) * width * bv_dtype_size(k->real), 64);
    if (packs_rows(kernels, args)) {
        const size_t tiles = m / kernels->rows;
        const size_t tile = rows_tile_bytes(kernels, args->type, least(up(args->k, 16), k_most));
        bytes += least(tiles * tile, ROWS_BYTES + tiles * 128); /* 128: a tile's rounding */
    }
    if (!args->b) bytes += up(width * steps_of(args->type, args->k) * word_size(args->type), 64);
    return bytes;
}

/* With fewer rows, or with a packed B, C may be divided otherwise: the most of all divisions. */
size_t bv_matmul_scratch_bytes(const bv_kernels *kernels, int threads, const bv_matmul_args *args) {
    const size_t count = (size_t)threads;
    size_t most = part_bytes(kernels, args, (division){1, 1}); /* what is too small to divide */
    for (size_t m = 1; m <= count; m++) {
        const division parts = {m, count / m};
        if (count % m == 0) most = bv_larger(most, count * part_bytes(kernels, args, parts));
    }
    return most;
}

/* ---- the loops ---- */

typedef struct matmul_task {
    const bv_kernels *kernels;
    const bv_matmul_args *args;
    bv_pool *pool;
    blocking blocking;
    char *scratch;
} matmul_task;

/* Where one thread is. */
typedef struct place {
    const matmul_task *task;
    char *sums, *rows, *panels; /* its scratch */
    size_t k, k_end, row, row_end, col, col_end;
    size_t rows_end; /* of its rows, as far as it knows now */
    const char *b;   /* packed B and its number of columns, and the first of them */
    size_t b_cols, b_begin;
    bool unpacked; /* are panels of B packed when they are used? */
} place;

static void *c_at(const bv_matmul_args *args, size_t row, size_t col) {
    return (char *)args->c + (row * args->ldc + col) * bv_dtype_size(args->c_type);
}

static void locate_rows(const place *p, bv_matmul_block *block) {
    const bv_matmul_args *args = p->task->args;
    const bv_matmul_kernels *kernels = p->task->kernels->matmul;
    const size_t size = bv_dtype_size(args->type), word = word_size(args->type);
    if (p->task->blocking.packs) {
        block->a = p->rows;
        block->a_row = word;
        block->a_step = kernels->rows * packed_word(kernels, args->type);
        block->a_tile = rows_tile_bytes(kernels, args->type, p->k_end - p->k);
        block->a_padded = true;
    } else {
        block->a = (const char *)args->a + (p->row * args->lda + p->k) * size;
        block->a_row = args->lda * size;
        block->a_step = word;
    }
}

/* Where sums come from and go to in this block of k. */
static void locate_sums(const place *p, size_t col, bv_matmul_block *block) {
    const bv_matmul_args *args = p->task->args;
    const size_t stride = least(p->task->blocking.nc, up(p->col_end - p->col, 16));
    char *sums = p->sums + (col - p->col) * bv_dtype_size(p->task->kernels->real);
    if (p->k > 0) {
        block->start = sums;
        block->start_stride = stride;
    } else if (args->accumulate) {
        block->start = c_at(args, p->row, col);
        block->start_stride = args->ldc;
    }
    if (p->k_end < args->k) {
        block->out = sums;
        block->out_stride = stride;
        block->out_type = p->task->kernels->real;
    } else {
        block->out = c_at(args, p->row, col);
        block->out_stride = args->ldc;
        block->out_type = args->c_type;
        const size_t real = bv_dtype_size(p->task->kernels->real);
        if (args->bias) block->bias = (const char *)args->bias + col * real;
        if (args->addend)
            block->addend = (const char *)args->addend + (p->row * args->ldc + col) * real;
    }
}

/* What the panel after this one is packed of: rows of B, or columns that are one piece. */
static void fetch_source(const place *p, size_t col, bv_matmul_block *block) {
    const bv_matmul_source *s = &p->task->args->b_source;
    const size_t size = bv_dtype_size(s->type), next = col + p->task->kernels->matmul->cols;
    const size_t count = least(p->col_end - next, next - col);
    const bool rows = s->col_stride == 1, whole = s->row_stride == 1 && s->col_stride == block->k;
    if (!rows && !whole) return;
    block->next = (const char *)s->data + (p->k * s->row_stride + next * s->col_stride) * size;
    block->next_row = rows ? s->row_stride * size : 0;
    block->next_rows = rows ? block->k : 1;
    block->next_bytes = (rows ? 1 : block->k) * count * size;
}

/* The rows of A that come after these: further ones of k that are packed, or the block below. */
static void fetch_block(const place *p, bv_matmul_block *block) {
    const bv_matmul_args *args = p->task->args;
    const bool packed = args->a_transposed, deeper = p->k_end < args->k;
    const size_t row = deeper ? p->row : p->row_end, k = deeper ? p->k_end : 0;
    const size_t size = bv_dtype_size(args->type);
    const bool whole = !packed && args->lda == block->k;
    if (row >= p->rows_end || (!packed && !whole)) return;
    const size_t count = least(p->rows_end - row, block->m);
    block->next = (const char *)args->a + (packed ? k * args->lda + row : row * args->lda) * size;
    block->next_row = packed ? args->lda * size : 0;
    block->next_rows = packed ? least(args->k - k, p->task->blocking.kc) : 1;
    block->next_bytes = (packed ? 1 : args->lda) * count * size;
}

/* The panel, what it is made of where the block does that, and what comes next. */
static void locate_panel(const place *p, size_t col, bv_matmul_block *block) {
    const bv_matmul_args *args = p->task->args;
    const bv_matmul_kernels *kernels = p->task->kernels->matmul;
    const size_t cols = kernels->cols, left = p->col_end - col;
    const size_t at = panel_offset(args->type, p->k, p->k_end, p->b_cols, col - p->b_begin);
    block->follows = block->m > kernels->rows && left >= 2 * cols;
    block->panel = (void *)(uintptr_t)(p->b + at);
    if (p->unpacked && p->task->blocking.takes_source && left >= cols) {
        const size_t size = bv_dtype_size(args->type), row = args->b_source.row_stride;
        block->source = (const char *)args->b_source.data + (p->k * row + col) * size;
        block->source_row = row * size;
        if (block->follows) block->next = (const char *)block->source + cols * size;
    } else if (p->unpacked && left > cols) {
        if (!kernels->takes_source) fetch_source(p, col, block);
    } else if (block->follows) {
        const size_t steps = steps_of(args->type, block->k);
        block->next_bytes = cols * steps * word_size(args->type);
        block->next = (const char *)block->panel + block->next_bytes;
    } else if (left <= cols && !kernels->takes_source) {
        fetch_block(p, block);
    }
}

/* As far as this block of k goes. */
static void pack_here(const place *p, size_t col) {
    const bv_matmul_args *args = p->task->args;
    const bv_matmul_kernels *kernels = p->task->kernels->matmul;
    const size_t n = least(kernels->cols, p->col_end - col);
    char *out = p->panels + panel_offset(args->type, p->k, p->k_end, p->b_cols, col - p->b_begin);
    pack_panel(kernels, args->type, &args->b_source, p->k, p->k_end, col, n, out);
}

/* Panels that a block of so few rows takes at once; 0 of many rows. */
static size_t panels_at_once(const place *p) {
    return p->task->kernels->matmul->row_panels / (p->row_end - p->row);
}

/* n columns from col on: of one panel, or of several, `apart` columns from one to the next. */
static void run_block(const place *p, size_t col, size_t n, size_t apart) {
    const bv_matmul_args *args = p->task->args;
    const bv_matmul_kernels *kernels = p->task->kernels->matmul;
    bv_matmul_block block = {
        .m = p->row_end - p->row, .n = n, .k = p->k_end - p->k, .apart = apart};
    locate_rows(p, &block);
    locate_sums(p, col, &block);
    locate_panel(p, col, &block);
    if (p->unpacked && !block.source) pack_here(p, col);
    if (args->type == BV_BF16)
        kernels->block_bf16(&block);
    else
        kernels->block(&block);
}

/* Few rows take several panels at once. Each of these streams goes on where it ended in the block
 * before, as the hardware expects it, so that it does not have to find new ones. */
static void run_panels(const place *p) {
    const size_t cols = p->task->kernels->matmul->cols, several = panels_at_once(p);
    const size_t blocks = several > 1 ? (p->col_end - p->col) / cols / several : 0;
    for (size_t i = 0; i < blocks; i++)
        run_block(p, p->col + i * cols, several * cols, blocks * cols);
    for (size_t col = p->col + blocks * several * cols; col < p->col_end; col += cols)
        run_block(p, col, least(cols, p->col_end - col), 0);
}

static void pack_rows(const place *p) {
    const bv_matmul_args *args = p->task->args;
    const bv_matmul_kernels *kernels = p->task->kernels->matmul;
    const size_t first = args->a_transposed ? p->k * args->lda + p->row : p->row * args->lda + p->k;
    const char *a = (const char *)args->a + first * bv_dtype_size(args->type);
    const size_t m = p->row_end - p->row, k = p->k_end - p->k;
    const size_t tile = rows_tile_bytes(kernels, args->type, k);
    if (args->type == BV_BF16)
        kernels->pack_rows_bf16(a, args->lda, args->a_transposed, m, k, p->rows, tile);
    else
        kernels->pack_rows(a, args->lda, args->a_transposed, m, k, p->rows, tile);
}

/* All columns, for blocks that take several panels at once. */
static void pack_all_here(place *p) {
    const size_t cols = p->task->kernels->matmul->cols, k = p->task->args->k;
    const size_t kc = p->task->blocking.kc;
    for (p->k = 0; p->k < k; p->k += kc) {
        p->k_end = least(p->k + kc, k);
        for (size_t col = p->col; col < p->col_end; col += cols) pack_here(p, col);
    }
    p->unpacked = false;
}

/* B is packed where the first block of rows comes to it. */
static void prepare_panels(place *p) {
    if (p->task->args->b) return;
    p->unpacked = true;
    p->b = p->panels;
    p->b_begin = p->col;
    p->b_cols = p->col_end - p->col;
}

static void run_rows(place *p, size_t row_begin, size_t row_end) {
    const bv_matmul_args *args = p->task->args;
    const blocking *b = &p->task->blocking;
    for (p->row = row_begin; p->row < row_end; p->row += b->mc) {
        p->row_end = least(p->row + b->mc, row_end);
        if (p->unpacked && panels_at_once(p) > 1) pack_all_here(p);
        for (p->k = 0; p->k < args->k; p->k += b->kc) {
            p->k_end = least(p->k + b->kc, args->k);
            if (b->packs) pack_rows(p);
            run_panels(p);
        }
        p->unpacked = false;
    }
}

/* All columns, and blocks of rows as long as there are any. */
static void run_shared_rows(place *p, int part) {
    const blocking *b = &p->task->blocking;
    const size_t m = p->task->args->m;
    size_t first, end_unit;
    bv_pool_range((m + b->unit - 1) / b->unit, 1, part, (int)b->parts.m, &first, &end_unit);
    p->rows_end = least(end_unit * b->unit, m);
    p->col_end = p->task->args->n;
    prepare_panels(p);
    for (size_t i, end; bv_pool_take_some(p->task->pool, part, b->mc / b->unit, &i, &end);)
        run_rows(p, i * b->unit, least(end * b->unit, m));
}

static void run_part(void *context, int part, int parts) {
    (void)parts;
    const matmul_task *task = context;
    const bv_matmul_args *args = task->args;
    const blocking *b = &task->blocking;
    if ((size_t)part >= b->parts.m * b->parts.n) return;
    const bv_matmul_kernels *kernels = task->kernels->matmul;
    size_t row_begin, row_end, col_begin, col_end;
    bv_pool_range(args->m, kernels->rows, part / (int)b->parts.n, (int)b->parts.m, &row_begin,
                  &row_end);
    bv_pool_range(args->n, cols_unit(kernels, args), part % (int)b->parts.n, (int)b->parts.n,
                  &col_begin, &col_end);
    if (row_begin == row_end && !b->shares_rows) return;
    char *scratch = task->scratch + (size_t)part * (b->sums + b->rows + b->panels);
    place p = {.task = task,
               .sums = scratch,
               .rows = scratch + b->sums,
               .panels = scratch + b->sums + b->rows,
               .b = args->b,
               .b_cols = args->n};
    if (b->shares_rows) {
        run_shared_rows(&p, part);
        return;
    }
    for (p.col = col_begin; p.col < col_end; p.col += b->nc) {
        p.col_end = least(p.col + b->nc, col_end);
        prepare_panels(&p);
        p.rows_end = row_end;
        run_rows(&p, row_begin, row_end);
    }
}

void bv_matmul_run(const bv_kernels *kernels, bv_pool *pool, const bv_matmul_args *args,
                   void *scratch) {
    matmul_task task = {.kernels = kernels, .args = args, .pool = pool, .scratch = scratch};
    task.blocking = plan_blocks(kernels, args, (size_t)bv_pool_threads(pool));
    const blocking *b = &task.blocking;
    const bool alone = b->parts.m * b->parts.n == 1;
    if (b->shares_rows) bv_pool_share(pool, (args->m + b->unit - 1) / b->unit);
    bv_pool_run(alone ? NULL : pool, run_part, &task);
}
