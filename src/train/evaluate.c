#include "train/evaluate.h"

#include "base/memory.h"

typedef struct evaluator {
    bv_gpt_scorer *scorer;
    const bv_token_source *source;
    const bv_evaluate_options *options;
    uint32_t *inputs, *targets, *visible;
    float *losses;
} evaluator;

void bv_first_visible(const uint32_t *tokens, size_t sequences, size_t context,
                      uint32_t end_of_text, uint32_t *first_visible) {
    for (size_t i = 0; i < sequences * context; i++) {
        const uint32_t position = (uint32_t)(i % context);
        const bool begins = position == 0 || tokens[i] == end_of_text;
        first_visible[i] = begins ? position : first_visible[i - 1];
    }
}

/* Reads window w into row `row`; its number of predicted tokens. */
static size_t read_window(const evaluator *e, uint64_t window, size_t row) {
    const size_t context = e->options->context;
    const uint64_t begin = window * context, left = e->source->count - 1 - begin;
    const size_t n = left < context ? (size_t)left : context;
    e->source->read(e->source->context, begin, n, e->inputs + row * context);
    e->source->read(e->source->context, begin + 1, n, e->targets + row * context);
    return n;
}

static void score(const evaluator *e, size_t windows, size_t length, bv_evaluation *out) {
    const bool masked = e->options->document_mask;
    if (masked) bv_first_visible(e->inputs, windows, length, e->options->end_of_text, e->visible);
    bv_gpt_scorer_losses(e->scorer, e->inputs, e->targets, masked ? e->visible : NULL, windows,
                         length, e->losses);
    for (size_t i = 0; i < windows * length; i++) out->nats += (double)e->losses[i];
    out->tokens += windows * length;
    if (e->options->progress) e->options->progress(e->options->progress_context, out);
}

static void run(const evaluator *e, bv_evaluation *out) {
    const size_t context = e->options->context;
    const uint64_t all = (e->source->count - 1 + context - 1) / context;
    const uint64_t wanted = e->options->windows_max;
    const uint64_t count = wanted && wanted < all ? wanted : all;
    size_t rows = 0;
    for (uint64_t i = 0; i < count; i++) {
        out->interrupted = e->options->signal && *e->options->signal;
        if (out->interrupted) return;
        const uint64_t window = count == all ? i : i * all / count;
        const size_t length = read_window(e, window, rows);
        if (length < context) { /* the last window, shorter than the others */
            if (rows) score(e, rows, context, out);
            rows = 0;
            read_window(e, window, 0);
            score(e, 1, length, out);
        } else if (++rows == e->options->batch || i + 1 == count) {
            score(e, rows, context, out);
            rows = 0;
        }
    }
}

bv_status bv_evaluate(bv_gpt_scorer *scorer, const bv_token_source *source,
                      const bv_evaluate_options *options, bv_evaluation *out) {
    *out = (bv_evaluation){0};
    if (source->count < 2)
        return bv_try(bv_fail(BV_CODE_INPUT, "the text has %llu token%s: at least 2 are needed",
                              (unsigned long long)source->count, source->count == 1 ? "" : "s"),
                      "a longer text");
    const size_t rows = options->batch * options->context;
    evaluator e = {.scorer = scorer, .source = source, .options = options};
    e.inputs = bv_calloc(rows, sizeof *e.inputs);
    e.targets = bv_calloc(rows, sizeof *e.targets);
    e.visible = bv_calloc(rows, sizeof *e.visible);
    e.losses = bv_calloc(rows, sizeof *e.losses);
    const bool fine = e.inputs && e.targets && e.visible && e.losses;
    if (fine) run(&e, out);
    bv_free(e.inputs);
    bv_free(e.targets);
    bv_free(e.visible);
    bv_free(e.losses);
    return fine ? BV_OK : bv_fail_memory("evaluation");
}
