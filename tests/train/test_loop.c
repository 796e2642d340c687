/* A run beside the same steps made by hand, in one micro-batch each and with every number written
 * out: the same weights and optimizer state to the last bit, and metrics that tell them. */
#include "support/tiny_run.h"

#include "model/gpt_train.h"
#include "train/checkpoint.h"
#include "train/evaluate.h"
#include "train/session.h"
#include <math.h>

#define BATCH 4
#define CONTEXT 16
#define STEPS 6
#define END_OF_TEXT '.'

/* What all settings have that are tried; each number is another than the default one. */
#define NUMBERS                                                                                    \
    "steps=6 warmup=3 eval_every=3 eval_windows=3 checkpoint_every=0 document_mask=true "          \
    "micro_batch=1 seed=7 "                                                                        \
    "dropout=0.2 lr=0.02 beta1=0.8 beta2=0.9 eps=0.001 weight_decay=0.3 muon_lr=0.03 "             \
    "muon_momentum=0.7 "

typedef struct by_hand {
    const bv_settings *settings;
    bv_gpt_trainer *trainer;
    double loss[STEPS], norm[STEPS];
    double val_loss[STEPS + 1]; /* before each step that is evaluated, and after the last */
} by_hand;

/* What the run's events told. */
static bv_step_report told;
static size_t told_count;

static void on_step(void *context, const bv_step_report *report) {
    (void)context;
    told = *report;
    told_count++;
}

static void make_trainer(const tiny_run *t, bv_gpt_trainer **out) {
    const bv_settings *s = &t->config.settings;
    const bv_gpt_trainer_options options = {.config = s->model,
                                            .numerics = s->numerics,
                                            .kernels = t->options.kernels,
                                            .pool = t->options.pool,
                                            .batch_max = BATCH,
                                            .micro_batch = BATCH,
                                            .grains = 1,
                                            .seed = 7,
                                            .optimizer = s->optimizer};
    assert_ok(bv_gpt_trainer_create(&options, out));
}

/* clip: the largest norm, 0: any. */
static void make_step(const tiny_run *t, by_hand *h, uint32_t step, double clip) {
    const bv_settings *s = h->settings;
    uint32_t inputs[BATCH * CONTEXT], targets[BATCH * CONTEXT], visible[BATCH * CONTEXT];
    for (size_t i = 0; i < BATCH; i++)
        bv_dataset_sequence(t->dataset, s->order, 7, step * BATCH + i, CONTEXT,
                            inputs + i * CONTEXT, targets + i * CONTEXT);
    bv_first_visible(inputs, BATCH, CONTEXT, END_OF_TEXT, visible);
    bv_gpt_trainer_step_begin(h->trainer, step, BATCH * CONTEXT);
    bv_gpt_trainer_grain_begin(h->trainer);
    bv_gpt_trainer_micro(h->trainer, inputs, targets, visible, BATCH, 0);
    bv_gpt_trainer_grain_end(h->trainer);
    bv_gpt_trainer_gradient(h->trainer, &h->loss[step], &h->norm[step]);
    const double factor = bv_settings_schedule(s, step), norm = h->norm[step];
    bv_gpt_trainer_apply(
        h->trainer, &(bv_optimizer_step){.lr = 0.02 * factor,
                                         .beta1 = 0.8,
                                         .beta2 = 0.9,
                                         .eps = 0.001,
                                         .weight_decay = 0.3,
                                         .muon_lr = 0.03 * factor,
                                         .muon_momentum = 0.7,
                                         .gradient_scale = clip && norm > clip ? clip / norm : 1,
                                         .step = step + 1});
}

static void read_val(const void *context, uint64_t offset, size_t count, uint32_t *tokens) {
    bv_dataset_read(context, BV_SPLIT_VAL, offset, count, tokens);
}

static double evaluate(const tiny_run *t, const by_hand *h) {
    const bv_token_source source = {read_val, t->dataset,
                                    bv_dataset_tokens(t->dataset, BV_SPLIT_VAL)};
    const bv_evaluate_options options = {.context = CONTEXT,
                                         .batch = BATCH,
                                         .windows_max = 3,
                                         .document_mask = true,
                                         .end_of_text = END_OF_TEXT};
    bv_evaluation result;
    assert_true(source.count > 4 * CONTEXT); /* more than are evaluated */
    assert_ok(bv_evaluate(bv_gpt_trainer_scorer(h->trainer), &source, &options, &result));
    return result.nats / (double)result.tokens;
}

static void compare(const bv_named_tensor *got, const bv_named_tensor *wanted, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const size_t bytes = bv_named_tensor_elements(&wanted[i]) * bv_dtype_size(wanted[i].dtype);
        if (memcmp(got[i].data, wanted[i].data, bytes)) fail_msg("%s differs", wanted[i].name);
    }
}

/* The next line of the metrics; free with json_decref. */
static json_t *next_line(const char **line, int64_t *step) {
    json_t *value;
    assert_ok(bv_json_parse(*line, strcspn(*line, "\n"), "metrics", &value));
    assert_ok(bv_json_get_int(value, "step", step));
    *line = strchr(*line, '\n') + 1;
    return value;
}

static void check_evaluation(const char **line, int64_t step, double wanted) {
    int64_t number;
    json_t *value = next_line(line, &number);
    assert_int_equal(number, step);
    assert_true(json_number_value(json_object_get(value, "val_loss")) == wanted);
    json_decref(value);
}

static void check_metrics(const tiny_run *t, const by_hand *h) {
    char path[400];
    bv_buffer text = {0};
    snprintf(path, sizeof path, "%s/metrics.jsonl", t->run);
    assert_ok(bv_file_read(path, &text));
    const char *line = text.data;
    for (uint32_t step = 0; step < STEPS; step++) {
        int64_t number, tokens;
        double loss, norm, lr;
        if (step % 3 == 0) check_evaluation(&line, step, h->val_loss[step]);
        json_t *value = next_line(&line, &number);
        assert_ok(bv_json_get_int(value, "tokens", &tokens));
        assert_int_equal(
            json_unpack(value, "{sFsFsF}", "loss", &loss, "grad_norm", &norm, "lr", &lr), 0);
        assert_int_equal(number, step + 1);
        assert_int_equal(tokens, (step + 1) * BATCH * CONTEXT);
        assert_true(loss == h->loss[step] && norm == h->norm[step]);
        assert_true(fabs(lr - 0.02 * bv_settings_schedule(h->settings, step)) < 1e-15);
        json_decref(value);
    }
    check_evaluation(&line, STEPS, h->val_loss[STEPS]);
    assert_int_equal(*line, 0);
    bv_buffer_free(&text);
}

/* An event after each step, and one more after each evaluation but the first. */
static void check_events(const by_hand *h) {
    assert_int_equal(told_count, STEPS + 2);
    assert_true(told.step == STEPS && told.steps == STEPS);
    assert_true(told.loss == h->loss[STEPS - 1] && told.grad_norm == h->norm[STEPS - 1]);
    assert_true(told.val_loss == h->val_loss[STEPS]);
}

static void check(const char *settings, double clip) {
    tiny_run t;
    bv_gpt_trainer *read;
    char words[600];
    size_t count, states;
    snprintf(words, sizeof words, NUMBERS "grad_clip=%g %s", clip, settings);
    tiny_begin(&t, words, 0, 2);
    t.options.end_of_text = END_OF_TEXT;
    t.options.events.step = on_step;
    told_count = 0;
    assert_ok(bv_train(&t.options));
    by_hand h = {.settings = &t.config.settings};
    make_trainer(&t, &h.trainer);
    for (uint32_t step = 0; step < STEPS; step++) {
        if (step % 3 == 0) h.val_loss[step] = evaluate(&t, &h);
        make_step(&t, &h, step, clip);
    }
    h.val_loss[STEPS] = evaluate(&t, &h);
    if (clip) assert_true(h.norm[0] > clip);
    make_trainer(&t, &read);
    bv_checkpoint_tensors tensors = {.parameters = bv_gpt_trainer_parameters(read, &count),
                                     .state = bv_gpt_trainer_optimizer_state(read, &states)};
    tensors.parameter_count = count, tensors.state_count = states;
    bv_progress_of_run progress;
    assert_ok(bv_checkpoint_read(t.run, STEPS, &tensors, &progress));
    assert_true(progress.applied == STEPS && progress.sequence == STEPS * BATCH);
    assert_true(progress.val_step == STEPS && progress.val_loss == h.val_loss[STEPS]);
    compare(tensors.parameters, bv_gpt_trainer_parameters(h.trainer, &count), count);
    compare(tensors.state, bv_gpt_trainer_optimizer_state(h.trainer, &states), states);
    check_metrics(&t, &h);
    check_events(&h);
    bv_gpt_trainer_destroy(&read);
    bv_gpt_trainer_destroy(&h.trainer);
    tiny_end(&t);
}

static void test_steps_by_hand(void **state) {
    (void)state;
    check("", 0);
    check("order=random", 0.01);
    check("optimizer=muon dtype=bf16", 0.01);
}

/* The next sequences, without those that returns to a checkpoint have left out. */
static void test_left_out(void **state) {
    (void)state;
    static const uint64_t wanted[] = {0, 1, 5, 7, 8, 9, 10, 11};
    tiny_run t;
    bv_session s;
    tiny_begin(&t, "", 0, 1);
    assert_ok(bv_session_create(&t.options, &s));
    const bv_left_out left_out[] = {{2, 4}, {4, 5}, {6, 7}};
    memcpy(s.progress.left_out, left_out, sizeof left_out);
    s.progress.left_out_count = 3;
    for (size_t step = 0; step < 2; step++) {
        bv_session_read_batch(&s);
        assert_int_equal(s.batch, BATCH);
        assert_memory_equal(s.sequences, wanted + step * BATCH, BATCH * sizeof *wanted);
        for (size_t i = 0; i < BATCH; i++) {
            uint32_t inputs[CONTEXT], targets[CONTEXT];
            bv_dataset_sequence(t.dataset, t.config.settings.order, t.config.settings.seed,
                                wanted[step * BATCH + i], CONTEXT, inputs, targets);
            assert_memory_equal(s.inputs + i * CONTEXT, inputs, sizeof inputs);
            assert_memory_equal(s.targets + i * CONTEXT, targets, sizeof targets);
        }
    }
    assert_int_equal(s.progress.sequence, 12);
    bv_session_destroy(&s);
    tiny_end(&t);
}

static const char *cut_file;

static void cut_after_two(void *context, const bv_step_report *report) {
    (void)context;
    if (report->step == 2) assert_int_equal(truncate(cut_file, 0), 0);
    told_count++;
}

/* Data that somebody cuts short end the run: no step and no evaluation are made of what is not
 * there any more. */
static void test_data_cut_short(void **state) {
    (void)state;
    static const char *const names[] = {"train", "val"};
    for (int i = 0; i < 2; i++) {
        tiny_run t;
        char path[400];
        tiny_begin(&t, "steps=6 eval_every=2", 0, 1);
        snprintf(path, sizeof path, "%s/%s-00000.bin", t.data, names[i]);
        cut_file = path;
        told_count = 0;
        t.options.events.step = cut_after_two;
        assert_fails(bv_train(&t.options), BV_CODE_INPUT, "cut short");
        assert_int_equal(told_count, i ? 2 : 3); /* steps, and an evaluation of val that stands */
        tiny_end(&t);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_steps_by_hand),
                                       cmocka_unit_test(test_left_out),
                                       cmocka_unit_test(test_data_cut_short)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
