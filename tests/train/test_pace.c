/* Pace: how many steps fit a time by a given pace, and that measuring touches nothing and finds
 * times that can be. */
#include "support/tiny_run.h"

#include "train/pace.h"
#include <math.h>
#include <unistd.h>

static const bv_pace pace = {
    .seconds_per_sequence = 0.5, .seconds_per_step = 1, .seconds_per_window = 0.25};

static bv_settings some(const char *settings) {
    bv_settings s;
    tiny_settings(&s, settings);
    return s;
}

/* Steps of 4 sequences take 3 s. */
static void test_steps(void **state) {
    (void)state;
    tiny_run t;
    tiny_begin(&t, "", 0, 1);
    bv_settings s = some("eval_every=0");
    for (double asked = 10; asked < 1000; asked *= 1.7) {
        s.steps = bv_pace_steps(&s, t.dataset, &pace, asked);
        const double seconds = bv_pace_seconds(&s, t.dataset, &pace);
        assert_true(fabs(seconds - 3 * (double)s.steps) < 1e-9);
        assert_true(asked <= seconds && seconds < asked + 3.001);
    }
    /* Too little time for a step is one step, and it is told what that takes. */
    s.steps = bv_pace_steps(&s, t.dataset, &pace, 0.01);
    assert_int_equal(s.steps, 1);
    assert_true(bv_pace_seconds(&s, t.dataset, &pace) == 3);
    /* Evaluations of 8 windows: 2 s each, before, after, and every 4 steps. */
    s = some("eval_every=4 eval_windows=8");
    s.steps = 12;
    assert_true(fabs(bv_pace_seconds(&s, t.dataset, &pace) - (4 + 12 * 3.5)) < 1e-9);
    assert_int_equal(bv_pace_steps(&s, t.dataset, &pace, 45.9), 12);
    /* A batch that grows from 1 to 4: its first steps are shorter. */
    s = some("eval_every=0 batch_ramp=8");
    s.steps = 20;
    double sequences = 0;
    for (size_t i = 0; i < 20; i++) sequences += (double)bv_settings_batch_at(&s, i);
    assert_true(sequences < 80);
    assert_true(fabs(bv_pace_seconds(&s, t.dataset, &pace) - (20 + sequences / 2)) < 1e-9);
    assert_int_equal(bv_pace_steps(&s, t.dataset, &pace, 19.5 + sequences / 2), 20);
    /* Over longer than anybody trains: found without walking there. */
    s = some("eval_every=100 batch_ramp=1000000000");
    for (int i = 1; i <= 100; i++) {
        const double asked = 1e7 * i;
        s.steps = bv_pace_steps(&s, t.dataset, &pace, asked);
        assert_true(bv_pace_seconds(&s, t.dataset, &pace) >= asked);
        s.steps--;
        assert_true(bv_pace_seconds(&s, t.dataset, &pace) < asked);
    }
    tiny_end(&t);
}

static void measure(const char *settings) {
    tiny_run t;
    bv_pace measured;
    tiny_begin(&t, settings, 0, 2);
    assert_ok(bv_pace_measure(&t.options, 0.2, &measured));
    assert_true(measured.seconds_per_sequence > 0 && measured.seconds_per_sequence < 60);
    assert_true(measured.seconds_per_window > 0 && measured.seconds_per_window < 60);
    assert_true(measured.seconds_per_step > 0 && measured.seconds_per_step < 60);
    /* Of the run nothing was written. */
    assert_true(access(path_in(t.run, "metrics.jsonl"), F_OK) != 0);
    tiny_end(&t);
}

/* All layers of what is small, as few as stand for all of what is large. */
static void test_layers(void **state) {
    (void)state;
    static const struct {
        const char *preset;
        size_t band, layers;
    } rows[] = {{"tiny", 0, 2}, {"mini", 0, 6}, {"gpt2", 0, 1}, {"gpt2-xl", 64, 2}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bv_settings s;
        bv_settings_default(&s);
        assert_ok(bv_settings_preset(&s, rows[i].preset));
        s.model.vocab_size = 50257;
        s.model.band = rows[i].band;
        assert_ok(bv_settings_check(&s));
        assert_int_equal(bv_pace_layers(&s), rows[i].layers);
    }
}

static void test_measure(void **state) {
    (void)state;
    measure("");
    measure("dtype=bf16 optimizer=muon layers=3 band=4 grains=2 batch_ramp=4");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_layers),
        cmocka_unit_test(test_measure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
