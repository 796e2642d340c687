/*
 * Judges as processes: killed, paused beyond their lease, or failing, and stores that are locked or
 * gone meanwhile. However it goes, each submission gets one verdict. Judging is a fake here: it
 * sleeps for as many milliseconds as the source says.
 */
#include "support/check.h"

#include "arena/accounts.h"
#include "arena/judges.h"
#include "arena/submissions.h"
#include "support/stores.h"
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <time.h>

static _Atomic int failing; /* how often the fake fails from now on */

static void sleep_ms(int ms) {
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL);
}

static bv_status fake(void *context, const bv_lease *lease, bv_judged *out) {
    if (failing > 0 && failing-- > 0) return bv_fail(BV_CODE_FAULT, "the sandbox is out of sorts");
    sleep_ms((int)strtol(lease->source.data, NULL, 10));
    snprintf(out->verdict, sizeof out->verdict, "%s", (const char *)context);
    out->score = out->points = 10;
    bv_buffer_text(&out->detail, "{}");
    return BV_OK;
}

static bv_judges *start(const char *url, const char *verdict, int threads, int lease_ms) {
    bv_judges *judges;
    const bv_judges_options options = {.store = url,
                                       .name = verdict,
                                       .threads = threads,
                                       .lease_ms = lease_ms,
                                       .judge = fake,
                                       .context = (void *)verdict};
    assert_ok(bv_judges_start(&options, &judges));
    return judges;
}

/* A process that judges until it is killed. This process has no other threads when it forks. */
static pid_t spawn(const char *url, const char *verdict, int lease_ms) {
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid) return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    start(url, verdict, 1, lease_ms);
    for (;;) pause();
}

static void end_process(pid_t pid) {
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static bv_store *open_store(size_t i) {
    bv_store *s;
    assert_ok(bv_store_open(urls[i], false, &s));
    assert_ok(bv_arena_tables_prepare(s));
    return s;
}

static void submit(bv_store *s, const char *source, int count) {
    static int users;
    bv_account account;
    char key[BV_ACCOUNT_KEY_SIZE], name[32];
    snprintf(name, sizeof name, "j%d", users++);
    assert_ok(bv_account_create(s, name, false, &account, key));
    const bv_submission submission = {account.id, "echo", "c", source, strlen(source)};
    const bv_submission_limits wide = {.waiting = 1000, .per_minute = 1000};
    for (int i = 0; i < count; i++) {
        int64_t id;
        const char *why;
        assert_ok(bv_submission_create(s, &submission, &wide, &id, &why));
        assert_true(id > 0);
    }
}

static void wait_until(bv_store *s, const char *sql, int64_t wanted) {
    for (int i = 0; i < 4000 && number(s, sql) != wanted; i++) sleep_ms(25);
    assert_int_equal(number(s, sql), wanted);
}

#define UNJUDGED "SELECT COUNT(*) FROM arena_submissions WHERE state <> 2"
#define RUNNING "SELECT COUNT(*) FROM arena_submissions WHERE state = 1"
#define MISSING                                                                                    \
    "SELECT COUNT(*) FROM arena_submissions s WHERE NOT EXISTS "                                   \
    "(SELECT 1 FROM arena_verdicts v WHERE v.submission_id = s.id)"

static void test_killed(void **state) {
    (void)state;
    for (size_t i = 0; i < url_count; i++) {
        bv_store *s = open_store(i);
        submit(s, "60000", 1);
        bv_store_close(&s);
        const pid_t first = spawn(urls[i], "first", 600);
        s = open_store(i);
        wait_until(s, RUNNING, 1);
        end_process(first);
        assert_int_equal(number(s, UNJUDGED), 1);
        assert_ok(bv_store_exec(s, "UPDATE arena_submissions SET source = $1 WHERE state = 1",
                                BV_VALUES(bv_blob("1", 1)), NULL));
        bv_store_close(&s);
        const pid_t second = spawn(urls[i], "second", 600);
        s = open_store(i);
        wait_until(s, UNJUDGED, 0);
        assert_int_equal(number(s, MISSING), 0);
        assert_int_equal(
            number(s, "SELECT COUNT(*) FROM arena_verdicts WHERE verdict = 'second' AND fence = 2"),
            1);
        bv_store_close(&s);
        end_process(second);
    }
}

static void test_paused(void **state) {
    (void)state;
    for (size_t i = 0; i < url_count; i++) {
        bv_store *s = open_store(i);
        const int64_t before = number(s, "SELECT COUNT(*) FROM arena_verdicts");
        submit(s, "400", 1);
        bv_store_close(&s);
        const pid_t paused = spawn(urls[i], "paused", 500);
        s = open_store(i);
        wait_until(s, RUNNING, 1);
        kill(paused, SIGSTOP);
        bv_store_close(&s);
        const pid_t other = spawn(urls[i], "other", 5000);
        s = open_store(i);
        wait_until(s, UNJUDGED, 0);
        kill(paused, SIGCONT);
        sleep_ms(900); /* it judges on, and is refused */
        assert_int_equal(number(s, "SELECT COUNT(*) FROM arena_verdicts"), before + 1);
        assert_int_equal(number(s, "SELECT COUNT(*) FROM arena_verdicts WHERE verdict = 'paused'"),
                         0);
        bv_store_close(&s);
        end_process(paused);
        end_process(other);
    }
}

/* A judging that takes longer than the lease is renewed all along. */
static void test_heartbeat(void **state) {
    (void)state;
    for (size_t i = 0; i < url_count; i++) {
        bv_store *s = open_store(i);
        submit(s, "5000", 1);
        bv_judges *a = start(urls[i], "a", 1, 1000), *b = start(urls[i], "b", 1, 1000);
        wait_until(s, UNJUDGED, 0);
        assert_int_equal(number(s, "SELECT MAX(fence) FROM arena_verdicts WHERE judge <> 'other' "
                                   "AND judge <> 'second'"),
                         1);
        bv_judges_stop(&a);
        bv_judges_stop(&b);
        bv_store_close(&s);
    }
}

/* Our fault is tried again. */
static void test_faults(void **state) {
    (void)state;
    bv_store *s = open_store(0);
    submit(s, "1", 1);
    failing = 2;
    bv_judges *judges = start(urls[0], "after-faults", 1, 300);
    wait_until(s, UNJUDGED, 0);
    assert_int_equal(number(s, "SELECT fence FROM arena_verdicts WHERE verdict = 'after-faults'"),
                     3);
    bv_judges_stop(&judges);
    bv_store_close(&s);
}

static bv_status broken(void *context, const bv_lease *lease, bv_judged *out) {
    (void)lease, (void)out;
    ++*(_Atomic int *)context;
    return bv_fail(BV_CODE_FAULT, "nothing works here");
}

/* A judge on whose machine nothing works fails at once, and is free again at once; it does not
 * spoil what a busy judge beside it will come to. */
static void test_broken_machine(void **state) {
    (void)state;
    _Atomic int failed = 0;
    bv_judges *idle;
    bv_store *s = open_store(0);
    submit(s, "20", 40);
    const bv_judges_options options = {
        .store = urls[0], .name = "broken", .threads = 1, .judge = broken, .context = &failed};
    assert_ok(bv_judges_start(&options, &idle));
    bv_judges *judges = start(urls[0], "works", 1, 60000);
    wait_until(s, UNJUDGED, 0);
    bv_judges_stop(&judges);
    bv_judges_stop(&idle);
    assert_true(failed > 0 && failed < 10);
    assert_int_equal(number(s, "SELECT COUNT(*) FROM arena_verdicts WHERE verdict = 'not-judged'"),
                     0);
    assert_int_equal(number(s, MISSING), 0);
    bv_store_close(&s);
}

/* Too often, and the submission is set aside with words. */
static void test_set_aside(void **state) {
    (void)state;
    bv_store *s = open_store(0);
    submit(s, "1", 1);
    assert_ok(bv_store_exec(s, "UPDATE arena_submissions SET fence = 5 WHERE state = 0",
                            BV_NO_VALUES, NULL));
    bv_judges *judges = start(urls[0], "unused", 1, 300);
    wait_until(s, UNJUDGED, 0);
    assert_int_equal(number(s, "SELECT COUNT(*) FROM arena_verdicts WHERE verdict = 'not-judged' "
                               "AND detail LIKE '%5 judges failed%'"),
                     1);
    bv_judges_stop(&judges);
    bv_store_close(&s);
}

/* The file is away while a verdict waits to be recorded: it is recorded when it is back. */
static void test_file_away(void **state) {
    (void)state;
    char away[4300];
    bv_store *s = open_store(0);
    submit(s, "300", 1);
    bv_judges *judges = start(urls[0], "patient", 1, 60000);
    wait_until(s, RUNNING, 1);
    bv_store_close(&s);
    snprintf(away, sizeof away, "%s.away", file);
    assert_int_equal(rename(file, away), 0);
    sleep_ms(700);
    assert_int_equal(rename(away, file), 0);
    s = open_store(0);
    wait_until(s, UNJUDGED, 0);
    assert_int_equal(
        number(s, "SELECT COUNT(*) FROM arena_verdicts WHERE verdict = 'patient' AND fence = 1"),
        1);
    bv_judges_stop(&judges);
    bv_store_close(&s);
}

static void test_server_away(void **state) {
    (void)state;
    if (url_count < 2) skip();
    bv_store *s = open_store(1);
    submit(s, "300", 3);
    bv_judges *judges = start(urls[1], "patient", 2, 60000);
    wait_until(s, RUNNING, 2);
    postgres_stop(&server);
    sleep_ms(600);
    postgres_start(&server);
    bv_store_close(&s);
    s = open_store(1);
    wait_until(s, UNJUDGED, 0);
    assert_int_equal(number(s, MISSING), 0);
    bv_judges_stop(&judges);
    bv_store_close(&s);
}

/* A connection string may be long: several hosts, and what else there is to set. */
static void test_long_url(void **state) {
    (void)state;
    char url[8400], padding[1200];
    if (url_count < 2) skip();
    memset(padding, 'x', sizeof padding);
    const int before = (int)strcspn(urls[1], "?") + 1;
    snprintf(url, sizeof url, "%.*sapplication_name=%.*s&%s", before, urls[1], (int)sizeof padding,
             padding, urls[1] + before);
    bv_store *s = open_store(1);
    submit(s, "1", 1);
    bv_judges *judges = start(url, "by-a-long-url", 1, 60000);
    wait_until(s, UNJUDGED, 0);
    bv_judges_stop(&judges);
    bv_store_close(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed),         cmocka_unit_test(test_paused),
        cmocka_unit_test(test_heartbeat),      cmocka_unit_test(test_faults),
        cmocka_unit_test(test_broken_machine), cmocka_unit_test(test_set_aside),
        cmocka_unit_test(test_file_away),      cmocka_unit_test(test_server_away),
        cmocka_unit_test(test_long_url),
    };
    return cmocka_run_group_tests(tests, stores_begin, stores_end);
}
