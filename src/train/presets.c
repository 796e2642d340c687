#include "train/presets.h"

#include <string.h>

/* char-fast and char-best: time to quality on tinyshakespeare's characters (docs/speed-log.md).
 * GPT-3's 24 heads for XL and width 5140 for 13B are misprints of the paper: 16 and 5120. */
static const struct {
    const char *name, *text;
} presets[] = {
    {"demo", "layers=4 heads=4 width=128 context=64 batch=32 ngram=2 ngram_rows=65536 "
             "rms_norm=true position=rope qk_norm=true activation=relu2 bias=false optimizer=muon "
             "lr=3e-3 min_lr=0 schedule=wsd decay=0.4 warmup=20 dtype=bf16 steps=1200 "
             "eval_every=40 checkpoint_every=120 weight_decay=0 eval_windows=100"},
    {"tiny", "layers=2 heads=2 width=32 context=32 batch=8 steps=50 warmup=5 eval_every=25 "
             "checkpoint_every=25 lr=3e-3"},
    {"nano", "layers=4 heads=4 width=128 context=128 batch=16 lr=1e-3 steps=2000 eval_windows=200"},
    {"mini", "layers=6 heads=6 width=384 context=256 batch=16 lr=1e-3 steps=5000 dtype=bf16 "
             "eval_windows=200"},
    {"nanogpt-char-cpu",
     "layers=4 heads=4 width=128 context=64 batch=12 steps=2000 lr=1e-3 min_lr=1e-4 warmup=100 "
     "beta2=0.99 weight_decay=0.1 bias=false order=random eval_every=250 checkpoint_every=500 "
     "dtype=bf16"},
    {"char-fast",
     "layers=1 heads=1 width=32 ff_width=64 context=96 batch=16 steps=48 ngram=5 ngram_rows=16384 "
     "rms_norm=true position=rope qk_norm=true activation=relu2 bias=false tied=false "
     "optimizer=muon lr=0.04 muon_lr=0.02 beta1=0.5 min_lr=0 schedule=wsd decay=0.8 warmup=2 "
     "weight_decay=0 grad_clip=0 order=random eval_every=0 checkpoint_every=0"},
    {"char-best",
     "layers=1 heads=1 width=64 ff_width=128 context=512 batch=4 steps=340 ngram=2 kneser_ney=8 "
     "rms_norm=true position=rope qk_norm=true activation=relu2 bias=false tied=false "
     "optimizer=muon lr=1e-2 muon_lr=0.015 beta1=0.8 beta2=0.98 min_lr=0 schedule=wsd decay=0.8 "
     "warmup=10 weight_decay=0 grad_clip=1 order=random dtype=bf16 eval_every=0 "
     "checkpoint_every=0"},
    {"gpt2", "layers=12 heads=12 width=768 context=1024 batch=512 micro_batch=2 lr=6e-4 "
             "min_lr=6e-5 warmup=700 steps=20000 dtype=bf16 recompute=cheap eval_windows=128"},
    {"gpt2-medium",
     "layers=24 heads=16 width=1024 context=1024 batch=512 micro_batch=2 lr=3e-4 "
     "min_lr=3e-5 warmup=700 steps=20000 dtype=bf16 recompute=cheap eval_windows=128"},
    {"gpt2-large",
     "layers=36 heads=20 width=1280 context=1024 batch=512 micro_batch=2 lr=2.5e-4 "
     "min_lr=2.5e-5 warmup=700 steps=20000 dtype=bf16 recompute=cheap eval_windows=128"},
    {"gpt2-xl", "layers=48 heads=25 width=1600 context=1024 batch=512 micro_batch=1 lr=2e-4 "
                "min_lr=2e-5 warmup=700 steps=20000 dtype=bf16 recompute=cheap eval_windows=128"},
    {"gpt3-small",
     "layers=12 heads=12 width=768 context=2048 batch=256 micro_batch=2 lr=6e-4 "
     "min_lr=6e-5 steps=600000 warmup=750 dtype=bf16 recompute=cheap eval_windows=128"},
    {"gpt3-medium",
     "layers=24 heads=16 width=1024 context=2048 batch=256 micro_batch=2 lr=3e-4 "
     "min_lr=3e-5 steps=600000 warmup=750 dtype=bf16 recompute=cheap eval_windows=128"},
    {"gpt3-large",
     "layers=24 heads=16 width=1536 context=2048 batch=256 micro_batch=1 lr=2.5e-4 "
     "min_lr=2.5e-5 steps=600000 warmup=750 dtype=bf16 recompute=cheap eval_windows=128"},
    {"gpt3-xl", "layers=24 heads=16 width=2048 context=2048 batch=512 micro_batch=1 lr=2e-4 "
                "min_lr=2e-5 steps=300000 warmup=375 dtype=bf16 recompute=cheap eval_windows=128"},
    {"gpt3-2.7b",
     "layers=32 heads=32 width=2560 context=2048 batch=512 micro_batch=1 lr=1.6e-4 "
     "min_lr=1.6e-5 steps=300000 warmup=375 dtype=bf16 recompute=cheap eval_windows=128"},
    {"gpt3-6.7b",
     "layers=32 heads=32 width=4096 context=2048 batch=1024 micro_batch=1 lr=1.2e-4 "
     "min_lr=1.2e-5 steps=150000 warmup=188 dtype=bf16 recompute=cheap eval_windows=128"},
    {"gpt3-13b", "layers=40 heads=40 width=5120 context=2048 batch=1024 micro_batch=1 lr=1e-4 "
                 "min_lr=1e-5 steps=150000 warmup=188 dtype=bf16 recompute=cheap eval_windows=128"},
    {"gpt3-175b", "layers=96 heads=96 width=12288 context=2048 batch=1600 micro_batch=1 lr=6e-5 "
                  "min_lr=6e-6 steps=93750 warmup=117 dtype=bf16 recompute=cheap eval_windows=128"},
};
#define COUNT (sizeof presets / sizeof *presets)

const char *bv_preset_text(const char *name) {
    for (size_t i = 0; i < COUNT; i++)
        if (!strcmp(presets[i].name, name)) return presets[i].text;
    return NULL;
}

size_t bv_preset_vocab(const char *name) {
    return name && strstr(name, "char") ? 65 : 50257;
}

const char *const *bv_preset_names(size_t *count) {
    static const char *names[COUNT];
    for (size_t i = 0; i < COUNT; i++) names[i] = presets[i].name;
    *count = COUNT;
    return names;
}
