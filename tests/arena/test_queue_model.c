/*
 * The queue against a model that is too simple to be wrong: an array of submissions. Random users
 * submit to several levels, several judges take, renew, postpone, record, are paused, forget, and
 * reach the store by several connections, which come and go. Time is moved by hand: all times in
 * the store are shifted. After every step the store must have done what the model says: who is
 * next, who still holds what, which limit stands in the way; at the end every submission has one
 * verdict.
 */
#include "support/check.h"

#include "arena/accounts.h"
#include "arena/queue.h"
#include "arena/scoreboard.h"
#include "arena/submissions.h"
#include "base/random.h"
#include "support/stores.h"

#define USERS 5
#define LEVELS 3
#define LINKS 3 /* connections */
#define SUBMISSIONS_MAX 600
#define LEASES_MAX 2000
#define STEPS 600
#define SEEDS 2
#define SURE_MS 3000 /* times that are nearer to now than this are moved away from it */

static const char *const level_names[LEVELS] = {"echo", "maze", "sum-of-two"};
static const bv_submission_limits limits = {.waiting = 6, .per_minute = 12};

typedef struct entry {
    int64_t id, turn, fence, created, until;
    int user, level, state, verdicts;
    bool postponed;
} entry;

typedef struct holding {
    size_t entry;
    int64_t fence;
} holding;

typedef struct user {
    int64_t id;
    int64_t best[LEVELS], rise[LEVELS]; /* -1: none; the number of the step */
    int64_t tries[LEVELS];
} user;

static struct {
    uint32_t seed, drawn;
    const char *url;
    bv_store *links[LINKS];
    user users[USERS];
    entry entries[SUBMISSIONS_MAX];
    holding holdings[LEASES_MAX];
    size_t count, held;
    int64_t step;
} m;

static uint32_t draw(uint32_t below) {
    return bv_random(m.seed, BV_RANDOM_TEST, 0, 0, m.drawn++, 0).v[0] % below;
}

static bv_store *any_link(void) {
    return m.links[draw(LINKS)];
}

/* ---- time ---- */

static int64_t now(void) {
    return number(m.links[0], "SELECT {now_ms}");
}

static void pass(int64_t ms) {
    static const char *const sql[] = {"UPDATE arena_submissions SET created_ms = created_ms - $1, "
                                      "lease_until_ms = lease_until_ms - $1",
                                      "UPDATE arena_scores SET reached_ms = reached_ms - $1"};
    for (int i = 0; i < 2; i++)
        assert_ok(bv_store_exec(m.links[0], sql[i], BV_VALUES(bv_int(ms)), NULL));
    for (size_t i = 0; i < m.count; i++) m.entries[i].created -= ms, m.entries[i].until -= ms;
}

/* What would depend on how fast this machine is, is moved into the past. */
static void be_sure(void) {
    bool near = true;
    while (near) {
        const int64_t t = now();
        near = false;
        for (size_t i = 0; i < m.count; i++) {
            const entry *e = &m.entries[i];
            near = near || (e->state == BV_SUBMISSION_RUNNING && llabs(e->until - t) < SURE_MS);
            near = near || llabs(e->created + 60000 - t) < SURE_MS;
        }
        if (near) pass(SURE_MS);
    }
}

/* A time of the store's, which must be `ms` after some moment from `before` on. */
static int64_t read_time(const char *column, int64_t id, int64_t before, int64_t ms) {
    char sql[200];
    snprintf(sql, sizeof sql, "SELECT %s FROM arena_submissions WHERE id = %lld", column,
             (long long)id);
    const int64_t value = number(m.links[0], sql);
    assert_in_range(value - before - ms + 1, 0, SURE_MS);
    return value;
}

/* ---- steps ---- */

static void submit(void) {
    const int who = (int)draw(USERS), level = (int)draw(LEVELS);
    const bv_submission s = {m.users[who].id, level_names[level], "c", "x", 1};
    int64_t waiting = 0, recent = 0, last = 0, reached = 0, id;
    const char *why;
    be_sure();
    const int64_t t = now();
    for (size_t i = 0; i < m.count; i++) {
        const entry *e = &m.entries[i];
        if (e->state != BV_SUBMISSION_WAITING && e->turn > reached) reached = e->turn;
        if (e->user != who) continue;
        waiting += e->state != BV_SUBMISSION_DONE;
        recent += e->created > t - 60000;
        if (e->turn > last) last = e->turn;
    }
    assert_ok(bv_submission_create(any_link(), &s, &limits, &id, &why));
    assert_int_equal(id > 0, waiting < limits.waiting && recent < limits.per_minute);
    if (!id) {
        assert_non_null(strstr(why, recent >= limits.per_minute ? "minute" : "wait"));
        return;
    }
    assert_true(m.count < SUBMISSIONS_MAX);
    m.entries[m.count++] = (entry){.id = id,
                                   .turn = bv_queue_turn(reached, last),
                                   .created = read_time("created_ms", id, t, 0),
                                   .user = who,
                                   .level = level};
}

/* The one that is to be taken; m.count for none. Levels are those whose bit is set. */
static size_t next_entry(unsigned levels, int64_t t) {
    size_t left = m.count, first = m.count; /* by a judge that is gone; in the queue */
    for (size_t i = 0; i < m.count; i++) {
        const entry *e = &m.entries[i];
        if (!(levels >> e->level & 1)) continue;
        if (e->state == BV_SUBMISSION_RUNNING && e->until < t &&
            (left == m.count || e->until < m.entries[left].until))
            left = i;
        if (e->state == BV_SUBMISSION_WAITING &&
            (first == m.count || e->turn < m.entries[first].turn)) /* numbers ascend */
            first = i;
    }
    return left < m.count ? left : first;
}

/* True if there was one; it is held under the lease. */
static bool take(void) {
    const unsigned levels = draw(4) ? (1u << LEVELS) - 1 : draw(1u << LEVELS);
    char names[100] = ",";
    const int64_t lease_ms = 5000 + 1000 * draw(40);
    bv_lease lease;
    bool found;
    for (int i = 0, at = 1; i < LEVELS; i++)
        if (levels >> i & 1)
            at += snprintf(names + at, sizeof names - (size_t)at, "%s,", level_names[i]);
    be_sure();
    const int64_t t = now();
    const size_t expected = next_entry(levels, t);
    assert_ok(bv_queue_take(any_link(), "model", names, lease_ms, &lease, &found));
    assert_int_equal(found, expected < m.count);
    if (!found) return false;
    entry *e = &m.entries[expected];
    if (lease.submission_id != e->id) /* leases that ended in the same millisecond are equal */
        for (size_t i = 0; i < m.count; i++)
            if (m.entries[i].id == lease.submission_id && m.entries[i].until == e->until &&
                m.entries[i].state == BV_SUBMISSION_RUNNING && e->state == BV_SUBMISSION_RUNNING)
                e = &m.entries[i];
    assert_int_equal(lease.submission_id, e->id);
    assert_int_equal(lease.user_id, m.users[e->user].id);
    assert_int_equal(lease.fence, e->fence + 1);
    assert_string_equal(lease.level, level_names[e->level]);
    assert_in_range(lease.waited_ms - (t - e->created) + 1, 0, SURE_MS);
    e->fence = lease.fence;
    e->state = BV_SUBMISSION_RUNNING;
    e->postponed = false;
    e->until = read_time("lease_until_ms", e->id, t, lease_ms);
    assert_true(m.held < LEASES_MAX);
    m.holdings[m.held++] = (holding){(size_t)(e - m.entries), lease.fence};
    bv_lease_free(&lease);
    return true;
}

/* Any lease that was ever given, the latest more often. */
static entry *draw_lease(bv_lease *lease, bool *holds) {
    const size_t back = draw(3) ? draw(m.held < 6 ? (uint32_t)m.held : 6) : draw((uint32_t)m.held);
    const holding *h = &m.holdings[m.held - 1 - back];
    entry *e = &m.entries[h->entry];
    *lease = (bv_lease){.submission_id = e->id, .user_id = m.users[e->user].id, .fence = h->fence};
    snprintf(lease->level, sizeof lease->level, "%s", level_names[e->level]);
    *holds = e->state == BV_SUBMISSION_RUNNING && e->fence == h->fence;
    return e;
}

static void renew(bool postpone) {
    bv_lease lease;
    bool holds, held;
    if (!m.held) return;
    entry *e = draw_lease(&lease, &holds);
    const int64_t ms =
        postpone ? INT64_C(250) << (lease.fence < 10 ? lease.fence : 10) : 5000 + 1000 * draw(40);
    const int64_t t = now();
    if (postpone)
        assert_ok(bv_queue_postpone(any_link(), &lease, &held));
    else
        assert_ok(bv_queue_renew(any_link(), &lease, ms, &held));
    assert_int_equal(held, holds && (postpone || !e->postponed));
    if (!held) return;
    e->until = read_time("lease_until_ms", e->id, t, ms);
    e->postponed = postpone;
}

static void record(void) {
    bv_lease lease;
    bool holds, held;
    if (!m.held) return;
    entry *e = draw_lease(&lease, &holds);
    user *u = &m.users[e->user];
    const int64_t score = draw(4) * 5;
    const bv_verdict verdict = {score == 15 ? "accepted" : "wrong-answer", score, 15, "{}", {0}};
    assert_ok(bv_queue_record(any_link(), &lease, "model", &verdict, &held, NULL));
    assert_int_equal(held, holds);
    if (!held) return;
    e->state = BV_SUBMISSION_DONE;
    e->verdicts++;
    u->tries[e->level]++;
    if (score > u->best[e->level]) {
        u->best[e->level] = score;
        u->rise[e->level] = score ? m.step : -1;
    }
    pass(5); /* so that no two rise at once */
}

static void reopen(void) {
    bv_store **s = &m.links[draw(LINKS)];
    bv_store_close(s);
    assert_ok(bv_store_open(m.url, false, s));
}

/* ---- what stands at the end ---- */

/* Whether user a stands before user b. */
static bool is_ahead(const user *a, const user *b) {
    int64_t points[2] = {0}, last[2] = {-1, -1};
    for (int i = 0; i < LEVELS; i++) {
        const user *const both[] = {a, b};
        for (int n = 0; n < 2; n++) {
            if (both[n]->best[i] > 0) points[n] += both[n]->best[i];
            if (both[n]->rise[i] > last[n]) last[n] = both[n]->rise[i];
        }
    }
    if (points[0] != points[1]) return points[0] > points[1];
    return last[0] != last[1] ? last[0] < last[1] : a->id < b->id;
}

static void check_scores(void) {
    bv_buffer order = {0};
    assert_ok(bv_scoreboard_order(m.links[0], &order));
    const int64_t *ids = (const int64_t *)(const void *)order.data;
    size_t ranked = 0;
    for (size_t i = 0; i < USERS; i++) {
        const user *u = &m.users[i];
        size_t rank = 0, tried = 0;
        for (int n = 0; n < LEVELS; n++) tried += u->tries[n] > 0;
        if (!tried) continue;
        ranked++;
        for (size_t n = 0; n < USERS; n++) {
            const user *other = &m.users[n];
            rank += other != u && (other->tries[0] || other->tries[1] || other->tries[2]) &&
                    is_ahead(other, u);
        }
        assert_true(rank < order.size / sizeof *ids);
        assert_int_equal(ids[rank], u->id);
    }
    assert_int_equal(order.size / sizeof *ids, ranked);
    bv_buffer_free(&order);
}

static void check_all(void) {
    char sql[120];
    for (size_t i = 0; i < m.count; i++) {
        const entry *e = &m.entries[i];
        assert_int_equal(e->state, BV_SUBMISSION_DONE);
        assert_int_equal(e->verdicts, 1);
        snprintf(sql, sizeof sql,
                 "SELECT COUNT(*) FROM arena_verdicts WHERE submission_id = %lld AND fence = %lld",
                 (long long)e->id, (long long)e->fence);
        assert_int_equal(number(m.links[0], sql), 1);
    }
    assert_int_equal(number(m.links[0], "SELECT COUNT(*) FROM arena_submissions"), m.count);
    assert_int_equal(number(m.links[0], "SELECT COUNT(*) FROM arena_verdicts"), m.count);
    assert_int_equal(number(m.links[0], "SELECT COALESCE(SUM(tries), 0) FROM arena_scores"),
                     m.count);
}

/* ---- a run ---- */

static void begin(const char *url, uint32_t seed) {
    static const char *const tables[] = {"verdicts", "scores", "submissions", "users"};
    memset(&m, 0, sizeof m);
    m.seed = seed;
    m.url = url;
    for (int i = 0; i < LINKS; i++) assert_ok(bv_store_open(url, false, &m.links[i]));
    assert_ok(bv_arena_tables_prepare(m.links[0]));
    for (int i = 0; i < 4; i++) {
        char sql[60];
        snprintf(sql, sizeof sql, "DELETE FROM arena_%s", tables[i]);
        assert_ok(bv_store_exec(m.links[0], sql, BV_NO_VALUES, NULL));
    }
    for (int i = 0; i < USERS; i++) {
        user *u = &m.users[i];
        bv_account account;
        char key[BV_ACCOUNT_KEY_SIZE], name[20];
        snprintf(name, sizeof name, "user %d", i);
        assert_ok(bv_account_create(m.links[0], name, false, &account, key));
        u->id = account.id;
        for (int n = 0; n < LEVELS; n++) u->best[n] = u->rise[n] = -1;
    }
}

static void step(void) {
    const uint32_t what = draw(100);
    if (what < 34)
        submit();
    else if (what < 62)
        take();
    else if (what < 82)
        record();
    else if (what < 90)
        renew(false);
    else if (what < 94)
        renew(true);
    else if (what < 98)
        pass(1000 * draw(30));
    else
        reopen();
}

static void drain(void) {
    for (bool any = true; any; m.step++) {
        any = false;
        for (size_t i = 0; i < m.count; i++) any = any || m.entries[i].state != BV_SUBMISSION_DONE;
        if (any && !take()) pass(60000);
        record();
    }
}

static void test_model(void **state) {
    (void)state;
    for (size_t i = 0; i < url_count; i++)
        for (uint32_t seed = 1; seed <= SEEDS; seed++) {
            print_message("%s, seed %u\n", i ? "PostgreSQL" : "SQLite", seed);
            begin(urls[i], seed);
            for (m.step = 0; m.step < STEPS; m.step++) {
                step();
                if (m.step % 50 == 0) check_scores();
            }
            drain();
            check_scores();
            check_all();
            assert_true(m.count > 60 && m.held > m.count);
            for (int n = 0; n < LINKS; n++) bv_store_close(&m.links[n]);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_model)};
    return cmocka_run_group_tests(tests, stores_begin, stores_end);
}
