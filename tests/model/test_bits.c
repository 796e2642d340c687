/* The bits contract: weights and optimizer state after some steps have one SHA-256, whatever the
 * threads, the micro-batches, recomputation, fusion, the room of plans and the kernel level. */
#include "base/hash.h"
#include "support/check.h"
#include "support/tiny_gpt.h"
#include <stdlib.h>
#include <string.h>

typedef struct variant {
    const bv_kernels *kernels;
    int threads;
    size_t micro, grains;
    bv_recompute recompute;
    bool unfused;
    size_t room; /* sequences that plans are made for; 0: as many as run */
} variant;

/* Plans with room for so many rows keep no packed weights of the layers. */
#define MANY (BV_MANY_ROWS / TINY_CONTEXT + 1)

static void hash_list(bv_sha256 *hash, const bv_named_tensor *list, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const size_t n = bv_named_tensor_elements(&list[i]);
        bv_sha256_add(hash, list[i].data, n * bv_dtype_size(list[i].dtype));
    }
}

static void train(bv_gpt_config config, bv_numerics numerics, bv_optimizer_kind kind, variant v,
                  char text[BV_SHA256_TEXT_SIZE]) {
    assert_null(bv_gpt_config_check(&config));
    bv_pool *pool;
    assert_null(bv_pool_create(v.threads, &pool));
    bv_kneser_ney *counts = tiny_counts(&config);
    const bv_gpt_trainer_options options = {.config = config,
                                            .kneser_ney = counts,
                                            .numerics = numerics,
                                            .kernels = v.kernels,
                                            .pool = pool,
                                            .batch_max = TINY_BATCH,
                                            .micro_batch = v.room ? v.room : v.micro,
                                            .grains = v.grains,
                                            .recompute = v.recompute,
                                            .unfused = v.unfused,
                                            .seed = 11,
                                            .optimizer = kind};
    bv_gpt_trainer *t;
    assert_null(bv_gpt_trainer_create(&options, &t));
    uint32_t inputs[TINY_ROWS], targets[TINY_ROWS];
    double loss, norm;
    for (uint32_t step = 0; step < 3; step++) {
        tiny_batch(step, inputs, targets);
        tiny_gradient(t, step, v.micro, v.grains, inputs, targets, &loss, &norm);
        const bv_optimizer_step o = {.lr = 0.01,
                                     .beta1 = 0.9,
                                     .beta2 = 0.95,
                                     .eps = 1e-8,
                                     .weight_decay = 0.1,
                                     .muon_lr = 0.02,
                                     .muon_momentum = 0.95,
                                     .gradient_scale = norm > 1 ? 1 / norm : 1,
                                     .step = step + 1};
        bv_gpt_trainer_apply(t, &o);
    }
    bv_sha256 *hash;
    assert_null(bv_sha256_begin(&hash));
    size_t count;
    const bv_named_tensor *list = bv_gpt_trainer_parameters(t, &count);
    hash_list(hash, list, count);
    list = bv_gpt_trainer_optimizer_state(t, &count);
    hash_list(hash, list, count);
    bv_sha256_end(&hash, text);
    bv_gpt_trainer_destroy(&t);
    bv_kneser_ney_destroy(&counts);
    bv_pool_destroy(&pool);
}

static void compare(bv_gpt_config config, bv_numerics numerics, bv_optimizer_kind kind,
                    const bv_kernels *kernels, const char *what) {
    char expected[BV_SHA256_TEXT_SIZE], got[BV_SHA256_TEXT_SIZE];
    const variant base = {kernels, 1, TINY_BATCH, 1, BV_RECOMPUTE_NONE, false, 0};
    train(config, numerics, kind, base, expected);
    const variant list[] = {
        {kernels, 2, TINY_BATCH, 1, BV_RECOMPUTE_NONE, false, 0},
        {kernels, 3, TINY_BATCH, 1, BV_RECOMPUTE_NONE, false, 0},
        {kernels, 4, TINY_BATCH, 1, BV_RECOMPUTE_NONE, false, 0},
        {kernels, 9, TINY_BATCH, 1, BV_RECOMPUTE_NONE, false,
         0}, /* more than matrices: Muon divides them */
        {kernels, 2, 1, 1, BV_RECOMPUTE_NONE, false, 0},
        {kernels, 1, 2, 1, BV_RECOMPUTE_NONE, false, 0},
        {kernels, 1, 3, 1, BV_RECOMPUTE_NONE, false, 0},
        {kernels, 2, TINY_BATCH, 1, BV_RECOMPUTE_CHEAP, false, 0},
        {kernels, 2, TINY_BATCH, 1, BV_RECOMPUTE_ALL, false, 0},
        {kernels, 2, TINY_BATCH, 1, BV_RECOMPUTE_NONE, true, 0},
        {kernels, 2, 1, 1, BV_RECOMPUTE_ALL, true, 0},
        {kernels, 1, TINY_BATCH, 1, BV_RECOMPUTE_NONE, false, MANY},
        {kernels, 3, 3, 1, BV_RECOMPUTE_ALL, false, MANY},
        {kernels, 2, 2, 1, BV_RECOMPUTE_CHEAP, true, MANY},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        train(config, numerics, kind, list[i], got);
        if (strcmp(expected, got))
            fail_msg(
                "%s at %s: threads %d, micro %zu, recompute %d, unfused %d, room %zu: other bits",
                what, kernels->level, list[i].threads, list[i].micro, list[i].recompute,
                list[i].unfused, list[i].room);
    }
}

static bv_gpt_config with_dropout(bv_gpt_config config) {
    config.dropout = 0.1;
    return config;
}

static const bv_kernels *best(void) {
    const bv_kernels *kernels;
    assert_null(bv_kernels_pick(&kernels));
    return kernels;
}

static void test_f32(void **state) {
    (void)state;
    compare(tiny_gpt2(), BV_NUMERICS_F32, BV_OPTIMIZER_ADAMW, best(), "GPT-2");
    compare(with_dropout(tiny_gpt2()), BV_NUMERICS_F32, BV_OPTIMIZER_ADAMW, best(), "dropout");
    compare(tiny_modern(), BV_NUMERICS_F32, BV_OPTIMIZER_MUON, best(), "modern, Muon");
    compare(tiny_ngram(), BV_NUMERICS_F32, BV_OPTIMIZER_MUON, best(), "n-grams");
    compare(tiny_counted(), BV_NUMERICS_F32, BV_OPTIMIZER_MUON, best(), "counts");
}

static void test_bf16(void **state) {
    (void)state;
    compare(tiny_gpt2(), BV_NUMERICS_BF16, BV_OPTIMIZER_ADAMW, best(), "GPT-2 bf16");
    compare(tiny_modern(), BV_NUMERICS_BF16, BV_OPTIMIZER_MUON, best(), "modern bf16");
    compare(tiny_ngram(), BV_NUMERICS_BF16, BV_OPTIMIZER_MUON, best(), "n-grams bf16");
    compare(tiny_counted(), BV_NUMERICS_BF16, BV_OPTIMIZER_MUON, best(), "counts bf16");
}

static void test_grains(void **state) {
    (void)state;
    char expected[BV_SHA256_TEXT_SIZE], got[BV_SHA256_TEXT_SIZE];
    for (size_t grains = 2; grains <= 4; grains += 2) {
        train(tiny_gpt2(), BV_NUMERICS_F32, BV_OPTIMIZER_ADAMW,
              (variant){best(), 1, TINY_BATCH / grains, grains, BV_RECOMPUTE_NONE, false, 0},
              expected);
        train(tiny_gpt2(), BV_NUMERICS_F32, BV_OPTIMIZER_ADAMW,
              (variant){best(), 3, 1, grains, BV_RECOMPUTE_NONE, true, 0}, got);
        assert_string_equal(expected, got);
    }
}

/* The same on every machine, x86-64 and arm64 alike: [bf16][modern]. They change only with the
 * arithmetic of a numerics class. */
static const char *const known[2][2] = {
    {"8db38073dbe91156b6a3a7b9110fc46375e5569991041020d940a1193b15c409",
     "3ab5553a96cd51db75be368d549a67087e04770cfe0de73b4c40c682363046c0"},
    {"6df6fe6ed0491a7aef34243c5f975a92b70520e7352039af112cb30f8ab51981",
     "baf2acd850dd64fb85d339d5025aa5b31753f344a7091acdef296e0dfef0b12c"},
};

static void test_levels(void **state) {
    (void)state;
    size_t count;
    const bv_kernels *const *list = bv_kernels_all(&count);
    char expected[BV_SHA256_TEXT_SIZE], got[BV_SHA256_TEXT_SIZE];
    for (int n = 0; n < 2; n++)
        for (int modern = 0; modern < 2; modern++) {
            const bv_gpt_config config = modern ? tiny_modern() : tiny_gpt2();
            const bv_numerics numerics = n ? BV_NUMERICS_BF16 : BV_NUMERICS_F32;
            const variant plain = {list[0], 1, TINY_BATCH, 1, BV_RECOMPUTE_NONE, false, 0};
            train(config, numerics, BV_OPTIMIZER_MUON, plain, expected);
            assert_string_equal(expected, known[n][modern]);
            for (size_t i = 1; i < count; i++) {
                if (!bv_kernels_usable(list[i])) continue;
                variant v = plain;
                v.kernels = list[i];
                v.threads = 2;
                for (v.room = 0; v.room <= MANY; v.room += MANY) {
                    train(config, numerics, BV_OPTIMIZER_MUON, v, got);
                    if (strcmp(expected, got))
                        fail_msg("%s differs from plain C in %s%s, room %zu", list[i]->level,
                                 bv_numerics_name(numerics), modern ? ", modern" : "", v.room);
                }
            }
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_f32), cmocka_unit_test(test_bf16),
                                       cmocka_unit_test(test_grains),
                                       cmocka_unit_test(test_levels)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
