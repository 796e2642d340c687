#include "train/settings.h"

#include "base/file.h"
#include "base/text.h"
#include "kernel/real_host.h"
#include "model/kneser_ney.h"
#include "train/presets.h"
#include <stddef.h>
#include <stdio.h>
#include <string.h>

typedef enum setting_type { SIZE, REAL, BOOL, CHOICE } setting_type;

typedef struct setting {
    const char *name;
    setting_type type;
    size_t offset;
    double min, max;
    const char *choices[5]; /* of an enum, in the order of its values */
} setting;

/* clang-format off */
#define AT(member) offsetof(bv_settings, member)
#define SIZE_ROW(name, member, min, max, help) {#name, SIZE, AT(member), min, max, {0}},
#define REAL_ROW(name, member, min, max, help) {#name, REAL, AT(member), min, max, {0}},
#define BOOL_ROW(name, member, help) {#name, BOOL, AT(member), 0, 0, {0}},
#define CHOICE_ROW(name, member, choices, help) {#name, CHOICE, AT(member), 0, 0, {LIST choices}},
#define LIST(...) __VA_ARGS__
static const setting table[] = {BV_SETTINGS_LIST(SIZE_ROW, REAL_ROW, BOOL_ROW, CHOICE_ROW)};
/* clang-format on */
#define COUNT (sizeof table / sizeof *table)

void bv_settings_default(bv_settings *s) {
    *s = (bv_settings){.model = {.context = 256,
                                 .layers = 4,
                                 .heads = 4,
                                 .width = 128,
                                 .rope_base = 10000,
                                 .norm_eps = 1e-5,
                                 .bias = true,
                                 .tied = true,
                                 .ngram_rows = 4096},
                       .batch = 12,
                       .grains = 1,
                       .steps = 1000,
                       .seed = 1337,
                       .lr = 1e-3,
                       .min_lr = 1e-4,
                       .beta1 = 0.9,
                       .beta2 = 0.95,
                       .eps = 1e-8,
                       .weight_decay = 0.1,
                       .muon_lr = 0.02,
                       .muon_momentum = 0.95,
                       .grad_clip = 1,
                       .warmup = 100,
                       .decay = 0.2,
                       .order = BV_ORDER_EPOCH,
                       .eval_every = 250,
                       .checkpoint_every = 500,
                       .keep = 2,
                       .guard_limit = 8,
                       .fuse = true};
}

static const setting *find(const char *key) {
    for (size_t i = 0; i < COUNT; i++)
        if (!strcmp(table[i].name, key)) return &table[i];
    return NULL;
}

/* What nanoGPT, llm.c and others call a setting, and we. */
static const char *const elsewhere[][2] = {
    {"learning_rate", "lr"},
    {"max_lr", "lr"},
    {"lr_decay_iters", "steps"},
    {"batch_size", "batch"},
    {"block_size", "context"},
    {"sequence_length", "context"},
    {"seq_len", "context"},
    {"n_layer", "layers"},
    {"num_layers", "layers"},
    {"n_head", "heads"},
    {"num_heads", "heads"},
    {"n_embd", "width"},
    {"d_model", "width"},
    {"hidden_size", "width"},
    {"max_iters", "steps"},
    {"max_steps", "steps"},
    {"epochs", "steps"},
    {"warmup_iters", "warmup"},
    {"warmup_steps", "warmup"},
    {"eval_interval", "eval_every"},
    {"eval_iters", "eval_windows"},
    {"save_interval", "checkpoint_every"},
    {"gradient_accumulation_steps", "micro_batch"},
    {"max_grad_norm", "grad_clip"},
};

const char *bv_settings_name_here(const char *name) {
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++)
        if (!strcmp(elsewhere[i][0], name)) return elsewhere[i][1];
    return NULL;
}

static bv_error *unknown(const char *key) {
    const char *names[COUNT], *near = bv_settings_name_here(key);
    for (size_t i = 0; i < COUNT; i++) names[i] = table[i].name;
    if (!near) near = bv_suggest(key, names, COUNT);
    bv_error *error = bv_fail(BV_CODE_USAGE, "no setting is named \"%s\"", key);
    return near ? bv_try(error, "%s", near) : bv_try(error, "beaver train --help lists them all");
}

static bv_status set_choice(const setting *s, void *at, const char *value) {
    for (int i = 0; i < 5 && s->choices[i]; i++) {
        if (strcmp(s->choices[i], value)) continue;
        memcpy(at, &i, sizeof i); /* enums are ints here */
        return BV_OK;
    }
    bv_error *error = bv_fail(BV_CODE_USAGE, "%s cannot be \"%s\"", s->name, value);
    for (int i = 0; i < 5 && s->choices[i]; i++) error = bv_try(error, "%s", s->choices[i]);
    return error;
}

bv_status bv_settings_set(bv_settings *settings, const char *key, const char *value) {
    const setting *s = find(key);
    if (!s) return unknown(key);
    void *at = (char *)settings + s->offset;
    int64_t whole;
    switch (s->type) {
    case SIZE:
        BV_TRY(bv_parse_int(key, value, (int64_t)s->min, (int64_t)s->max, &whole));
        *(size_t *)at = (size_t)whole;
        return BV_OK;
    case REAL:
        return bv_parse_double(key, value, s->min, s->max, at);
    case BOOL:
        return bv_parse_bool(key, value, at);
    case CHOICE:
        return set_choice(s, at, value);
    }
    return BV_OK;
}

static bv_status set_pair(bv_settings *settings, const char *text, size_t size) {
    char word[64];
    snprintf(word, sizeof word, "%.*s", (int)size, text);
    char *value = strchr(word, '=');
    BV_ASSERT(value);
    *value = 0;
    return bv_settings_set(settings, word, value + 1);
}

bv_status bv_settings_preset(bv_settings *settings, const char *name) {
    const char *text = bv_preset_text(name);
    if (!text) {
        size_t count;
        const char *const *names = bv_preset_names(&count);
        const char *near = bv_suggest(name, names, count);
        return bv_try(bv_fail(BV_CODE_USAGE, "no preset is named \"%s\"", name), "%s",
                      near ? near : "gpt2, nanogpt-char-cpu, mini or demo");
    }
    return bv_settings_words(settings, text);
}

bv_status bv_settings_words(bv_settings *settings, const char *words) {
    for (size_t n; *words; words += n + strspn(words + n, " ")) {
        n = strcspn(words, " ");
        BV_TRY(set_pair(settings, words, n));
    }
    return BV_OK;
}

/* Line on which a key stands in the text of a file. */
static size_t line_of(const char *text, const char *key) {
    char quoted[80];
    snprintf(quoted, sizeof quoted, "\"%s\"", key);
    const char *at = strstr(text, quoted);
    size_t line = 1;
    for (const char *p = text; at && p < at; p++) line += *p == '\n';
    return line;
}

static bv_status set_json(bv_settings *settings, const char *key, const json_t *value) {
    char text[64];
    if (!find(key)) return unknown(key);
    if (json_is_string(value)) return bv_settings_set(settings, key, json_string_value(value));
    if (json_is_boolean(value))
        return bv_settings_set(settings, key, json_is_true(value) ? "true" : "false");
    if (json_is_integer(value))
        snprintf(text, sizeof text, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value))
        snprintf(text, sizeof text, "%.17g", json_real_value(value));
    else
        return bv_fail(BV_CODE_USAGE, "%s: neither number, word nor true or false", key);
    return bv_settings_set(settings, key, text);
}

static bv_status set_all(bv_settings *settings, const json_t *object, const char *path,
                         const char *text) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value) {
        bv_error *error = set_json(settings, key, value);
        if (error) return bv_while(error, "reading %s:%zu", path, line_of(text, key));
    }
    return BV_OK;
}

bv_status bv_settings_load(bv_settings *settings, const char *path) {
    bv_buffer text = {0};
    json_t *object = NULL;
    bv_error *error = bv_file_read(path, &text);
    if (!error) error = bv_json_parse(text.data ? text.data : "", text.size, path, &object);
    if (!error && !json_is_object(object))
        error = bv_fail(BV_CODE_USAGE, "%s is no JSON object of settings", path);
    /* A run's config.json holds its settings beside other things. */
    const json_t *inner = json_object_get(object, "settings");
    const bool run = json_is_object(inner) && json_object_get(object, "format");
    if (!error) error = set_all(settings, run ? inner : object, path, text.data ? text.data : "");
    json_decref(object);
    bv_buffer_free(&text);
    return error;
}

json_t *bv_settings_json(const bv_settings *settings) {
    json_t *object = json_object();
    for (size_t i = 0; i < COUNT; i++) {
        const setting *s = &table[i];
        const void *at = (const char *)settings + s->offset;
        json_t *value = NULL;
        int choice;
        switch (s->type) {
        case SIZE:
            value = json_integer((json_int_t) * (const size_t *)at);
            break;
        case REAL:
            value = json_real(*(const double *)at);
            break;
        case BOOL:
            value = json_boolean(*(const bool *)at);
            break;
        case CHOICE:
            memcpy(&choice, at, sizeof choice);
            value = json_string(s->choices[choice]);
            break;
        }
        json_object_set_new(object, s->name, value);
    }
    return object;
}

/* As typed; numbers with all the digits that tell them from others. */
static void print_value(const bv_settings *settings, const setting *s, char *text, size_t size) {
    const void *at = (const char *)settings + s->offset;
    int choice;
    switch (s->type) {
    case SIZE:
        snprintf(text, size, "%zu", *(const size_t *)at);
        break;
    case REAL:
        bv_print_double(text, size, *(const double *)at);
        break;
    case BOOL:
        snprintf(text, size, "%s", *(const bool *)at ? "true" : "false");
        break;
    case CHOICE:
        memcpy(&choice, at, sizeof choice);
        snprintf(text, size, "%s", s->choices[choice]);
        break;
    }
}

bool bv_settings_text(const bv_settings *settings, const char *key, char *text, size_t size) {
    const setting *s = find(key);
    if (s) print_value(settings, s, text, size);
    return s;
}

static bool is_free(const char *name, const char *const *names) {
    for (; names && *names; names++)
        if (!strcmp(*names, name)) return true;
    return false;
}

/* The first of the first `count` settings that differs is BV_CODE_USAGE. */
static bv_status compare(const bv_settings *kept, const bv_settings *wanted, size_t count,
                         const char *const *free_names, const char *what) {
    for (size_t i = 0; i < count; i++) {
        char has[64], asked[64];
        if (is_free(table[i].name, free_names)) continue;
        print_value(kept, &table[i], has, sizeof has);
        print_value(wanted, &table[i], asked, sizeof asked);
        if (strcmp(has, asked))
            return bv_fail(BV_CODE_USAGE, "the %s has %s=%s, not %s", what, table[i].name, has,
                           asked);
    }
    return BV_OK;
}

bv_status bv_settings_same(const bv_settings *kept, const bv_settings *wanted,
                           const char *const *free_names) {
    return bv_try(compare(kept, wanted, COUNT, free_names, "run"), "without it, or another --out");
}

bv_status bv_settings_same_model(const bv_settings *kept, const bv_settings *wanted) {
    const bool turned = kept->model.position == BV_POSITION_ROPE; /* no weight of a position */
    const char *const free_names[] = {"dropout", "document_mask", turned ? "context" : NULL, NULL};
    size_t of_model = 0;
    while (table[of_model].offset < sizeof kept->model) of_model++;
    return bv_try(compare(kept, wanted, of_model, free_names, "model"),
                  "without it: --from takes the model as it is");
}

bv_status bv_settings_check(bv_settings *s) {
    BV_TRY(bv_gpt_config_check(&s->model));
    if (s->batch % s->grains)
        return bv_try(bv_fail(BV_CODE_USAGE, "batch %zu is not a multiple of grains %zu", s->batch,
                              s->grains),
                      "--set batch=%zu", (s->batch / s->grains + 1) * s->grains);
    const size_t grain = s->batch / s->grains;
    if (s->micro_batch == 0 || s->micro_batch > grain) s->micro_batch = grain;
    if (s->beta1 == 1 || s->beta2 == 1)
        return bv_try(bv_fail(BV_CODE_USAGE,
                              "beta1 %g and beta2 %g must be less than 1: a mean "
                              "that takes in nothing new",
                              s->beta1, s->beta2),
                      "--set beta1=0.9 --set beta2=0.95");
    if ((float)s->eps == 0)
        return bv_try(bv_fail(BV_CODE_USAGE,
                              "eps %g is 0 in f32: AdamW would divide 0 by 0 where there is no "
                              "gradient",
                              s->eps),
                      "--set eps=1e-8");
    if (s->numerics == BV_NUMERICS_BF16 && (s->model.context % 2 || s->model.d_head % 2))
        return bv_try(bv_fail(BV_CODE_USAGE,
                              "bf16 sums in pairs: context %zu and d_head %zu must be even",
                              s->model.context, s->model.d_head),
                      "--dtype f32");
    return BV_OK;
}

double bv_settings_schedule(const bv_settings *s, size_t step) {
    const double least = s->lr > 0 ? s->min_lr / s->lr : 0;
    if (step < s->warmup) return (double)(step + 1) / (double)(s->warmup + 1);
    if (s->schedule == BV_SCHEDULE_CONSTANT) return 1;
    if (step >= s->steps) return least;
    const double after = (double)(step - s->warmup);
    const double all = (double)(s->steps > s->warmup ? s->steps - s->warmup : 1);
    if (s->schedule == BV_SCHEDULE_COSINE)
        return least + 0.5 * (1 + bv_cos(3.141592653589793 * after / all)) * (1 - least);
    const double left = (double)(s->steps - step), decay = s->decay * (double)s->steps;
    return left >= decay || decay <= 0 ? 1 : least + (1 - least) * left / decay;
}

size_t bv_settings_batch_at(const bv_settings *s, size_t step) {
    if (step >= s->batch_ramp) return s->batch;
    const size_t units = s->batch / s->grains;
    return (1 + (units - 1) * step / s->batch_ramp) * s->grains;
}

/* The sum of floor(a i / m) over i < n, by Euclid's algorithm: the whole part of the slope is taken
 * out, and what is left of the points below the line is counted by rows in place of columns. */
static uint64_t floor_sum(uint64_t n, uint64_t m, uint64_t a) {
    uint64_t sum = 0;
    for (uint64_t b = 0;;) { /* of floor((a i + b) / m) */
        sum += n * (n - 1) / 2 * (a / m) + n * (b / m);
        a %= m;
        b %= m;
        const uint64_t top = a * n + b, rest = a;
        if (top < m) return sum;
        n = top / m;
        b = top % m;
        a = m;
        m = rest;
    }
}

uint64_t bv_settings_sequences_before(const bv_settings *s, size_t step) {
    const uint64_t ramp = step < s->batch_ramp ? step : s->batch_ramp;
    const uint64_t more = ramp ? floor_sum(ramp, s->batch_ramp, s->batch / s->grains - 1) : 0;
    return (ramp + more) * s->grains + (step - ramp) * s->batch;
}
