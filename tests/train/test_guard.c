/* The guard against planted trouble: bad data, a bad learning rate, flipped bits. */
#include "support/check.h"

#include "support/tiny_run.h"
#include "train/guard.h"
#include <math.h>
#include <signal.h>
#include <sys/wait.h>

static char said[65536]; /* all notes of one run */

static void on_note(void *context, const char *text) {
    (void)context;
    const size_t used = strlen(said);
    snprintf(said + used, sizeof said - used, "%s\n", text);
}

static bv_error *train(tiny_run *t, void (*disturb)(void *, bv_gpt_trainer *, uint64_t, double *)) {
    said[0] = 0;
    t->options.events = (bv_train_events){.note = on_note, .disturb = disturb};
    return bv_train(&t->options);
}

static void test_judging(void **state) {
    (void)state;
    bv_guard g = {0};
    assert_false(bv_guard_judge(&g, 8, 1e9, 1e9).bad); /* nothing to compare with yet */
    assert_true(bv_guard_judge(&g, 8, NAN, 1).bad);
    assert_true(bv_guard_judge(&g, 0, 1, INFINITY).bad);
    for (int i = 0; i < 100; i++) bv_guard_accept(&g, 3 + 0.05 * (i % 5), 1 + 0.1 * (i % 3));
    assert_false(bv_guard_judge(&g, 8, 3.4, 1.5).bad);
    assert_false(bv_guard_judge(&g, 8, 0.1, 0.01).bad); /* good news is no trouble */
    assert_true(bv_guard_judge(&g, 8, 4.5, 1).bad);
    assert_true(bv_guard_judge(&g, 8, 3, 50).bad);
    assert_false(bv_guard_judge(&g, 0, 4.5, 50).bad);
    g.in_a_row = 2; /* a good step: the bad ones before it are no row any more */
    bv_guard_accept(&g, 3, 0);
    assert_int_equal(g.in_a_row, 0);
    assert_true(isfinite(g.norm[100 % BV_GUARD_WINDOW])); /* JSON knows no infinity */
    json_t *value = bv_guard_json(&g);
    bv_guard copy;
    assert_ok(bv_guard_parse(&copy, value));
    assert_memory_equal(&copy, &g, sizeof g);
    json_object_set_new(value, "accepted", json_integer(3));
    assert_fails(bv_guard_parse(&copy, value), BV_CODE_INPUT, "window");
    json_decref(value);
}

/* Accepts `count` steps: losses now this much below `loss`, now above, and so the norm's logarithm
 * beside 0. */
static void accept(bv_guard *g, int count, double loss, double loss_off, double norm_off) {
    for (int i = 0; i < count; i++) {
        const double side = i % 2 ? 1 : -1;
        bv_guard_accept(g, loss + side * loss_off, exp(side * norm_off));
    }
}

/* The last loss and norm that are well at a limit of 8, to a hundredth of a deviation. */
static void check_limits(const bv_guard *g, double loss, double log_norm, double within) {
    assert_false(bv_guard_judge(g, 8, loss - within, 1).bad);
    assert_true(bv_guard_judge(g, 8, loss + within, 1).bad);
    assert_false(bv_guard_judge(g, 8, 1, exp(log_norm - within)).bad);
    assert_true(bv_guard_judge(g, 8, 1, exp(log_norm + within)).bad);
}

static void test_limits_of_judging(void **state) {
    (void)state;
    bv_guard g = {0};
    accept(&g, 31, 3, 0, 0); /* too few */
    assert_false(bv_guard_judge(&g, 8, 1e9, 1e9).bad);
    accept(&g, 1, 3, 0, 0);
    /* Equal ones: of deviations a tenth of a nat is taken, and 0.2 of the norm's logarithm. */
    check_limits(&g, 3 + 8 * 0.1, 8 * 0.2, 0.01);
    g = (bv_guard){0};
    accept(&g, 40, 3, 1, 0.5);
    check_limits(&g, 3 + 8 * 1, 8 * 0.5, 0.01);
    /* The window is whole: 32 of 1 and 32 of 5 have the mean 3 and the deviation 2. */
    g = (bv_guard){0};
    accept(&g, 32, 1, 0, 0);
    accept(&g, 32, 5, 0, 0);
    check_limits(&g, 3 + 8 * 2, 8 * 0.2, 0.01);
    /* And no longer: what is 64 steps old is forgotten. */
    accept(&g, 64, 7, 0, 0);
    check_limits(&g, 7 + 8 * 0.1, 8 * 0.2, 0.01);
}

/* A foreign manifest's guard: counts below 0, windows of other lengths. */
static void test_foreign_guard(void **state) {
    (void)state;
    static const char *const counts[] = {"accepted", "in_a_row", "skipped", "returns"};
    static const char *const windows[] = {"loss", "log_norm"};
    bv_guard g = {0}, copy;
    accept(&g, 3, 3, 1, 1);
    for (size_t i = 0; i < 6; i++) {
        json_t *value = bv_guard_json(&g);
        if (i < 4)
            json_object_set_new(value, counts[i], json_integer(-1));
        else
            json_array_append_new(json_object_get(value, windows[i - 4]), json_real(1));
        assert_fails(bv_guard_parse(&copy, value), BV_CODE_INPUT,
                     i < 4 ? "is negative" : "its window has another length");
        json_decref(value);
    }
}

static void test_bad_data_is_skipped(void **state) {
    (void)state;
    tiny_run t;
    tiny_begin(&t, "steps=150 batch=1 lr=0.01 eval_every=0 guard_limit=5 checkpoint_every=50", 160,
               2);
    assert_ok(train(&t, NULL));
    assert_non_null(strstr(said, "skipped: the loss"));
    assert_non_null(strstr(said, "all layers are in range"));
    /* It says where: 120 sentences come before the nonsense. */
    const char *at = strstr(said, "begins at token ");
    assert_non_null(at);
    const long token = strtol(at + strlen("begins at token "), NULL, 10);
    bv_buffer text = {0};
    assert_ok(bv_file_read(path_in(t.folder, "text.txt"), &text));
    const char *after = memmem(text.data, text.size, "a 0 old", 7);
    assert_in_range(token, after - text.data - 160 - 16, after - text.data);
    bv_buffer_free(&text);
    tiny_end(&t);
}

static const char *spoiled;
static float spoil_with;
static size_t worst; /* of the batch's sequences */

/* Step 20 has no loss, and weights that cannot be computed with. */
static void spoil(void *context, bv_gpt_trainer *trainer, uint64_t step, double *loss) {
    (void)context;
    size_t count;
    const bv_named_tensor *list = bv_gpt_trainer_parameters(trainer, &count);
    const float *losses = bv_gpt_trainer_row_losses(trainer);
    double sums[4] = {0};
    if (step != 19) return;
    *loss = NAN;
    worst = 0;
    for (size_t i = 0; i < 4 * 16; i++) sums[i / 16] += (double)losses[i];
    for (size_t i = 1; i < 4; i++)
        if (sums[i] > sums[worst]) worst = i;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; !strcmp(list[i].name, spoiled) && k < 16; k++)
            ((float *)list[i].data)[k] = spoil_with;
}

/* What went out of range first: a weight, else what the layers compute, and there the head. And
 * where the text stands that the loss comes from. */
static void test_a_skipped_step_is_explained(void **state) {
    (void)state;
    static const struct {
        const char *name;
        float value;
        const char *told;
    } rows[] = {{"", 0, "skipped: the loss is not finite; all layers are in range"},
                {"h.0.mlp.c_fc.weight", NAN, "first out of range: the weights h.0.mlp.c_fc"},
                {"h.0.ln_1.weight", 3e38f, "first out of range: layer 0"},
                {"ln_f.weight", 3e38f, "first out of range: the head, after values up to"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        tiny_run t;
        char where[80];
        spoiled = rows[i].name;
        spoil_with = rows[i].value;
        tiny_begin(&t, "steps=20 eval_every=0", 0, 1);
        assert_ok(train(&t, spoil));
        assert_int_not_equal(worst, 0);
        const uint64_t at = bv_dataset_offset(t.dataset, BV_ORDER_EPOCH, 1337, 76 + worst, 16);
        snprintf(where, sizeof where, "sequences 76..79 of the data, the worst begins at token %d ",
                 (int)at);
        if (!strstr(said, rows[i].told)) fail_msg("not \"%s\" in: %s", rows[i].told, said);
        if (!strstr(said, where)) fail_msg("not \"%s\" in: %s", where, said);
        tiny_end(&t);
    }
}

static bool flipped;
static size_t flips;

/* Flips the highest exponent bit of some weights of a letter's embedding, once: from then on every
 * step is bad. */
static void flip_weight(void *context, bv_gpt_trainer *trainer, uint64_t step, double *loss) {
    (void)context, (void)loss;
    if (step != 50 || flipped) return;
    flipped = true;
    size_t count;
    const bv_named_tensor *list = bv_gpt_trainer_parameters(trainer, &count);
    for (size_t i = 0; i < count; i++)
        if (!strcmp(list[i].name, "wte.weight"))
            for (size_t k = 0; k < flips; k++)
                ((uint32_t *)list[i].data)['e' * list[i].shape[1] + k] ^= 0x40000000u;
    bv_gpt_trainer_changed(trainer);
}

/* Steps 51, 52 and 53 are bad; their sequences, 204 to 215, are left out from then on. */
static void check_return(tiny_run *t, size_t bits, const char *range) {
    flipped = false;
    flips = bits;
    assert_ok(train(t, flip_weight));
    assert_true(flipped);
    assert_non_null(strstr(said, range));
    assert_non_null(strstr(said, "Back to step 40"));
    assert_non_null(strstr(said, "sequences 204..215"));
    assert_non_null(strstr(said, "return 1 of 3"));
    json_t *manifest;
    int64_t sequence, begins, ends, returns, skipped;
    assert_ok(bv_json_load(path_in(t->run, "checkpoints/latest/manifest.json"), &manifest));
    assert_ok(bv_json_get_int(manifest, "sequence", &sequence));
    assert_int_equal(json_unpack(manifest, "{s[[I,I]!]s{sIsI}}", "left_out", &begins, &ends,
                                 "guard", "returns", &returns, "skipped", &skipped),
                     0);
    assert_true(begins == 204 && ends == 216 && returns == 1 && skipped == 3);
    assert_int_equal(sequence, 4 * 60 + 12); /* 60 steps of 4, and 12 that were passed over */
    json_decref(manifest);
}

static void test_flipped_bit_goes_back(void **state) {
    (void)state;
    tiny_run t;
    tiny_begin(&t, "steps=60 checkpoint_every=20 eval_every=0", 0, 1);
    check_return(&t, 1, "all layers are in range, values up to ");
    tiny_end(&t);
}

static double first_losses[8]; /* of step 1, each time that it is made */
static size_t first_count;

static void keep_first_loss(void *context, const bv_step_report *report) {
    (void)context;
    if (report->step == 1 && first_count < 8) first_losses[first_count++] = report->loss;
}

/* A run that began with another's weights has them again where it goes back to its beginning. */
static void test_back_to_an_origin(void **state) {
    (void)state;
    tiny_run t;
    bv_origin origin;
    tiny_begin(&t, "steps=60 checkpoint_every=0 eval_every=0 schedule=constant", 0, 1);
    assert_ok(train(&t, NULL));
    assert_ok(bv_origin_find(t.run, -1, &origin));
    const char *source = path_in(t.folder, "source");
    assert_int_equal(rename(t.run, source), 0);
    snprintf(origin.run, sizeof origin.run, "%s", source);
    assert_ok(tiny_make(&t));
    t.options.origin = &origin;
    flipped = false;
    flips = 1;
    said[0] = 0;
    t.options.events =
        (bv_train_events){.note = on_note, .step = keep_first_loss, .disturb = flip_weight};
    assert_ok(bv_train(&t.options));
    assert_true(flipped);
    assert_non_null(strstr(said, "Back to step 0"));
    assert_int_equal(first_count, 2);
    for (size_t i = 0; i < first_count; i++) assert_true(first_losses[i] < 4);
    tiny_end(&t);
}

static volatile sig_atomic_t asked;

static void stop_at_45(void *context, const bv_step_report *report) {
    (void)context;
    if (report->step == 45) asked = SIGINT;
}

/* What an interruption saved may hold the trouble already: the guard goes further back. */
static void test_never_back_to_an_interruption(void **state) {
    (void)state;
    tiny_run t;
    tiny_begin(&t, "steps=60 checkpoint_every=20 eval_every=0", 0, 1);
    t.options.signal = &asked;
    t.options.events = (bv_train_events){.step = stop_at_45};
    assert_fails(bv_train(&t.options), BV_CODE_INTERRUPTED, "saved step 45");
    asked = 0;
    check_return(&t, 16, "first out of range: ");
    tiny_end(&t);
}

/* Kills the process when the return stands in the manifest, before metrics.jsonl tells it. */
static int die_between(void *context, const char *call, const char *path) {
    static bool amended;
    (void)context;
    if (amended && strstr(path, "metrics.jsonl")) kill(getpid(), SIGKILL);
    amended |= !strcmp(call, "rename") && strstr(path, "/checkpoints/40/manifest.json");
    return 0;
}

static void test_a_return_is_told_once(void **state) {
    (void)state;
    tiny_run t;
    int status;
    bv_buffer text = {0};
    tiny_begin(&t, "steps=60 checkpoint_every=20 eval_every=0", 0, 1);
    flipped = false;
    flips = 1;
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        bv_io_hook_set(die_between, NULL);
        bv_error *error = train(&t, flip_weight);
        _exit(error ? 1 : 0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_ok(train(&t, NULL));
    assert_ok(bv_file_read(path_in(t.run, "metrics.jsonl"), &text));
    assert_ok(bv_buffer_error(&text));
    const char *told = memmem(text.data, text.size, "returned", 8);
    assert_non_null(told);
    assert_null(memmem(told + 8, text.size - (size_t)(told + 8 - text.data), "returned", 8));
    bv_buffer_free(&text);
    tiny_end(&t);
}

/* A manifest with more stretches left out than there were returns has room for no further one. */
static void test_foreign_manifest(void **state) {
    (void)state;
    tiny_run t;
    json_t *manifest;
    tiny_begin(&t, "steps=60 checkpoint_every=20 eval_every=0", 0, 1);
    check_return(&t, 1, "all layers are in range, values up to ");
    const char *path = path_in(t.run, "checkpoints/latest/manifest.json");
    assert_ok(bv_json_load(path, &manifest));
    json_object_set_new(json_object_get(manifest, "guard"), "returns", json_integer(0));
    assert_ok(bv_json_save(path, manifest));
    json_decref(manifest);
    assert_fails(train(&t, NULL), BV_CODE_INPUT, "left_out");
    tiny_end(&t);
}

/* From step 45 on the gradient comes out different each time it is computed. */
static void unsteady(void *context, bv_gpt_trainer *trainer, uint64_t step, double *loss) {
    (void)context, (void)trainer;
    static int calls;
    if (step >= 45) *loss = 1000 + ++calls;
}

static void test_unsteady_hardware_stops(void **state) {
    (void)state;
    tiny_run t;
    tiny_begin(&t, "steps=60 eval_every=0", 0, 1);
    assert_fails(train(&t, unsteady), BV_CODE_FAULT, "faulty hardware");
    tiny_end(&t);
}

static void test_bad_learning_rate_stops(void **state) {
    (void)state;
    tiny_run t;
    tiny_begin(&t,
               "steps=400 lr=1000 warmup=0 grad_clip=0 eval_every=0 checkpoint_every=20 "
               "schedule=constant beta2=0.5 eps=1e-30 weight_decay=10",
               0, 1);
    assert_fails(train(&t, NULL), BV_CODE_FAULT, "lower --set lr");
    assert_non_null(strstr(said, "return 3 of 3"));
    tiny_end(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_judging),
        cmocka_unit_test(test_limits_of_judging),
        cmocka_unit_test(test_foreign_guard),
        cmocka_unit_test(test_bad_data_is_skipped),
        cmocka_unit_test(test_a_skipped_step_is_explained),
        cmocka_unit_test(test_flipped_bit_goes_back),
        cmocka_unit_test(test_back_to_an_origin),
        cmocka_unit_test(test_never_back_to_an_interruption),
        cmocka_unit_test(test_a_return_is_told_once),
        cmocka_unit_test(test_foreign_manifest),
        cmocka_unit_test(test_unsteady_hardware_stops),
        cmocka_unit_test(test_bad_learning_rate_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
