/* beaver arena serve and beaver arena judge: the site, and judges without one. */
#include "arena/level_set.h"
#include "arena/tables.h"
#include "base/clock.h"
#include "base/pool.h"
#include "cli/arena.h"
#include "cli/cli.h"
#include "cli/flags.h"
#include "cli/interrupt.h"
#include "cli/languages_flag.h"
#include "cli/level_maker.h"
#include "cli/policy_flag.h"
#include "report/units.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define STORE_FLAG                                                                                 \
    BV_STRING_FLAG("store", "STORE", "arena.db",                                                   \
                   "where all is kept: a SQLite file, or postgres://user@host/database")

#define SITE_FILES 64      /* open files of a site and its store */
#define CONNECTIONS_MIN 16 /* or it is none */

static const bv_argument arguments[] = {{.name = "LEVELS", .help = "a folder of levels"}};

static const bv_flag serve_flags[] = {
    STORE_FLAG,
    BV_STRING_FLAG(
        "host", "ADDRESS", "127.0.0.1",
        "address to listen on; put a proxy with TLS before anything but the own machine"),
    BV_INT_FLAG("port", "N", 0, 65535, "8080", "0: any free one"),
    BV_INT_FLAG("judges", "N", 0, BV_JUDGES_MAX, NULL,
                "submissions judged at once in this process (default: one more than cores that may "
                "be used); 0 leaves it to beaver arena judge"),
    BV_INT_FLAG("waiting", "N", 1, 1e6, "10", "submissions of one user that may wait"),
    BV_INT_FLAG("per-minute", "N", 1, 1e6, "30", "submissions of one user in a minute"),
    BV_INT_FLAG("signups-per-hour", "N", 0, 1e6, "100", "new users from one address; 0: no limit"),
    BV_SWITCH_FLAG("proxy", "requests come through a proxy, which says whose they are at the end "
                            "of X-Forwarded-For: limits count those addresses, not the proxy's"),
    BV_LEVEL_MAKER_FLAGS,
    BV_LANGUAGES_FLAG,
    BV_POLICY_FLAG,
};

static bv_status run_serve(const bv_flags *flags);
const bv_command bv_arena_serve = {
    .name = "arena serve",
    .brief = "a page and an API: sign up, submit, watch, scoreboard",
    .summary = "Serves the arena: a page and an HTTP API to sign up, read levels, submit, watch "
               "verdicts and the scoreboard. Several may serve one PostgreSQL store.",
    .example = "beaver arena serve levels\n"
               "beaver arena serve levels --store postgres://beaver@db/arena --judges 0",
    BV_ARGUMENTS(arguments),
    BV_FLAGS(serve_flags),
    .threads = "threads to make hidden tests with; 0: one for each usable core",
    .no_results = true,
    .run = run_serve,
};

static const bv_flag judge_flags[] = {
    STORE_FLAG,
    BV_INT_FLAG("judges", "N", 1, BV_JUDGES_MAX, NULL,
                "submissions judged at once (default: one more than cores that may be used)"),
    BV_LEVEL_MAKER_FLAGS,
    BV_LANGUAGES_FLAG,
    BV_POLICY_FLAG,
};

static bv_status run_judge(const bv_flags *flags);
const bv_command bv_arena_judge = {
    .name = "arena judge",
    .brief = "judge the submissions of a store",
    .summary = "Judges submissions of a store until it is stopped. Any number of these may run, on "
               "any machines with the same levels; each may be killed at any time.",
    .example = "beaver arena judge levels --store postgres://beaver@db/arena --judges 4",
    BV_ARGUMENTS(arguments),
    BV_FLAGS(judge_flags),
    .threads = "threads to make hidden tests with; 0: one for each usable core",
    .no_results = true,
    .run = run_judge,
};

/* ---- what both do ---- */

/* A judge and what it runs keep one core busy but for the moments in which it waits: for the store,
 * or for a process to begin. One more judge for all cores fills those; others would only let
 * programs wait, whose wall time is limited. */
static int judges_of(const bv_flags *flags) {
    const int cores = bv_default_threads();
    if (bv_flags_given(flags, "judges")) return (int)bv_flags_int(flags, "judges");
    return cores < BV_JUDGES_MAX ? cores + 1 : BV_JUDGES_MAX;
}

typedef struct arena_run {
    const bv_flags *flags;
    bv_sandbox_pool *pool;
    bv_level_maker_use use; /* until hidden tests are made */
    bv_level_set set;
    bv_judges *judges; /* NULL: this process has none */
    bv_site *site;     /* the same */
    const volatile sig_atomic_t *stop;
} arena_run;

/* Last: what else is wrong is told before, and whoever connects meanwhile waits. */
static bv_status make_tests(arena_run *run) {
    const double begin = bv_clock_seconds();
    bv_cli_say("making the hidden tests of %s ...\n", bv_flags_argument(run->flags, 0));
    BV_TRY(bv_level_set_complete(&run->set, &run->use.maker));
    bv_level_maker_end(&run->use);
    bv_cli_say("tests of %s: %zu made in %.1f s, %zu known before\n",
               bv_human_number(run->set.count, "level").text, run->set.count - run->set.recalled,
               bv_clock_seconds() - begin, run->set.recalled);
    return BV_OK;
}

/* The pool comes first: its slots are forked while there are no threads. */
static bv_status begin(arena_run *run, int judges) {
    bv_sandbox_options options = {.boxes = 2 * (uint32_t)judges, .warm_python = true};
    BV_TRY(bv_languages_flag_read(run->flags));
    BV_TRY(bv_policy_flag_read(run->flags, &options.policy));
    if (judges) BV_TRY(bv_sandbox_pool_create(&options, &run->pool));
    if (judges) BV_TRY(bv_level_maker_begin(run->flags, run->pool, &run->use));
    return bv_level_set_load(bv_flags_argument(run->flags, 0), &run->set);
}

static bv_status judge(void *context, const bv_lease *lease, bv_judged *out) {
    return bv_level_set_judge(&((arena_run *)context)->set, lease, out);
}

/* Judges and site of one process tell each other; those of others look now and then. */
static void on_change(void *context, int64_t submission_id) {
    const arena_run *run = context;
    if (run->site) bv_site_tell(run->site, submission_id);
}

static void on_submission(void *context) {
    const arena_run *run = context;
    if (run->judges) bv_judges_wake(run->judges);
}

static bv_status start_judges(arena_run *run, int threads) {
    char host[64] = "?", name[96];
    gethostname(host, sizeof host - 1);
    snprintf(name, sizeof name, "%s:%d", host, (int)getpid());
    const bv_judges_options options = {.store = bv_flags_string(run->flags, "store"),
                                       .name = name,
                                       .levels = run->set.names.data,
                                       .threads = threads,
                                       .judge = judge,
                                       .context = run,
                                       .changed = on_change,
                                       .log = bv_cli_log};
    return bv_judges_start(&options, &run->judges);
}

/* Until the tests are made a signal ends all at once; then judgings under way end first. */
static bv_status begin_judging(arena_run *run, int judges) {
    if (judges) BV_TRY(make_tests(run));
    run->stop = bv_interrupt_catch();
    return judges ? start_judges(run, judges) : BV_OK;
}

static void end(arena_run *run) {
    bv_judges_stop(&run->judges);
    bv_level_maker_end(&run->use);
    bv_level_set_free(&run->set);
    bv_sandbox_pool_destroy(&run->pool);
}

/* ---- serve ---- */

static bool on_tick(void *context) {
    return !*((arena_run *)context)->stop;
}

/* One line of JSON an answer, on standard error. Names and paths of clients are quoted. */
static void on_log(void *context, const bv_http_log_line *line) {
    (void)context;
    bv_buffer text = {0};
    json_t *o = json_pack("{sI ss ss ss si sf}", "time_ms", (json_int_t)bv_clock_wall_ms(),
                          "address", line->address, "method", line->method, "path", line->path,
                          "status", line->status, "ms", rint(1000 * line->ms) / 1000);
    bv_error *error = bv_json_text(o, 0, &text);
    if (!error) bv_cli_say("%s\n", text.data);
    bv_error_free(&error);
    bv_buffer_free(&text);
    json_decref(o);
}

static void allow_many_files(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* Connections get the files that judges and stores leave: whoever opens many could otherwise stop
 * all judging. */
static bv_status limit_connections(const arena_run *run, int *out) {
    const bv_http_limits usual = BV_HTTP_LIMITS_DEFAULT;
    const rlim_t kept = SITE_FILES + (run->pool ? bv_sandbox_pool_descriptors(run->pool) : 0);
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit)) return bv_fail_errno("cannot ask for a limit");
    if (limit.rlim_cur < kept + CONNECTIONS_MIN)
        return bv_try(
            bv_fail(BV_CODE_USAGE, "a site needs %llu open files; %llu are allowed",
                    (unsigned long long)kept + CONNECTIONS_MIN, (unsigned long long)limit.rlim_cur),
            "ulimit -n %llu, or fewer --judges", (unsigned long long)kept + usual.connections);
    const rlim_t left = limit.rlim_cur - kept;
    *out = left < (rlim_t)usual.connections ? (int)left : usual.connections;
    return BV_OK;
}

static bv_status run_site(arena_run *run, int judges) {
    const bv_flags *flags = run->flags;
    int connections = 0;
    BV_TRY(limit_connections(run, &connections));
    const bv_site_options options = {
        .connections = connections,
        .store = bv_flags_string(flags, "store"),
        .host = bv_flags_string(flags, "host"),
        .port = (int)bv_flags_int(flags, "port"),
        .levels = run->set.site_levels,
        .level_count = run->set.count,
        .limits = {(int)bv_flags_int(flags, "waiting"), (int)bv_flags_int(flags, "per-minute")},
        .proxied = bv_flags_bool(flags, "proxy"),
        .signups_per_hour = (int)bv_flags_int(flags, "signups-per-hour"),
        .log = on_log,
        .tick = on_tick,
        .submitted = on_submission,
        .trouble = bv_cli_log,
        .context = run};
    BV_TRY(bv_site_create(&options, &run->site));
    bv_error *error = begin_judging(run, judges);
    if (!error) {
        const bool six = strchr(options.host, ':') != NULL; /* an address of IPv6 */
        bv_cli_say("serving %s at http://%s%s%s:%d/ with %s\n",
                   bv_human_number(run->set.count, "level").text, six ? "[" : "", options.host,
                   six ? "]" : "", bv_site_port(run->site),
                   bv_human_number((size_t)judges, "judge").text);
        error = bv_site_run(run->site);
    }
    bv_judges_stop(&run->judges); /* they tell the site */
    bv_site_destroy(&run->site);
    return error;
}

static bv_status run_serve(const bv_flags *flags) {
    arena_run run = {.flags = flags};
    const int judges = judges_of(flags);
    allow_many_files();
    bv_error *error = begin(&run, judges);
    if (!error) error = run_site(&run, judges);
    const int signal = run.stop ? *run.stop : 0;
    end(&run);
    if (!error && signal) error = bv_fail_interrupted(signal, "stopped");
    return error;
}

/* ---- judge ---- */

static bv_status prepare_store(const char *url) {
    bv_store *store;
    BV_TRY(bv_store_open(url, true, &store));
    bv_error *error = bv_arena_tables_prepare(store);
    bv_store_close(&store);
    return error;
}

static bv_status run_judge(const bv_flags *flags) {
    arena_run run = {.flags = flags};
    const int judges = judges_of(flags);
    bv_error *error = begin(&run, judges);
    if (!error) error = prepare_store(bv_flags_string(flags, "store"));
    if (!error) error = begin_judging(&run, judges);
    if (!error) {
        bv_cli_say("judging %s, %s at once\n", bv_human_number(run.set.count, "level").text,
                   bv_human_number((size_t)judges, "submission").text);
        while (!*run.stop) bv_sleep_ms(100);
    }
    const int signal = run.stop ? *run.stop : 0;
    end(&run);
    if (!error && signal) error = bv_fail_interrupted(signal, "stopped");
    return error;
}
