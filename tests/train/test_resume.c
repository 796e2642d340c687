/* A run that was interrupted or killed, and goes on, ends with the same bits. */
#include "support/check.h"

#include "base/clock.h"
#include "base/text.h"
#include "support/tiny_run.h"
#include "train/checkpoint.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>

/* Stops the loop after a step: by a signal as the user would, or by killing the process. */
typedef struct stopper {
    volatile sig_atomic_t signal;
    uint64_t at;
    bool kill;
} stopper;

static void on_step(void *context, const bv_step_report *report) {
    stopper *s = context;
    if (report->step != s->at) return;
    if (s->kill) kill(getpid(), SIGKILL);
    s->signal = SIGINT;
}

static tiny_proof straight(const char *settings, int threads) {
    tiny_run t;
    tiny_begin(&t, settings, 0, threads);
    assert_ok(bv_train(&t.options));
    const tiny_proof proof = tiny_hash(&t);
    tiny_end(&t);
    return proof;
}

static tiny_proof interrupted(const char *settings, uint64_t at, int threads) {
    tiny_run t;
    tiny_begin(&t, settings, 0, threads);
    stopper s = {.at = at};
    t.options.signal = &s.signal;
    t.options.events = (bv_train_events){.step = on_step, .context = &s};
    bv_error *error = bv_train(&t.options);
    assert_int_equal(bv_error_exit_code(error), 130);
    assert_non_null(strstr(bv_error_text(error), "--resume"));
    bv_error_free(&error);
    int64_t step;
    assert_ok(bv_checkpoint_find(t.run, BV_CHECKPOINT_LATEST, &step));
    assert_int_equal(step, (int64_t)at);
    s = (stopper){0};
    assert_ok(bv_train(&t.options));
    const tiny_proof proof = tiny_hash(&t);
    tiny_end(&t);
    return proof;
}

/* Trains in a child that dies at a step; nothing is flushed, nothing is cleaned up. */
static void train_and_die(tiny_run *t, uint64_t at) {
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        stopper s = {.at = at, .kill = true};
        bv_pool *pool;
        if (bv_pool_create(2, &pool)) _exit(3); /* threads do not survive a fork */
        t->options.pool = pool;
        t->options.events = (bv_train_events){.step = on_step, .context = &s};
        bv_error *error = bv_train(&t->options);
        _exit(error ? 1 : 0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static tiny_proof killed(const char *settings, uint64_t at) {
    tiny_run t;
    tiny_begin(&t, settings, 0, 1);
    train_and_die(&t, at);
    assert_ok(bv_train(&t.options));
    const tiny_proof proof = tiny_hash(&t);
    tiny_end(&t);
    return proof;
}

static void check_same(tiny_proof a, tiny_proof b) {
    assert_string_equal(a.text, b.text);
}

static void test_interrupted_anywhere(void **state) {
    (void)state;
    const tiny_proof whole = straight("", 1);
    for (uint64_t at = 1; at < 12; at++) check_same(interrupted("", at, 1 + (int)at % 3), whole);
}

static void test_killed(void **state) {
    (void)state;
    const tiny_proof whole = straight("", 1);
    for (uint64_t at = 1; at < 12; at++) check_same(killed("", at), whole);
}

static void test_settings(void **state) {
    (void)state;
    static const char *const all[] = {
        "dtype=bf16 optimizer=muon rms_norm=true position=rope bias=false",
        "dropout=0.1 grains=2 micro_batch=1 document_mask=true",
        "batch=8 batch_ramp=6 order=random schedule=wsd recompute=all ngram=3 ngram_rows=50",
        "kneser_ney=4 tied=false document_mask=true",
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const tiny_proof whole = straight(all[i], 2);
        check_same(interrupted(all[i], 5, 1), whole);
        check_same(killed(all[i], 7), whole);
    }
}

/* Each step has one line, and each evaluation (0, 4, 8, 12). */
static void check_metrics(const tiny_run *t) {
    bv_buffer text = {0};
    assert_ok(bv_file_read(path_in(t->run, "metrics.jsonl"), &text));
    int64_t expected = 0, evaluated = 0;
    for (char *line = text.data; line < text.data + text.size; line = strchr(line, '\n') + 1) {
        json_t *value;
        int64_t step;
        assert_ok(bv_json_parse(line, strcspn(line, "\n"), "metrics", &value));
        assert_ok(bv_json_get_int(value, "step", &step));
        if (json_object_get(value, "loss")) {
            assert_int_equal(step, ++expected);
        } else {
            assert_int_equal(step, evaluated);
            evaluated += 4;
        }
        json_decref(value);
    }
    assert_int_equal(expected, 12);
    assert_int_equal(evaluated, 16);
    bv_buffer_free(&text);
}

static void test_metrics_are_cut(void **state) {
    (void)state;
    for (uint64_t at = 2; at <= 6; at += 4) { /* the last checkpoint: none, step 4 */
        tiny_run t;
        tiny_begin(&t, "", 0, 1);
        train_and_die(&t, at);
        FILE *file = fopen(path_in(t.run, "metrics.jsonl"), "a");
        assert_non_null(file);
        fputs("{\"step\": 7, \"lo", file); /* a line that was cut off */
        fclose(file);
        assert_ok(bv_train(&t.options));
        check_metrics(&t);
        tiny_end(&t);
    }
}

static volatile sig_atomic_t alarmed;

static void on_alarm(int number) {
    (void)number;
    alarmed = SIGTERM;
}

/* Stopped at moments that have nothing to do with steps: amid a gradient, amid an evaluation. The
 * n-th pause comes n shares of a whole run's time after the start. */
static void test_interrupted_at_any_moment(void **state) {
    (void)state;
    static const char settings[] = "micro_batch=1 width=32 layers=3";
    const double begin = bv_clock_seconds();
    const tiny_proof whole = straight(settings, 1);
    const double run = bv_clock_seconds() - begin;
    sigaction(SIGALRM, &(struct sigaction){.sa_handler = on_alarm, .sa_flags = SA_RESTART}, NULL);
    int stops = 0;
    for (int first = 1; first <= 12; first++) {
        tiny_run t;
        tiny_begin(&t, settings, 0, 1);
        t.options.signal = &alarmed;
        bv_error *error;
        for (int n = 1;; n++) {
            const double seconds = run / 100 * first * n;
            const struct itimerval later = {
                .it_value = {(time_t)seconds, 1 + (suseconds_t)(fmod(seconds, 1) * 999999)}};
            alarmed = 0;
            setitimer(ITIMER_REAL, &later, NULL);
            error = bv_train(&t.options);
            setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
            if (!error) break;
            assert_int_equal(bv_error_exit_code(error), 143);
            bv_error_free(&error);
            stops++;
        }
        check_same(tiny_hash(&t), whole);
        check_metrics(&t);
        tiny_end(&t);
    }
    assert_true(stops > 0);
}

static void test_damage_is_found(void **state) {
    (void)state;
    tiny_run t;
    bv_buffer bytes = {0};
    tiny_begin(&t, "steps=8", 0, 1);
    assert_ok(bv_train(&t.options));
    const char *path = path_in(t.run, "checkpoints/8/model.safetensors");
    assert_ok(bv_file_read(path, &bytes));
    bytes.data[bytes.size / 2] ^= 1;
    assert_ok(bv_file_write(path, bytes.data, bytes.size));
    assert_fails(bv_train(&t.options), BV_CODE_INPUT, "damaged");
    assert_ok(bv_file_write(path, bytes.data, bytes.size / 3));
    assert_fails(bv_train(&t.options), BV_CODE_INPUT, "/checkpoints/8 away");
    /* The remedy helps: the one before it is used. */
    path = path_in(t.run, "checkpoints/8");
    assert_ok(bv_dir_remove(path));
    int64_t step;
    assert_ok(bv_checkpoint_find(t.run, BV_CHECKPOINT_LATEST, &step));
    assert_int_equal(step, 4);
    assert_ok(bv_train(&t.options));
    /* Under another step's name it is no checkpoint: what came at its own would not be written. */
    assert_int_equal(rename(path, path_in(t.run, "checkpoints/6")), 0);
    assert_fails(bv_train(&t.options), BV_CODE_INPUT, "its manifest is of step 8");
    bv_buffer_free(&bytes);
    tiny_end(&t);
}

/* Trains in a child, which dies at the first write to a path that ends so. A signal comes after
 * step 5. */
static const char *deadly;

static int die_writing(void *context, const char *call, const char *path) {
    (void)context, (void)call;
    const size_t n = strlen(path), m = strlen(deadly);
    if (n >= m && !strcmp(path + n - m, deadly)) kill(getpid(), SIGKILL);
    return 0;
}

static void train_and_die_writing(tiny_run *t, const char *path) {
    deadly = path;
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        stopper s = {.at = 5};
        t->options.signal = &s.signal;
        t->options.events = (bv_train_events){.step = on_step, .context = &s};
        bv_io_hook_set(die_writing, NULL);
        bv_error *error = bv_train(&t->options);
        _exit(error ? 1 : 0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* Killed while it saves what a signal interrupted, at a step that is never saved again: half a
 * checkpoint does not stay for ever. */
static void test_half_a_checkpoint_goes(void **state) {
    (void)state;
    tiny_run t;
    char **names;
    size_t count;
    tiny_begin(&t, "", 0, 1);
    const char *path = path_in(t.run, "checkpoints/.5");
    train_and_die_writing(&t, "/.5/optimizer.safetensors");
    assert_true(bv_dir_exists(path));
    assert_ok(bv_train(&t.options));
    path = path_in(t.run, "checkpoints");
    assert_ok(bv_dir_list(path, &names, &count));
    for (size_t i = 0; i < count; i++) {
        assert_int_not_equal(names[i][0], '.');
    }
    bv_names_free(names, count);
    tiny_end(&t);
}

/* Killed after the only checkpoint had its name, and before the link. */
static void test_latest_is_mended(void **state) {
    (void)state;
    tiny_run t;
    tiny_begin(&t, "steps=3", 0, 1);
    const tiny_proof whole = straight("steps=3", 1);
    train_and_die_writing(&t, "/checkpoints/latest");
    assert_ok(bv_train(&t.options));
    check_same(tiny_hash(&t), whole);
    tiny_end(&t);
}

/* A copy of a run that followed links has a folder in place of the link. */
static void test_latest_is_a_folder(void **state) {
    (void)state;
    tiny_run t;
    int64_t step;
    tiny_begin(&t, "steps=2 checkpoint_every=1 schedule=constant", 0, 1);
    assert_ok(bv_train(&t.options));
    const char *link = path_in(t.run, "checkpoints/latest");
    assert_int_equal(unlink(link), 0);
    link = path_in(t.run, "checkpoints/latest/inner");
    assert_ok(bv_dir_make(link));
    t.config.settings.steps = 3;
    assert_ok(bv_train(&t.options));
    assert_ok(bv_checkpoint_find(t.run, BV_CHECKPOINT_LATEST, &step));
    assert_int_equal(step, 3);
    tiny_end(&t);
}

static void test_old_ones_go_and_the_best_stays(void **state) {
    (void)state;
    tiny_run t;
    char **names;
    size_t count;
    tiny_begin(&t, "steps=24 checkpoint_every=2 eval_every=2 keep=2 lr=0.3 warmup=0", 0, 1);
    assert_ok(bv_train(&t.options));
    assert_ok(bv_dir_list(path_in(t.run, "checkpoints"), &names, &count));
    /* The last two, the best (maybe one of them), the link. */
    assert_in_range(count, 3, 4);
    assert_string_equal(names[count - 1], "latest");
    bv_names_free(names, count);
    tiny_end(&t);
}

/* A loss that was measured at an earlier step says nothing of the checkpoint that was saved after
 * it. Without learning all losses are equal, and the first is the best. */
static void test_the_best_was_evaluated(void **state) {
    (void)state;
    tiny_run t;
    char **names;
    size_t count;
    tiny_begin(&t, "steps=24 checkpoint_every=4 eval_every=5 keep=1 lr=0", 0, 1);
    assert_ok(bv_train(&t.options));
    assert_ok(bv_dir_list(path_in(t.run, "checkpoints"), &names, &count));
    assert_int_equal(count, 3);
    assert_string_equal(names[0], "20");
    assert_string_equal(names[1], "24");
    bv_names_free(names, count);
    tiny_end(&t);
}

/* Trains until a signal after step `at`. */
static void stop_at(tiny_run *t, uint64_t at) {
    stopper s = {.at = at};
    t->options.signal = &s.signal;
    t->options.events = (bv_train_events){.step = on_step, .context = &s};
    assert_fails(bv_train(&t->options), BV_CODE_INTERRUPTED, "interrupted: saved step");
    t->options.signal = NULL;
    t->options.events = (bv_train_events){0};
}

/* Checkpoints and links of a run. */
static size_t kept(const tiny_run *t) {
    return names_in(path_in(t->run, "checkpoints"));
}

/* Stopped again and again long before the next regular checkpoint. */
static void test_what_signals_saved_goes(void **state) {
    (void)state;
    tiny_run t;
    tiny_begin(&t, "steps=12 checkpoint_every=12 eval_every=0 keep=2", 0, 1);
    const tiny_proof whole = straight("steps=12 checkpoint_every=12 eval_every=0 keep=2", 1);
    for (uint64_t at = 1; at < 9; at++) {
        stop_at(&t, at);
        assert_int_equal(kept(&t), at < 2 ? 2 : 3); /* with the link */
    }
    assert_ok(bv_train(&t.options));
    check_same(tiny_hash(&t), whole);
    tiny_end(&t);
}

/* The guard goes back to a regular one, so the last of them stays whatever signals saved since. */
static void test_the_last_regular_stays(void **state) {
    (void)state;
    tiny_run t;
    int64_t step;
    tiny_begin(&t, "steps=12 eval_every=0 keep=1", 0, 1);
    for (uint64_t at = 5; at < 8; at++) stop_at(&t, at);
    assert_ok(bv_checkpoint_find(t.run, BV_CHECKPOINT_REGULAR, &step));
    assert_int_equal(step, 4);
    assert_int_equal(kept(&t), 3); /* 4, 7 and the link */
    tiny_end(&t);
}

/* A file system without links, as FAT is. This stands before the C library's function. */
static bool linkless;

int symlink(const char *target, const char *path) {
    if (!linkless) return symlinkat(target, AT_FDCWD, path);
    errno = EPERM;
    return -1;
}

static void test_without_links(void **state) {
    (void)state;
    tiny_run t;
    int64_t step;
    tiny_begin(&t, "steps=12 keep=1 checkpoint_every=1 schedule=constant", 0, 1);
    const tiny_proof whole = straight("steps=12 keep=1 checkpoint_every=1 schedule=constant", 1);
    const char *link = path_in(t.run, "checkpoints/latest/inner");
    assert_ok(bv_dir_make(link)); /* of a copy, of an older step */
    linkless = true;
    stop_at(&t, 5);
    assert_ok(bv_checkpoint_find(t.run, BV_CHECKPOINT_LATEST, &step));
    assert_int_equal(step, 5);
    assert_ok(bv_train(&t.options));
    linkless = false;
    link = path_in(t.run, "checkpoints/latest");
    assert_false(bv_dir_exists(link));
    assert_int_equal(rename(path_in(t.run, "checkpoints/12"), link), 0);
    check_same(tiny_hash(&t), whole);
    tiny_end(&t);
}

/* Somebody set the link back, by a whole path: what is saved from there on is not the last, but it
 * stays. */
static void test_latest_stays(void **state) {
    (void)state;
    tiny_run t;
    int64_t step;
    tiny_begin(&t, "steps=12 keep=1 eval_every=0", 0, 1);
    t.config.settings.keep = 3;
    assert_ok(bv_train(&t.options));
    t.config.settings.keep = 1;
    const char *link = path_in(t.run, "checkpoints/latest");
    assert_int_equal(unlink(link), 0);
    assert_int_equal(symlink(path_in(t.run, "checkpoints/4/"), link), 0);
    assert_ok(bv_checkpoint_find(t.run, BV_CHECKPOINT_LATEST, &step));
    assert_int_equal(step, 4);
    stop_at(&t, 5);
    assert_ok(bv_checkpoint_find(t.run, BV_CHECKPOINT_LATEST, &step));
    assert_int_equal(step, 5);
    tiny_end(&t);
}

/* What was written last: the metrics, and whether they were synced since. */
static bool unsynced;
static int saved_unsynced;

static int watch_order(void *context, const char *call, const char *path) {
    (void)context;
    const bool metrics = bv_ends_with(path, "/metrics.jsonl");
    if (metrics && !strcmp(call, "write")) unsynced = true;
    if (metrics && !strcmp(call, "fsync")) unsynced = false;
    if (bv_ends_with(path, "/checkpoints/latest") && unsynced) saved_unsynced++;
    return 0;
}

/* A power failure takes what was not synced: a checkpoint never tells of steps that the metrics do
 * not. */
static void test_metrics_are_synced_first(void **state) {
    (void)state;
    tiny_run t;
    tiny_begin(&t, "", 0, 1);
    bv_io_hook_set(watch_order, NULL);
    bv_error *error = bv_train(&t.options);
    bv_io_hook_set(NULL, NULL);
    assert_ok(error);
    assert_int_equal(saved_unsynced, 0);
    tiny_end(&t);
}

static int refuse_removing(void *context, const char *call, const char *path) {
    (void)context;
    return !strcmp(call, "rename") && strrchr(path, '/')[1] == '.' ? EACCES : 0;
}

static void keep_note(void *context, const char *text) {
    snprintf(context, 200, "%s", text);
}

/* What is only in the way ends no training; it goes when it can. */
static void test_old_ones_that_cannot_go(void **state) {
    (void)state;
    tiny_run t;
    char note[200] = "";
    tiny_begin(&t, "checkpoint_every=2 eval_every=0 keep=1 schedule=constant", 0, 1);
    const tiny_proof whole = straight("eval_every=0 schedule=constant", 1);
    t.options.events = (bv_train_events){.note = keep_note, .context = note};
    bv_io_hook_set(refuse_removing, NULL);
    bv_error *error = bv_train(&t.options);
    bv_io_hook_set(NULL, NULL);
    assert_ok(error);
    check_same(tiny_hash(&t), whole);
    assert_non_null(strstr(note, "old checkpoints stay: cannot rename"));
    assert_null(strchr(note, '\n'));
    assert_int_equal(kept(&t), 7);
    t.config.settings.steps = 14;
    assert_ok(bv_train(&t.options));
    assert_int_equal(kept(&t), 2);
    tiny_end(&t);
}

/* Moves the run away after step 6, and lets another one be made in its place. */
static void move_away(void *context, const bv_step_report *report) {
    const tiny_run *t = context;
    if (report->step != 6) return;
    assert_int_equal(rename(t->run, path_in(t->folder, "moved")), 0);
    assert_ok(bv_dir_make(t->run));
}

/* What stands at a run's name by then is another's: nothing is written there. */
static void test_moved_while_it_is_trained(void **state) {
    (void)state;
    tiny_run t;
    const tiny_proof whole = straight("", 1);
    tiny_begin(&t, "", 0, 1);
    t.options.events = (bv_train_events){.step = move_away, .context = &t};
    assert_fails(bv_train(&t.options), BV_CODE_IO, "was moved or removed while it was trained");
    assert_int_equal(names_in(t.run), 0);
    assert_ok(bv_dir_remove(t.run));
    assert_int_equal(rename(path_in(t.folder, "moved"), t.run), 0);
    t.options.events = (bv_train_events){0};
    assert_ok(bv_train(&t.options));
    check_same(tiny_hash(&t), whole);
    check_metrics(&t);
    tiny_end(&t);
}

static void keep_report(void *context, const bv_step_report *report) {
    *(bv_step_report *)context = *report;
}

/* Stopped before the last evaluation: who makes it makes no step, and knows no loss of one. */
static void test_only_evaluated(void **state) {
    (void)state;
    tiny_run t;
    bv_step_report report = {0};
    tiny_begin(&t, "", 0, 1);
    stopper s = {.at = 12};
    t.options.signal = &s.signal;
    t.options.events = (bv_train_events){.step = on_step, .context = &s};
    assert_fails(bv_train(&t.options), BV_CODE_INTERRUPTED, "saved step 12");
    s.signal = 0;
    t.options.events = (bv_train_events){.step = keep_report, .context = &report};
    assert_ok(bv_train(&t.options));
    assert_int_equal(report.step, 12);
    assert_true(report.val_loss > 0);
    assert_true(isnan(report.loss) && isnan(report.tokens_per_s));
    tiny_end(&t);
}

/* Two processes make one run at once: one of them does, the other is told so. */
static void test_two_make_one_run(void **state) {
    (void)state;
    tiny_run t;
    tiny_begin(&t, "steps=2", 0, 1);
    char partial[400];
    snprintf(partial, sizeof partial, "%s.partial", t.run);
    for (int round = 0; round < 200; round++) {
        int status;
        assert_ok(bv_dir_remove(t.run));
        const pid_t child = fork();
        assert_true(child >= 0);
        bv_error *error = tiny_make(&t);
        const int code = (int)bv_error_code(error);
        if (code != BV_CODE_OK && code != BV_CODE_USAGE) print_error("%s\n", bv_error_text(error));
        bv_error_free(&error);
        if (!child) _exit(code);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        const int other = WEXITSTATUS(status);
        assert_true((code == BV_CODE_OK && other == BV_CODE_USAGE) ||
                    (code == BV_CODE_USAGE && other == BV_CODE_OK));
        assert_true(bv_run_folder_exists(t.run));
        assert_false(bv_dir_exists(partial));
    }
    tiny_end(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_interrupted_anywhere),
        cmocka_unit_test(test_killed),
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_metrics_are_cut),
        cmocka_unit_test(test_interrupted_at_any_moment),
        cmocka_unit_test(test_damage_is_found),
        cmocka_unit_test(test_half_a_checkpoint_goes),
        cmocka_unit_test(test_latest_is_mended),
        cmocka_unit_test(test_latest_is_a_folder),
        cmocka_unit_test(test_old_ones_go_and_the_best_stays),
        cmocka_unit_test(test_the_best_was_evaluated),
        cmocka_unit_test(test_what_signals_saved_goes),
        cmocka_unit_test(test_the_last_regular_stays),
        cmocka_unit_test(test_without_links),
        cmocka_unit_test(test_latest_stays),
        cmocka_unit_test(test_metrics_are_synced_first),
        cmocka_unit_test(test_old_ones_that_cannot_go),
        cmocka_unit_test(test_moved_while_it_is_trained),
        cmocka_unit_test(test_only_evaluated),
        cmocka_unit_test(test_two_make_one_run),
    };
    if (access("/dev/shm", W_OK) == 0) setenv("TMPDIR", "/dev/shm", 0); /* where syncing is free */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
