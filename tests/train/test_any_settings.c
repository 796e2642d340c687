/*
 * The contract of a training, on settings drawn at random: weights, optimizer state, metrics and
 * the guard's decisions are the same bits for any threads, level of kernels, micro-batches,
 * recomputation and fusion; stopped by a signal or killed at any write, gradient or step, and gone
 * on elsewhere; and a token has one log-probability in training, scoring and generating.
 *
 *     BEAVER_DRAWS=500 BEAVER_SEED=7 build/test_train_any_settings    (make draws)
 */
#include "support/any_settings.h"

#include "base/memory.h"
#include "engine/engine.h"
#include "support/tiny_run.h"
#include "train/checkpoint.h"
#include "train/counted_text.h"
#include <math.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define STOPS 3 /* of one run, at most */

/* What may differ and changes no bit. */
typedef struct way {
    const bv_kernels *kernels;
    int threads;
    size_t micro_batch;
    bv_recompute recompute;
    bool fuse;
} way;

typedef struct outcome {
    bv_code code;
    tiny_proof files;  /* of the last checkpoint */
    bv_buffer metrics; /* without times; free with bv_buffer_free */
} outcome;

static tiny_run t;
static any_settings a;
static bv_settings drawn;

/* ---- stopping ---- */

/* Everything that could be seen from outside: a write, a removal, a gradient, a step. */
static struct stopper {
    unsigned seen, at; /* at: 0 never */
    bool watching, kill;
    volatile sig_atomic_t signal;
} stopper;

static void happens(void) {
    if (++stopper.seen != stopper.at) return;
    if (stopper.kill) kill(getpid(), SIGKILL);
    stopper.signal = SIGTERM;
}

/* Removing is no write, and passes no hook: this stands before the C library's function. */
int unlinkat(int folder, const char *name, int flags) {
    if (stopper.watching) happens();
    return (int)syscall(SYS_unlinkat, folder, name, flags);
}

static int on_write(void *context, const char *call, const char *path) {
    (void)context, (void)call, (void)path;
    happens();
    return 0;
}

static void on_step(void *context, const bv_step_report *report) {
    (void)context, (void)report;
    happens();
}

static void on_gradient(void *context, bv_gpt_trainer *trainer, uint64_t step, double *loss) {
    (void)context, (void)trainer, (void)step, (void)loss;
    happens();
}

/* ---- training ---- */

/* Mostly the best level of this machine: plain C is slow, and only tried on short work. */
static const bv_kernels *any_level(void) {
    size_t count;
    const bv_kernels *const *levels = bv_kernels_all(&count);
    const bool brief = drawn.steps < 10 && drawn.batch * drawn.model.context <= 100;
    const bool other = brief && any_draw(&a, 3) == 0;
    size_t i = other ? any_draw(&a, (uint32_t)count) : count - 1;
    while (!bv_kernels_usable(levels[i])) i--;
    return levels[i];
}

static way any_way(void) {
    return (way){.kernels = any_level(),
                 .threads = 1 + (int)any_draw(&a, 4),
                 .micro_batch = any_draw(&a, (uint32_t)(drawn.batch / drawn.grains) + 1),
                 .recompute = (bv_recompute)any_draw(&a, 3),
                 .fuse = any_flip(&a)};
}

/* From the latest checkpoint of the run as far as it goes. */
static bv_error *go_on(const way *w, unsigned stop_at, bool kill) {
    stopper = (struct stopper){.at = stop_at, .kill = kill, .watching = true};
    assert_ok(bv_pool_create(w->threads, &t.options.pool));
    t.options.kernels = w->kernels;
    t.options.end_of_text = '.'; /* documents are sentences */
    t.options.signal = &stopper.signal;
    t.options.events = (bv_train_events){.step = on_step, .disturb = on_gradient};
    bv_io_hook_set(on_write, NULL);
    bv_error *error = bv_train(&t.options);
    bv_io_hook_set(NULL, NULL);
    stopper.watching = false;
    bv_pool_destroy(&t.options.pool);
    return error;
}

static void make_run(const way *w) {
    assert_ok(bv_dir_remove(t.run));
    t.config.settings = drawn;
    t.config.settings.micro_batch = w->micro_batch;
    t.config.settings.recompute = w->recompute;
    t.config.settings.fuse = w->fuse;
    assert_ok(bv_settings_check(&t.config.settings));
    assert_ok(tiny_make(&t));
}

/* ---- what came of it ---- */

static void read_metrics(bv_buffer *out) {
    bv_buffer text = {0}, one = {0};
    assert_ok(bv_file_read(path_in(t.run, "metrics.jsonl"), &text));
    for (char *line = text.data; line < text.data + text.size; line = strchr(line, '\n') + 1) {
        json_t *value;
        assert_ok(bv_json_parse(line, strcspn(line, "\n"), "metrics", &value));
        json_object_del(value, "tokens_per_s");
        bv_buffer_clear(&one);
        assert_ok(bv_json_text(value, 0, &one));
        bv_buffer_append(out, one.data, one.size);
        bv_buffer_text(out, "\n");
        json_decref(value);
    }
    bv_buffer_text(out, "");
    assert_ok(bv_buffer_error(out));
    bv_buffer_free(&text);
    bv_buffer_free(&one);
}

/* To the end of the training. */
static outcome end_of(const way *w) {
    bv_error *error = go_on(w, 0, false);
    outcome o = {.code = bv_error_code(error)};
    if (o.code != BV_CODE_OK && o.code != BV_CODE_FAULT) fail_msg("%s", bv_error_text(error));
    bv_error_free(&error);
    o.files = tiny_hash(&t);
    read_metrics(&o.metrics);
    return o;
}

/* The first line that differs. */
static void print_difference(const char *expected, const char *got) {
    const char *a_line = expected, *b_line = got;
    for (size_t i = 0; expected[i] && expected[i] == got[i]; i++)
        if (expected[i] == '\n') a_line = expected + i + 1, b_line = got + i + 1;
    print_error("%.*s\n---- instead of\n%.*s\n", (int)strcspn(b_line, "\n"), b_line,
                (int)strcspn(a_line, "\n"), a_line);
}

static void check_same(const outcome *expected, const outcome *got, const way *w,
                       const char *what) {
    /* A training that the guard ends may have been stopped after its last regular checkpoint. */
    const bool files = expected->code == BV_CODE_FAULT ||
                       !strcmp(expected->files.text, got->files.text),
               metrics = !strcmp(expected->metrics.data, got->metrics.data);
    if (expected->code == got->code && files && metrics) return;
    if (!metrics) print_difference(expected->metrics.data, got->metrics.data);
    fail_msg("%s: at %s, threads %d, micro_batch %zu, recompute %d, fuse %d: code %d instead of "
             "%d, %s files, %s metrics",
             what, w->kernels->level, w->threads, w->micro_batch, w->recompute, w->fuse, got->code,
             expected->code, files ? "equal" : "other", metrics ? "equal" : "other");
}

/* ---- the ways ---- */

static void train_otherwise(const outcome *expected) {
    const way w = any_way();
    make_run(&w);
    outcome o = end_of(&w);
    check_same(expected, &o, &w, "trained otherwise");
    bv_buffer_free(&o.metrics);
}

/* In a child, which dies or ends with the code of its error. */
static void train_and_stop(const way *w, unsigned stop_at, bool kill) {
    int status;
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        bv_error *error = go_on(w, stop_at, kill);
        const bv_code code = bv_error_code(error);
        const bool legal =
            code == BV_CODE_OK || code == BV_CODE_FAULT || code == BV_CODE_INTERRUPTED;
        if (!legal) print_error("%s\n", bv_error_text(error));
        _exit(legal ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status))
        assert_true(kill && WTERMSIG(status) == SIGKILL);
    else
        assert_int_equal(WEXITSTATUS(status), 0);
}

/* Stopped one to three times; each time it goes on with other threads, at another level. */
static void train_with_stops(const outcome *expected, unsigned moments) {
    way w = any_way();
    char what[200] = "stopped at";
    make_run(&w);
    const uint32_t stops = 1 + any_draw(&a, STOPS);
    for (uint32_t i = 0; i < stops; i++) {
        const unsigned at = 1 + any_draw(&a, moments);
        const bool kill = any_flip(&a);
        const size_t used = strlen(what);
        snprintf(what + used, sizeof what - used, " %u (%s)", at, kill ? "killed" : "signal");
        train_and_stop(&w, at, kill);
        const way other = any_way();
        w.kernels = other.kernels;
        w.threads = other.threads;
    }
    outcome o = end_of(&w);
    check_same(expected, &o, &w, what);
    bv_buffer_free(&o.metrics);
}

/* Under a constant schedule a run that ended goes on to more steps. (Its metrics have an evaluation
 * at the end that was.) */
static void train_and_grow(const outcome *expected) {
    const way w = any_way();
    if (drawn.schedule != BV_SCHEDULE_CONSTANT || drawn.steps < 2) return;
    if (expected->code != BV_CODE_OK || strstr(expected->metrics.data, "returned")) return;
    make_run(&w);
    t.config.settings.steps = 1 + any_draw(&a, (uint32_t)drawn.steps - 1);
    outcome o = end_of(&w);
    bv_buffer_free(&o.metrics);
    t.config.settings.steps = drawn.steps;
    o = end_of(&w);
    assert_string_equal(o.files.text, expected->files.text);
    bv_buffer_free(&o.metrics);
}

/* ---- one log-probability ---- */

typedef struct speaker {
    bv_gpt_config config;
    bv_pool *pool;
    bv_kneser_ney *counts;
    bv_gpt_trainer *trainer;
    size_t count; /* of tokens that are predicted */
    uint32_t *inputs, *targets;
    float *losses; /* -log p of the targets */
} speaker;

static void load_weights(const speaker *s) {
    int64_t step;
    bv_checkpoint_tensors tensors = {0};
    tensors.parameters = bv_gpt_trainer_parameters(s->trainer, &tensors.parameter_count);
    assert_ok(bv_checkpoint_find(t.run, BV_CHECKPOINT_LATEST, &step));
    assert_ok(bv_checkpoint_read(t.run, (uint64_t)step, &tensors, NULL));
    bv_gpt_trainer_changed(s->trainer);
}

/* The run's model, without dropout, and what it says of random tokens in training's forward pass;
 * with counts, which training looks at otherwise, by the trainer's scorer. */
static speaker speak(const way *w) {
    speaker s = {.config = drawn.model, .count = drawn.model.context};
    double loss, norm;
    s.config.dropout = 0;
    assert_ok(bv_pool_create(w->threads, &s.pool));
    assert_ok(bv_counted_text_count(t.dataset, &s.config, &s.counts));
    const bv_gpt_trainer_options options = {.config = s.config,
                                            .kneser_ney = s.counts,
                                            .numerics = drawn.numerics,
                                            .kernels = w->kernels,
                                            .pool = s.pool,
                                            .batch_max = 1,
                                            .micro_batch = 1,
                                            .grains = 1,
                                            .recompute = w->recompute,
                                            .unfused = !w->fuse};
    assert_ok(bv_gpt_trainer_create(&options, &s.trainer));
    load_weights(&s);
    s.inputs = bv_calloc(2 * s.count + 1, sizeof *s.inputs);
    s.targets = s.inputs + 1;
    s.losses = bv_calloc(s.count, sizeof *s.losses);
    for (size_t i = 0; i <= s.count; i++)
        s.inputs[i] = bv_random(a.number, BV_RANDOM_TEST, 0, 0, (uint32_t)i, 0).v[0] %
                      (uint32_t)s.config.vocab_size;
    bv_gpt_trainer_step_begin(s.trainer, 0, s.count);
    bv_gpt_trainer_grain_begin(s.trainer);
    bv_gpt_trainer_micro(s.trainer, s.inputs, s.targets, NULL, 1, 0);
    bv_gpt_trainer_grain_end(s.trainer);
    memcpy(s.losses, bv_gpt_trainer_row_losses(s.trainer), s.count * sizeof *s.losses);
    bv_gpt_trainer_gradient(s.trainer, &loss, &norm);
    assert_true(isfinite(loss) && isfinite(norm));
    assert_null(bv_gpt_trainer_first_nonfinite(s.trainer));
    if (s.counts)
        bv_gpt_scorer_losses(bv_gpt_trainer_scorer(s.trainer), s.inputs, s.targets, NULL, 1,
                             s.count, s.losses);
    return s;
}

static void silence(speaker *s) {
    bv_gpt_trainer_destroy(&s->trainer);
    bv_kneser_ney_destroy(&s->counts);
    bv_pool_destroy(&s->pool);
    bv_free(s->inputs);
    bv_free(s->losses);
}

static void same_loss(const speaker *s, const char *how, size_t at, float loss) {
    if (memcmp(&loss, &s->losses[at], sizeof loss))
        fail_msg("%s: -log p of token %zu is %a, in training %a", how, at, (double)loss,
                 (double)s->losses[at]);
}

static void check_scorer(const speaker *s, const way *w) {
    bv_gpt_scorer *scorer;
    float *losses = bv_calloc(s->count, sizeof *losses);
    const bv_gpt_scorer_options options = {.config = s->config,
                                           .numerics = drawn.numerics,
                                           .kernels = w->kernels,
                                           .pool = s->pool,
                                           .weights = bv_gpt_trainer_weights(s->trainer),
                                           .kneser_ney = s->counts,
                                           .sequences_max = 1 + any_draw(&a, 3),
                                           .context = s->count};
    assert_ok(bv_gpt_scorer_create(&options, &scorer));
    const size_t shorter = 1 + any_draw(&a, (uint32_t)s->count);
    for (int i = 0; i < 2; i++) {
        const size_t length = i ? shorter : s->count;
        bv_gpt_scorer_losses(scorer, s->inputs, s->targets, NULL, 1, length, losses);
        for (size_t k = 0; k < length; k++) same_loss(s, "scored", k, losses[k]);
    }
    bv_gpt_scorer_destroy(&scorer);
    bv_free(losses);
}

static void check_engine(const speaker *s, const way *w) {
    bv_engine *e;
    const bv_engine_options options = {.config = s->config,
                                       .numerics = drawn.numerics,
                                       .kernels = w->kernels,
                                       .pool = s->pool,
                                       .weights = bv_gpt_trainer_weights(s->trainer),
                                       .kneser_ney = s->counts,
                                       .rows_max = 2 + any_draw(&a, 40),
                                       .sequences_max = 2};
    assert_ok(bv_engine_create(&options, &e));
    for (size_t i = 0; i < s->count; i++) {
        assert_ok(bv_engine_feed(e, 0, s->inputs + i, 1));
        same_loss(s, "token by token", i, -bv_engine_logprob(e, 0, s->targets[i]));
    }
    for (size_t at = 0; at < s->count;) {
        const size_t n = 1 + any_draw(&a, (uint32_t)(s->count - at));
        assert_ok(bv_engine_feed(e, 1, s->inputs + at, n));
        at += n;
        same_loss(s, "in pieces", at - 1, -bv_engine_logprob(e, 0, s->targets[at - 1]));
    }
    bv_engine_destroy(&e);
}

static void check_probabilities(void) {
    const way w = any_way(), other = any_way();
    speaker one = speak(&w), two = speak(&other);
    check_scorer(&one, &w);
    check_engine(&one, &w);
    for (size_t i = 0; i < one.count; i++) same_loss(&one, "another way", i, two.losses[i]);
    silence(&one);
    silence(&two);
}

/* ---- draws ---- */

static void check_draw(uint64_t seed, uint32_t number) {
    a = any_begin(seed, number);
    print_message("seed %llu, draw %u: %s\n", (unsigned long long)seed, number, a.text.data);
    any_apply(&a, &drawn);
    way w = any_way();
    w.threads = 1;
    make_run(&w);
    outcome expected = end_of(&w);
    const unsigned moments = stopper.seen;
    if (expected.code == BV_CODE_OK) check_probabilities();
    for (int i = 0; i < 2; i++) train_otherwise(&expected);
    for (int i = 0; i < 3; i++) train_with_stops(&expected, moments);
    train_and_grow(&expected);
    bv_buffer_free(&expected.metrics);
    bv_buffer_free(&a.text);
}

static void test_any_settings(void **state) {
    (void)state;
    const any_range r = any_wanted(6);
    for (uint32_t i = r.first; i < r.end; i++) check_draw(r.seed, i);
}

static int begin(void **state) {
    *state = &t;
    tiny_begin(&t, "", 0, 1);
    bv_pool_destroy(&t.pool);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_any_settings)};
    return cmocka_run_group_tests(tests, begin, tiny_teardown);
}
