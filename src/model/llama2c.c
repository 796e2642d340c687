#include "model/llama2c.h"

#include "base/file.h"
#include "model/gpt_score.h"
#include "model/named_tensor.h"
#include <stdio.h>
#include <string.h>

#define HEADER_BYTES (7 * 4)

/* The weights, in the file's order. */
typedef struct file {
    const bv_gpt_config *config;
    const unsigned char *at, *end;
    bv_weights *weights;
} file;

static int32_t read_i32(const unsigned char *p) {
    return (int32_t)(p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
}

/* Other models that people have. */
static bv_status check_foreign(const bv_map *map) {
    static const struct {
        size_t at;
        const char *begin, *what;
    } all[] = {{0, "GGUF", "GGUF, of llama.cpp"},
               {0, "PK\3\4", "a checkpoint of PyTorch"},
               {8, "{\"", "safetensors: weights without settings and tokenizer"}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const size_t size = strlen(all[i].begin);
        if (map->size >= all[i].at + size && !memcmp(map->data + all[i].at, all[i].begin, size))
            return bv_fail(BV_CODE_INPUT, "it is %s", all[i].what);
    }
    return BV_OK;
}

static bv_status read_config(const bv_map *map, bv_gpt_config *c) {
    BV_TRY(check_foreign(map));
    if (map->size < HEADER_BYTES)
        return bv_fail(BV_CODE_INPUT, "it has %zu bytes: no model", map->size);
    int32_t v[7];
    for (int i = 0; i < 7; i++) v[i] = read_i32(map->data + 4 * i);
    const bool tied = v[5] > 0;
    if (!tied) v[5] = v[5] == INT32_MIN ? 0 : -v[5];
    for (int i = 0; i < 7; i++)
        if (v[i] < 1 || v[i] > 1 << 24)
            return bv_fail(BV_CODE_INPUT, "number %d of its header is %d: no llama2.c model", i,
                           v[i]);
    *c = (bv_gpt_config){.vocab_size = (size_t)v[5],
                         .context = (size_t)v[6],
                         .layers = (size_t)v[2],
                         .heads = (size_t)v[3],
                         .kv_heads = (size_t)v[4],
                         .width = (size_t)v[0],
                         .ff_width = (size_t)v[1],
                         .position = BV_POSITION_ROPE,
                         .rope_base = 10000,
                         .rms_norm = true,
                         .norm_eps = 1e-5,
                         .activation = BV_SWIGLU,
                         .tied = tied};
    return bv_gpt_config_check(c);
}

static float *weight(const file *f, const char *format, size_t layer, size_t *elements) {
    char name[64];
    snprintf(name, sizeof name, "h.%zu.%s", layer, format);
    const char *wanted = layer == (size_t)-1 ? format : name;
    for (size_t i = 0; i < bv_weights_count(f->weights); i++) {
        const bv_parameter *p = bv_weights_parameter(f->weights, i);
        if (strcmp(p->name, wanted)) continue;
        *elements = bv_parameter_elements(p);
        return bv_weights_data(f->weights, p);
    }
    return NULL;
}

/* Reads `count` numbers to offset `at` of a weight. */
static bv_status take(file *f, const char *name, size_t layer, size_t at, size_t count) {
    size_t elements = 0;
    float *to = weight(f, name, layer, &elements);
    BV_ASSERT(to && at + count <= elements);
    if ((size_t)(f->end - f->at) / 4 < count)
        return bv_fail(BV_CODE_INPUT, "it ends inside %s", name);
    memcpy(to + at, f->at, count * 4);
    f->at += count * 4;
    return BV_OK;
}

static bv_status take_layers(file *f, const char *name, size_t at, size_t count) {
    for (size_t layer = 0; layer < f->config->layers; layer++)
        BV_TRY(take(f, name, layer, at, count));
    return BV_OK;
}

/* Rows 2i, 2i + 1 of each head -> i, i + d_head / 2, in place by way of `spare`. */
static void reorder(const file *f, size_t layer, size_t heads, size_t at, float *spare) {
    const size_t d = f->config->d_head, width = f->config->width;
    size_t elements;
    float *w = weight(f, "attn.c_attn.weight", layer, &elements) + at;
    for (size_t head = 0; head < heads; head++, w += d * width) {
        memcpy(spare, w, d * width * sizeof *w);
        for (size_t row = 0; row < d; row++)
            memcpy(w + (row / 2 + row % 2 * (d / 2)) * width, spare + row * width,
                   width * sizeof *w);
    }
}

static bv_status take_all(file *f) {
    const bv_gpt_config *c = f->config;
    const size_t whole = (size_t)-1, width = c->width, q = c->heads * c->d_head * width;
    const size_t kv = c->kv_heads * c->d_head * width, ff = c->ff_width * width;
    BV_TRY(take(f, "wte.weight", whole, 0, c->vocab_size * width));
    BV_TRY(take_layers(f, "ln_1.weight", 0, width));
    BV_TRY(take_layers(f, "attn.c_attn.weight", 0, q));
    BV_TRY(take_layers(f, "attn.c_attn.weight", q, kv));
    BV_TRY(take_layers(f, "attn.c_attn.weight", q + kv, kv));
    BV_TRY(take_layers(f, "attn.c_proj.weight", 0, q));
    BV_TRY(take_layers(f, "ln_2.weight", 0, width));
    BV_TRY(take_layers(f, "mlp.c_fc.weight", 0, ff));
    BV_TRY(take_layers(f, "mlp.c_proj.weight", 0, ff));
    BV_TRY(take_layers(f, "mlp.c_fc.weight", ff, ff));
    BV_TRY(take(f, "ln_f.weight", whole, 0, width));
    const size_t tables = c->context * c->d_head * 4; /* cosines and sines, which we make */
    if ((size_t)(f->end - f->at) < tables) return bv_fail(BV_CODE_INPUT, "it ends too early");
    f->at += tables;
    if (!c->tied) BV_TRY(take(f, "lm_head.weight", whole, 0, c->vocab_size * width));
    if (f->at != f->end) return bv_fail(BV_CODE_INPUT, "it is longer than its header says");
    float *spare = bv_malloc(c->d_head * width * sizeof *spare);
    if (!spare) return bv_fail_memory("a model");
    for (size_t layer = 0; layer < c->layers; layer++) {
        reorder(f, layer, c->heads, 0, spare);
        reorder(f, layer, c->kv_heads, q, spare);
    }
    bv_free(spare);
    return BV_OK;
}

/* The header must fit the size before anything of that size is allocated. What does not even hold a
 * part of the layers could have a count of weights beyond 64 bits, of which the rest would fit. */
static bv_status check_size(const bv_map *map, const bv_gpt_config *c) {
    const double part = (double)c->layers * (double)c->width * (double)(c->width + c->ff_width);
    if (part * 4 > (double)map->size)
        return bv_fail(BV_CODE_INPUT, "it has %zu bytes, its header asks for more than %.0f",
                       map->size, part * 4);
    const double numbers = (double)bv_gpt_parameter_count(c) + (double)(c->context * c->d_head);
    if (numbers * 4 + HEADER_BYTES == (double)map->size) return BV_OK;
    return bv_fail(BV_CODE_INPUT, "it has %zu bytes, its header asks for %.0f", map->size,
                   numbers * 4 + HEADER_BYTES);
}

bv_status bv_llama2c_load(const char *path, const bv_kernels *kernels, bv_pool *pool,
                          bv_gpt_config *config, bv_weights **weights) {
    bv_map map;
    *weights = NULL;
    BV_TRY(bv_map_open(path, &map));
    bv_error *error = read_config(&map, config);
    if (!error) error = check_size(&map, config);
    if (!error) error = bv_gpt_weights_create(config, kernels, pool, weights);
    file f = {config, map.data + HEADER_BYTES, map.data + map.size, *weights};
    if (!error) error = take_all(&f);
    if (!error) error = bv_map_check(&map, path);
    if (!error) bv_weights_changed(*weights);
    if (error) bv_weights_destroy(weights);
    bv_map_close(&map);
    return bv_while(error, "reading %s as a model of llama2.c", path);
}
