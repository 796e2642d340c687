#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/live_line.h"
#include "cli/machine_flags.h"
#include "data/documents.h"
#include "kernel/real_host.h"
#include "report/units.h"
#include "train/evaluate.h"
#include "train/saved_model.h"

#include <string.h>

#define BATCH_TOKENS 4096 /* scored together, about */

static const bv_flag flag_table[] = {
    BV_STRING_FLAG("logprobs", "TEXT", NULL,
                   "instead of a file: log p of each token of this text, with all its bits"),
    BV_STRING_FLAG("tokenizer", "FILE", NULL, "instead of the run's own"),
};

static const bv_argument arguments[] = {
    {.name = "RUN", .help = "a run's folder, one of its checkpoints, or a model file of llama2.c"},
    {.name = "FILE", .help = "text to predict", .optional = true}};

static bv_status run(const bv_flags *flags);
const bv_command bv_cmd_eval = {
    .name = "eval",
    .brief = "measure a model on a text",
    .summary = "Measures how well a model predicts a text: loss in nats a token, perplexity, bits "
               "a byte, over consecutive windows of the model's context, each token predicted "
               "once.",
    .example = "beaver eval run book.txt --json\n"
               "beaver eval run --logprobs 'Once upon a time' --json",
    BV_ARGUMENTS(arguments),
    BV_FLAGS(flag_table),
    .threads = BV_THREADS_COMPUTE,
    .run = run,
};

/* The tokens of a text, the start token before them if the model has one. */
typedef struct token_list {
    uint32_t *tokens;
    size_t count;
    size_t start; /* 1 with a start token */
} token_list;

static bv_status encode(const bv_saved_model *m, const char *text, size_t size, token_list *list) {
    bv_encoder *encoder;
    const uint32_t *tokens;
    size_t count;
    *list = (token_list){.start = m->start_token != BV_NO_TOKEN};
    BV_TRY(bv_encoder_create(m->tokenizer, &encoder));
    bv_error *error = bv_encoder_encode(encoder, text, size, &tokens, &count);
    if (!error) {
        list->count = count + list->start;
        list->tokens = bv_calloc(list->count + 1, sizeof *list->tokens);
        if (!list->tokens) error = bv_fail_memory("the tokens of a text");
    }
    if (!error) {
        list->tokens[0] = m->start_token;
        memcpy(list->tokens + list->start, tokens, count * sizeof *tokens);
    }
    bv_encoder_destroy(&encoder);
    return error;
}

/* How many of its bytes are predicted: of the first token only behind a start token. */
static bv_status count_predicted(const bv_saved_model *m, const token_list *list, size_t *bytes) {
    bv_buffer first = {0};
    bv_error *error = BV_OK;
    if (list->count && !list->start)
        error = bv_tokenizer_decode(m->tokenizer, list->tokens, 1, &first);
    *bytes -= first.size;
    bv_buffer_free(&first);
    return error;
}

static bv_status create_scorer(const bv_saved_model *m, const bv_machine_use *use, size_t windows,
                               bv_gpt_scorer **out) {
    const bv_gpt_scorer_options options = {.config = m->config,
                                           .numerics = m->numerics,
                                           .kernels = use->kernels,
                                           .pool = use->pool,
                                           .weights = m->weights,
                                           .kneser_ney = m->kneser_ney,
                                           .sequences_max = windows,
                                           .context = m->config.context};
    return bv_gpt_scorer_create(&options, out);
}

/* ---- a file ---- */

static void read_tokens(const void *context, uint64_t offset, size_t count, uint32_t *tokens) {
    memcpy(tokens, (const uint32_t *)context + offset, count * sizeof *tokens);
}

typedef struct telling {
    bv_live_line line;
    double begin; /* seconds */
    uint64_t all; /* tokens to predict */
} telling;

static void tell_progress(void *context, const bv_evaluation *so_far) {
    telling *t = context;
    if (!bv_live_line_due(&t->line)) return;
    const double passed = bv_clock_seconds() - t->begin, done = (double)so_far->tokens;
    bv_live_line_say(&t->line, "%s of %s tokens, loss %.3f so far, %s left",
                     bv_human_count(done).text, bv_human_count((double)t->all).text,
                     so_far->nats / done, bv_human_time(passed * ((double)t->all / done - 1)).text);
}

static bv_status tell(const bv_evaluation *e, size_t bytes, bool as_json) {
    const double loss = e->nats / (double)e->tokens, perplexity = bv_exp(loss);
    const double bits = e->nats / 0.69314718055994530942 / (double)(bytes ? bytes : 1);
    bv_cli_say("loss %.4f  perplexity %.4g  bits a byte %.4f  over %llu tokens\n", loss, perplexity,
               bits, (unsigned long long)e->tokens);
    if (!as_json) return BV_OK;
    return bv_cli_json(json_pack("{so so so sI}", "loss", bv_json_number(loss), "perplexity",
                                 bv_json_number(perplexity), "bits_per_byte", bv_json_number(bits),
                                 "tokens", (json_int_t)e->tokens));
}

static bv_status eval_file(const bv_flags *flags, const bv_saved_model *m,
                           const bv_machine_use *use) {
    const char *path = bv_flags_argument(flags, 1);
    bv_map map;
    token_list list = {0};
    bv_gpt_scorer *scorer = NULL;
    size_t windows = BATCH_TOKENS / m->config.context;
    if (windows == 0) windows = 1;
    BV_TRY(bv_map_open(path, &map));
    bv_error *error = map.size ? bv_documents_check_text(&map, path)
                               : bv_fail(BV_CODE_INPUT, "the text is empty: nothing to predict");
    if (!error) error = encode(m, (const char *)map.data, map.size, &list);
    if (!error) error = bv_map_check(&map, path);
    size_t bytes = map.size;
    if (!error) error = count_predicted(m, &list, &bytes);
    if (!error) error = create_scorer(m, use, windows, &scorer);
    const bv_token_source source = {read_tokens, list.tokens, list.count};
    telling told = {bv_live_line_begin(), bv_clock_seconds(), list.count - 1};
    const bv_evaluate_options options = {.context = m->config.context,
                                         .batch = windows,
                                         .progress = tell_progress,
                                         .progress_context = &told};
    bv_evaluation result;
    if (!error) error = bv_evaluate(scorer, &source, &options, &result);
    bv_live_line_end(&told.line);
    if (!error) error = tell(&result, bytes, bv_flags_bool(flags, "json"));
    bv_gpt_scorer_destroy(&scorer);
    bv_free(list.tokens);
    bv_map_close(&map);
    return bv_while(error, "evaluating on %s", path);
}

/* ---- log-probabilities ---- */

static bv_status print_logprobs(const token_list *list, const float *losses, bool as_json) {
    json_t *tokens = json_array(), *logprobs = json_array();
    bv_error *error = BV_OK;
    for (size_t i = list->start; !error && i < list->count; i++) {
        const double p = i ? -(double)losses[i - 1] : 0;
        json_array_append_new(tokens, json_integer((json_int_t)list->tokens[i]));
        json_array_append_new(logprobs, bv_cli_logprob(i > 0, p));
        if (!as_json) error = bv_cli_print_logprob(list->tokens[i], i > 0, p);
    }
    json_t *all = json_pack("{so so}", "tokens", tokens, "logprobs", logprobs);
    if (as_json) return bv_cli_json(all);
    json_decref(all);
    return error;
}

static bv_status eval_logprobs(const bv_flags *flags, const bv_saved_model *m,
                               const bv_machine_use *use) {
    const char *text = bv_flags_string(flags, "logprobs");
    token_list list = {0};
    bv_gpt_scorer *scorer = NULL;
    float *losses = NULL;
    bv_error *error = encode(m, text, strlen(text), &list);
    if (!error && list.count > m->config.context + 1)
        error = bv_try(bv_fail(BV_CODE_INPUT, "the text has %zu tokens, the model's context %zu",
                               list.count - list.start, m->config.context),
                       "a shorter text; a file is read in windows: beaver eval RUN FILE");
    if (!error) error = create_scorer(m, use, 1, &scorer);
    if (!error && !(losses = bv_calloc(list.count + 1, sizeof *losses)))
        error = bv_fail_memory("log-probabilities");
    if (!error && list.count > 1)
        bv_gpt_scorer_losses(scorer, list.tokens, list.tokens + 1, NULL, 1, list.count - 1, losses);
    if (!error) error = print_logprobs(&list, losses, bv_flags_bool(flags, "json"));
    bv_free(losses);
    bv_free(list.tokens);
    bv_gpt_scorer_destroy(&scorer);
    return error;
}

static bv_status run(const bv_flags *flags) {
    bv_saved_model model = {0};
    bv_machine_use use = {0};
    const bool file = bv_flags_argument(flags, 1) != NULL;
    bv_error *error = BV_OK;
    if (file == bv_flags_given(flags, "logprobs"))
        error = bv_fail(BV_CODE_USAGE, "one of FILE and --logprobs TEXT is needed");
    if (!error) error = bv_machine_begin(flags, &use);
    if (!error)
        error =
            bv_saved_model_open(bv_flags_argument(flags, 0), bv_flags_string(flags, "tokenizer"),
                                use.kernels, use.pool, &model);
    if (!error) error = bv_saved_model_check(&model, true);
    if (!error) error = file ? eval_file(flags, &model, &use) : eval_logprobs(flags, &model, &use);
    bv_saved_model_close(&model);
    bv_machine_end(&use);
    return error;
}
