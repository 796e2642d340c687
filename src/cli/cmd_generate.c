#include "base/memory.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/machine_flags.h"
#include "engine/engine.h"
#include "engine/sampler.h"
#include "engine/text_stream.h"
#include "report/estimate.h"
#include "train/saved_model.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const bv_flag flag_table[] = {
    BV_STRING_FLAG("prompt", "TEXT", "", "what the text begins with"),
    BV_INT_FLAG("tokens", "N", 0, 1e9, "200",
                "tokens to write at most; beyond the model's context the older half is forgotten"),
    BV_DOUBLE_FLAG("temperature", "T", 0, 100, "0.8", "0 always takes the likeliest token"),
    BV_INT_FLAG("top-k", "K", 0, 1e7, "0", "draw from the K likeliest tokens; 0: from all"),
    BV_DOUBLE_FLAG("top-p", "P", 0, 1, "1",
                   "draw from the likeliest tokens that together have probability P"),
    BV_DOUBLE_FLAG("min-p", "P", 0, 1, "0",
                   "leave out tokens less likely than P times the likeliest"),
    BV_INT_FLAG("seed", "N", 0, 1e15, "0", "of the draws: the same seed writes the same text"),
    BV_LIST_FLAG("stop", "TEXT", "end before this text"),
    BV_INT_FLAG("n", "N", 1, 1024, "1", "how many texts to write, side by side"),
    BV_SWITCH_FLAG("interactive", "read prompts from standard input, one a line, until it ends"),
    BV_STRING_FLAG("suffix", "TEXT", "", "with --interactive: comes after each line"),
    BV_SWITCH_FLAG(
        "logprobs",
        "print each token with its log-probability, with all its bits, in place of the text"),
    BV_STRING_FLAG("tokenizer", "FILE", NULL,
                   "instead of the run's own; needed by a model file of llama2.c"),
};

static const bv_argument arguments[] = {
    {.name = "RUN", .help = "a run's folder, one of its checkpoints, or a model file of llama2.c"}};

static bv_status run(const bv_flags *flags);
const bv_command bv_cmd_generate = {
    .name = "generate",
    .brief = "write text with a model",
    .summary = "Writes text with a model, as it comes. Ends at the model's end of text, a stop "
               "text, or --tokens.",
    .example = "beaver generate run --prompt 'Once upon a time' --tokens 100 --temperature 0.7\n"
               "beaver generate stories260K.bin --tokenizer tok512.bin --temperature 0",
    BV_ARGUMENTS(arguments),
    BV_FLAGS(flag_table),
    .threads = BV_THREADS_COMPUTE,
    .run = run,
};

/* One text in the making. */
typedef struct sample {
    uint32_t *tokens; /* what the model sees: start token, prompt, continuation */
    float *logprobs;  /* of tokens[i]; of the first without meaning             */
    size_t count, prompt_count;
    size_t token_room, logprob_room;
    bv_text_stream stream;
    const char *finish; /* "stop" or "length"; NULL: not finished */
} sample;

typedef struct generation {
    const bv_flags *flags;
    bv_machine_use use;
    bv_saved_model model;
    bv_engine *engine;
    bv_sampler *sampler;
    bv_encoder *encoder;
    const volatile sig_atomic_t *signal;
    size_t n, limit;
    sample *samples;
    size_t *live; /* indices of unfinished samples, in the order of the last step */
    uint32_t *next;
    size_t live_count;
} generation;

/* ---- before the first token ---- */

/* The KV cache grows as the texts do; what cannot end well is told before it begins. prompt: its
 * tokens, of which each text has a copy. */
static bv_status check_room(const generation *g, size_t prompt) {
    const bv_gpt_config *c = &g->model.config;
    const size_t most = prompt + g->limit, positions = most < c->context ? most : c->context;
    const size_t pages = (positions + BV_PAGE_POSITIONS - 1) / BV_PAGE_POSITIONS;
    const size_t page = bv_page_bytes(g->model.numerics, c->layers, c->kv_heads, c->d_head);
    return bv_try(bv_memory_fits((double)g->n * (double)pages * (double)page,
                                 "the context of so many tokens"),
                  "a smaller -n, or fewer --tokens");
}

static bv_status create_engine(generation *g) {
    const bv_flags *flags = g->flags;
    const bv_engine_options options = {.config = g->model.config,
                                       .numerics = g->model.numerics,
                                       .kernels = g->use.kernels,
                                       .pool = g->use.pool,
                                       .weights = g->model.weights,
                                       .kneser_ney = g->model.kneser_ney,
                                       .rows_max = g->n > 128 ? g->n : 128,
                                       .sequences_max = g->n};
    const bv_sampler_options sampling = {.temperature = bv_flags_double(flags, "temperature"),
                                         .top_k = (size_t)bv_flags_int(flags, "top-k"),
                                         .top_p = bv_flags_double(flags, "top-p"),
                                         .min_p = bv_flags_double(flags, "min-p"),
                                         .seed = (uint64_t)bv_flags_int(flags, "seed")};
    BV_TRY(bv_encoder_create(g->model.tokenizer, &g->encoder));
    BV_TRY(bv_sampler_create(&sampling, bv_tokenizer_vocab_size(g->model.tokenizer), &g->sampler));
    return bv_engine_create(&options, &g->engine);
}

static void clear_samples(generation *g) {
    for (size_t i = 0; g->samples && i < g->n; i++) {
        bv_free(g->samples[i].tokens);
        bv_free(g->samples[i].logprobs);
        bv_buffer_free(&g->samples[i].stream.text);
        g->samples[i] = (sample){0};
    }
}

/* Something must come before the first token: where there is neither a start token nor a prompt,
 * the end of a line, as before most texts; where the vocabulary has none, its first token. */
static bv_status encode_prompt(generation *g, const char *prompt, const uint32_t **tokens,
                               size_t *count) {
    static const uint32_t first = 0;
    BV_TRY(bv_encoder_encode(g->encoder, prompt, strlen(prompt), tokens, count));
    if (*count > 0 || g->model.start_token != BV_NO_TOKEN) return BV_OK;
    bv_error *error = bv_encoder_encode(g->encoder, "\n", 1, tokens, count);
    if (bv_error_code(error) != BV_CODE_INPUT) return error;
    bv_error_free(&error);
    *tokens = &first;
    *count = 1;
    return BV_OK;
}

/* Room for `count` tokens: what is asked for may never be written. */
static bv_status make_token_room(sample *s, size_t count) {
    while (s->token_room < count)
        if (!bv_list_grow((void **)&s->tokens, s->token_room, &s->token_room, sizeof *s->tokens))
            return bv_fail_memory("a text");
    while (s->logprob_room < count)
        if (!bv_list_grow((void **)&s->logprobs, s->logprob_room, &s->logprob_room,
                          sizeof *s->logprobs))
            return bv_fail_memory("a text");
    return BV_OK;
}

/* Every sample begins with the start token and the prompt. */
static bv_status begin_samples(generation *g, const char *prompt) {
    const uint32_t *tokens;
    size_t count;
    BV_TRY(encode_prompt(g, prompt, &tokens, &count));
    const bool start = g->model.start_token != BV_NO_TOKEN;
    const size_t all = count + start;
    BV_TRY(check_room(g, all));
    for (size_t i = 0; i < g->n; i++) {
        sample *s = &g->samples[i];
        BV_TRY(make_token_room(s, all + 1));
        s->tokens[0] = g->model.start_token;
        memcpy(s->tokens + start, tokens, count * sizeof *tokens);
        s->count = s->prompt_count = all;
        s->stream = (bv_text_stream){.tokenizer = g->model.tokenizer};
        s->stream.stops = bv_flags_list(g->flags, "stop", &s->stream.stop_count);
    }
    return BV_OK;
}

/* Feeds the prompt; token by token when its log-probabilities are asked for. */
static bv_status feed_prompt(generation *g) {
    sample *s = &g->samples[0];
    bv_engine_reset(g->engine, 0);
    if (!bv_flags_bool(g->flags, "logprobs"))
        return bv_engine_feed(g->engine, 0, s->tokens, s->count);
    for (size_t i = 0; i < s->count; i++) {
        if (i) s->logprobs[i] = bv_engine_logprob(g->engine, 0, s->tokens[i]);
        BV_TRY(bv_engine_feed(g->engine, 0, s->tokens + i, 1));
    }
    return BV_OK;
}

/* What the first sample knows of the prompt, for sample `index`. */
static bv_status share_prompt(generation *g, size_t index) {
    const sample *first = &g->samples[0];
    memcpy(g->samples[index].logprobs, first->logprobs,
           first->prompt_count * sizeof *first->logprobs);
    return bv_engine_copy(g->engine, 0, index);
}

/* ---- one token for each live sample ---- */

/* Takes what the sampler picks from row `row` of the last step's logits. */
static bv_status take_token(generation *g, size_t index, size_t row) {
    sample *s = &g->samples[index];
    const uint32_t token = bv_sampler_pick(g->sampler, bv_engine_logits(g->engine, row),
                                           (uint32_t)index, (uint32_t)s->count);
    if (token == g->model.end_token) {
        s->finish = "stop";
        return BV_OK;
    }
    BV_TRY(make_token_room(s, s->count + 1));
    s->logprobs[s->count] = bv_engine_logprob(g->engine, row, token);
    s->tokens[s->count++] = token;
    BV_TRY(bv_text_stream_add(&s->stream, token));
    /* The blank that such tokenizers put before a text is not part of it. */
    if (bv_tokenizer_kind_of(g->model.tokenizer) == BV_TOKENIZER_SCORED && s->count == 2 &&
        s->stream.text.data && s->stream.text.data[0] == ' ')
        s->stream.shown = 1;
    if (s->stream.stopped)
        s->finish = "stop";
    else if (s->count - s->prompt_count >= g->limit)
        s->finish = "length";
    return BV_OK;
}

/* A full context forgets its older half: the newer one is fed again from position 0. */
static bv_status make_room(generation *g, size_t index) {
    const size_t context = g->model.config.context;
    const sample *s = &g->samples[index];
    if (bv_engine_position(g->engine, index) < context) return BV_OK;
    bv_engine_reset(g->engine, index);
    const size_t keep = context / 2;
    return keep > 1 ? bv_engine_feed(g->engine, index, s->tokens + s->count - keep, keep - 1)
                    : BV_OK;
}

static bv_status step(generation *g) {
    for (size_t i = 0; i < g->live_count; i++) {
        const sample *s = &g->samples[g->live[i]];
        BV_TRY(make_room(g, g->live[i]));
        g->next[i] = s->tokens[s->count - 1];
    }
    BV_TRY(bv_engine_step(g->engine, g->live, g->next, g->live_count));
    for (size_t i = 0; i < g->live_count; i++) BV_TRY(take_token(g, g->live[i], i));
    return BV_OK;
}

static void drop_finished(generation *g) {
    size_t kept = 0;
    for (size_t i = 0; i < g->live_count; i++)
        if (!g->samples[g->live[i]].finish) g->live[kept++] = g->live[i];
    g->live_count = kept;
}

/* ---- showing ---- */

static bv_status show_text(sample *s, bool last) {
    size_t size;
    const char *text = bv_text_stream_take(&s->stream, last, &size);
    return size ? bv_cli_print(text, size) : BV_OK;
}

static bool shows_text(const generation *g) {
    return !bv_flags_bool(g->flags, "json") && !bv_flags_bool(g->flags, "logprobs");
}

static json_t *logprob_list(const sample *s, size_t from, size_t to) {
    json_t *list = json_array();
    for (size_t i = from; i < to; i++)
        json_array_append_new(list, bv_cli_logprob(i > 0, (double)s->logprobs[i]));
    return list;
}

static json_t *token_list(const sample *s, size_t from, size_t to) {
    json_t *list = json_array();
    for (size_t i = from; i < to; i++)
        json_array_append_new(list, json_integer((json_int_t)s->tokens[i]));
    return list;
}

static bv_status show_json(const generation *g, sample *s, const char *prompt) {
    size_t size;
    const size_t start = g->model.start_token != BV_NO_TOKEN;
    const char *bytes = bv_text_stream_take(&s->stream, true, &size);
    json_t *line = json_pack("{so so so ss}", "prompt", bv_json_string(prompt, strlen(prompt)),
                             "text", bv_json_string(bytes, size), "tokens",
                             token_list(s, s->prompt_count, s->count), "finish_reason", s->finish);
    if (line && bv_flags_bool(g->flags, "logprobs")) {
        json_object_set_new(line, "prompt_tokens", token_list(s, start, s->prompt_count));
        json_object_set_new(line, "prompt_logprobs", logprob_list(s, start, s->prompt_count));
        json_object_set_new(line, "logprobs", logprob_list(s, s->prompt_count, s->count));
    }
    return bv_cli_json(line);
}

/* A line a token; an empty one before each sample but the first. */
static bv_status show_logprobs(const generation *g, const sample *s, size_t index) {
    if (index) BV_TRY(bv_cli_print("\n", 1));
    for (size_t i = g->model.start_token != BV_NO_TOKEN; i < s->count; i++)
        BV_TRY(bv_cli_print_logprob(s->tokens[i], i > 0, (double)s->logprobs[i]));
    return BV_OK;
}

/* After all samples are finished: what was not streamed. */
static bv_status show_rest(generation *g, const char *prompt) {
    for (size_t i = 0; i < g->n; i++) {
        sample *s = &g->samples[i];
        if (bv_flags_bool(g->flags, "json"))
            BV_TRY(show_json(g, s, prompt));
        else if (bv_flags_bool(g->flags, "logprobs"))
            BV_TRY(show_logprobs(g, s, i));
        if (!shows_text(g)) continue;
        if (i) BV_TRY(bv_cli_print(prompt, strlen(prompt)));
        BV_TRY(show_text(s, true));
        if (i + 1 < g->n) BV_TRY(bv_cli_print("\n---\n", 5));
    }
    if (shows_text(g) && isatty(STDOUT_FILENO)) return bv_cli_print("\n", 1);
    return BV_OK;
}

/* ---- all of it ---- */

static bv_status begin_texts(generation *g, const char *prompt) {
    BV_TRY(begin_samples(g, prompt));
    BV_TRY(feed_prompt(g));
    for (size_t i = 1; i < g->n; i++) BV_TRY(share_prompt(g, i));
    return BV_OK;
}

static bv_status write_texts(generation *g, const char *prompt) {
    if (shows_text(g)) BV_TRY(bv_cli_print(prompt, strlen(prompt)));
    g->live_count = g->n;
    for (size_t i = 0; i < g->n; i++) {
        g->live[i] = i;
        if (g->limit == 0)
            g->samples[i].finish = "length";
        else
            BV_TRY(take_token(g, i, 0));
    }
    for (drop_finished(g);; drop_finished(g)) {
        if (shows_text(g)) BV_TRY(show_text(&g->samples[0], false));
        /* From the first token on, beside what follows; nothing ends well before it is known. */
        bv_saved_model_check_begin(&g->model);
        BV_TRY(bv_saved_model_check(&g->model, g->live_count == 0));
        if (*g->signal) return bv_fail_interrupted(*g->signal, "interrupted");
        if (g->live_count == 0) return show_rest(g, prompt);
        BV_TRY(step(g));
    }
}

/* The next line, of any length, without its end; *found is false where there is none. */
static bv_status read_line(const generation *g, bv_buffer *line, bool *found) {
    int c;
    bv_buffer_clear(line);
    for (;; clearerr(stdin)) {
        while ((c = getc(stdin)) != EOF && c != '\n')
            if (c && c != '\r') bv_buffer_append(line, &(char){(char)c}, 1);
        if (c != EOF || !ferror(stdin) || *g->signal) break;
        if (!bv_cli_again(STDIN_FILENO, POLLIN)) return bv_fail_errno("cannot read standard input");
    }
    *found = c != EOF || (line->size > 0 && !*g->signal);
    return bv_buffer_error(line);
}

/* A prompt that the model cannot take is no reason to end; a model that is damaged is one. */
static bv_status answer(generation *g, const char *prompt) {
    bv_error *error = begin_texts(g, prompt);
    const bool refused = bv_error_code(error) == BV_CODE_INPUT;
    if (refused) {
        bv_cli_say("%s\n", bv_error_text(error));
        bv_error_free(&error);
    } else if (!error) {
        error = write_texts(g, prompt);
    }
    clear_samples(g);
    if (error) return error;
    return shows_text(g) && !isatty(STDOUT_FILENO) ? bv_cli_print("\n", 1) : BV_OK;
}

static bv_status converse(generation *g) {
    const bool terminal = isatty(STDIN_FILENO);
    bv_buffer line = {0};
    bv_error *error = BV_OK;
    for (bool found = true; !error;) {
        if (terminal) bv_cli_say("> ");
        error = read_line(g, &line, &found);
        if (error || !found) break;
        if (!line.size) continue;
        bv_buffer_text(&line, bv_flags_string(g->flags, "suffix"));
        error = bv_buffer_error(&line);
        if (!error) error = answer(g, line.data);
    }
    bv_buffer_free(&line);
    if (error) return error;
    if (terminal) bv_cli_say("\n");
    return *g->signal ? bv_fail_interrupted(*g->signal, "interrupted") : BV_OK;
}

static bv_status generate(generation *g) {
    const bv_flags *flags = g->flags;
    g->n = (size_t)bv_flags_int(flags, "n");
    g->limit = (size_t)bv_flags_int(flags, "tokens");
    size_t stops;
    const char *const *stop = bv_flags_list(flags, "stop", &stops);
    for (size_t i = 0; i < stops; i++)
        if (!*stop[i]) return bv_fail(BV_CODE_USAGE, "--stop needs a text that is not empty");
    const bool asks = bv_flags_bool(flags, "interactive");
    if (asks && bv_flags_given(flags, "prompt"))
        return bv_fail(BV_CODE_USAGE, "--interactive and --prompt exclude each other");
    if (!asks && bv_flags_given(flags, "suffix"))
        return bv_try(bv_fail(BV_CODE_USAGE, "--suffix needs lines to come after"),
                      "--interactive");
    g->samples = bv_calloc(g->n, sizeof *g->samples);
    g->live = bv_calloc(g->n, sizeof *g->live);
    g->next = bv_calloc(g->n, sizeof *g->next);
    if (!g->samples || !g->live || !g->next) return bv_fail_memory("texts");
    BV_TRY(bv_machine_begin(flags, &g->use));
    BV_TRY(bv_saved_model_open(bv_flags_argument(flags, 0), bv_flags_string(flags, "tokenizer"),
                               g->use.kernels, g->use.pool, &g->model));
    BV_TRY(create_engine(g));
    g->signal = bv_interrupt_catch();
    if (asks) return converse(g);
    const char *prompt = bv_flags_string(flags, "prompt");
    BV_TRY(begin_texts(g, prompt));
    return write_texts(g, prompt);
}

static bv_status run(const bv_flags *flags) {
    generation g = {0};
    g.flags = flags;
    bv_error *error = generate(&g);
    clear_samples(&g);
    bv_free(g.samples);
    bv_free(g.live);
    bv_free(g.next);
    bv_sampler_destroy(&g.sampler);
    bv_engine_destroy(&g.engine);
    bv_encoder_destroy(&g.encoder);
    bv_saved_model_close(&g.model);
    bv_machine_end(&g.use);
    return error;
}
