/*
 * The attack corpus: every program in tests/arena/attacks must fail and get the verdict that its
 * first lines name, under each policy that this machine can use, as this user and, when that is
 * root, as an ordinary one. All run side by side, so they are each other's neighbours, next to
 * canaries: a file, a process, a TCP port, an abstract socket, and secrets in the environment.
 *
 * What the first lines of an attack say: src/arena/attack_notes.h.
 */
#include "support/boxes.h"

#include "arena/attack_notes.h"
#include "arena/canaries.h"
#include "arena/language.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/quantity.h"
#include <pthread.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#define ATTACKS_MAX 256
#define THREADS 4
#define SECRET BV_CANARY_SECRET

/* The sanitizer reserves more addresses than an interpreter may have where nothing counts memory.
 */
#ifdef __SANITIZE_ADDRESS__
#define RUNS_WARM false
#else
#define RUNS_WARM true
#endif

typedef struct attack {
    char name[64];
    bv_buffer text;
    const bv_language *language;
    bv_artifact artifact; /* compiled ahead, unless the compiler is what is attacked */
} attack;

static attack attacks[ATTACKS_MAX];
static size_t attack_count;
static bv_buffer helper; /* attack.h */
static char machine[65];

typedef struct mode {
    bv_sandbox_policy policy;
    bool user; /* an ordinary one */
    const char *const *env;
    bv_sandbox_pool *pool;
    atomic_size_t next;
    atomic_int failures, done;
} mode;

/* ---- the first lines ---- */

static bool header(const attack *a, const char *key, int nth, char *value, size_t size) {
    return bv_attack_note(a->text.data, key, nth, value, size);
}

static void read_limits(const attack *a, bv_sandbox_limits *l) {
    bv_sandbox_limits_default(l);
    /* The machine may be busy: only who waits for it needs a short one, and says so. */
    l->wall_ns = 20000000000, l->cpu_ns = 20000000000;
    assert_ok(bv_attack_limits(a->text.data, l));
}

/* ---- an attack ---- */

static void complain(mode *m, const attack *a, const char *what, const bv_sandbox_result *r) {
    print_error("%s (%s%s): %s; verdict %s, exit %d, signal %d, %s\n%.400s%.400s\n", a->name,
                m->user ? "user " : "", bv_sandbox_policy_name(m->policy), what,
                bv_sandbox_verdict_name(r->verdict), r->exit_code, r->signal, r->reason,
                r->output.data ? r->output.data : "", r->error.data ? r->error.data : "");
    m->failures++;
}

static void check_result(mode *m, const attack *a, const char *expected,
                         const bv_sandbox_result *r) {
    const char *output = r->output.data ? r->output.data : "";
    const char *errors = r->error.data ? r->error.data : "";
    if (!bv_attack_has_word(expected, bv_sandbox_verdict_name(r->verdict)))
        complain(m, a, "the wrong verdict", r);
    if (r->policy != m->policy) complain(m, a, "the wrong policy", r);
    if (strstr(output, "BREACH") || strstr(errors, "BREACH")) complain(m, a, "a breach", r);
    if (strstr(output, SECRET) || strstr(errors, SECRET)) complain(m, a, "a secret", r);
}

static void check_fetched(mode *m, const attack *a, const char *want, const bv_sandbox_result *r) {
    if (!r->fetched_count) return;
    const bv_sandbox_fetched *f = &r->fetched[0];
    if (!strcmp(want, "absent") && f->found) complain(m, a, "a file that must not come out", r);
    if (f->bytes.data && strstr(f->bytes.data, SECRET)) complain(m, a, "a secret", r);
    if (f->bytes.size > 1 << 20) complain(m, a, "too large a file", r);
}

/* `warm`: by an interpreter that was there before it. */
static void run_attack(mode *m, const attack *a, const bv_artifact *artifact, bool warm) {
    char expected[128], line[128], name[64] = "", want[32] = "absent";
    bv_sandbox_result r = {0};
    bv_sandbox_wanted wanted = {name, 1 << 20};
    bv_sandbox_job job = {.env = m->env};
    read_limits(a, &job.limits);
    bv_language_job(artifact, &job);
    job.warm_python = warm;
    if (header(a, "fetch", 0, line, sizeof line)) {
        assert_true(sscanf(line, "%63s %31s", name, want) >= 1);
        job.wanted = &wanted, job.wanted_count = 1;
    }
    assert_true(bv_attack_verdicts(a->text.data, m->policy, m->user, expected, sizeof expected));
    const uint64_t begin = bv_clock_ns();
    bv_error *error = bv_sandbox_run(m->pool, &job, &r);
    if (error) {
        snprintf(r.reason, sizeof r.reason, "%s", bv_error_text(error));
        complain(m, a, "it could not be run", &r);
        bv_error_free(&error);
    } else {
        check_result(m, a, expected, &r);
        check_fetched(m, a, want, &r);
    }
    const uint64_t took = bv_clock_ns() - begin;
    uint64_t most = UINT64_MAX;
    if (header(a, "within", 0, line, sizeof line)) assert_true(bv_parse_duration(line, &most));
    if (took > most) complain(m, a, "it took too long", &r);
    bv_sandbox_result_free(&r);
}

/* The compiler is attacked: it must end as it says, and what it makes must be harmless. */
static void attack_compiler(mode *m, const attack *a) {
    char expected[128], names[4][64];
    bv_sandbox_file files[5] = {{.name = a->name, .bytes = a->text.data, .size = a->text.size}};
    size_t count = 1;
    bv_artifact artifact;
    bv_sandbox_result r = {0};
    static const char noise[] = "INPUT(/etc/passwd)\n-include /etc/passwd\n";
    for (int i = 0; i < 4 && header(a, "file", i, names[i], sizeof names[i]); i++)
        files[count++] = (bv_sandbox_file){
            .name = names[i], .bytes = noise, .size = sizeof noise - 1, .executable = true};
    bv_error *error = bv_language_compile(m->pool, a->language, files, count, &artifact, &r);
    assert_true(header(a, "compile", 0, expected, sizeof expected));
    if (error) {
        snprintf(r.reason, sizeof r.reason, "%s", bv_error_text(error));
        complain(m, a, "the compiler could not be run", &r);
        bv_error_free(&error);
    } else
        check_result(m, a, expected, &r);
    if (artifact.file_count) run_attack(m, a, &artifact, false);
    bv_artifact_free(&artifact);
    bv_sandbox_result_free(&r);
}

static void *worker(void *context) {
    mode *m = context;
    char unused[128];
    for (size_t i; (i = m->next++) < attack_count;) {
        const attack *a = &attacks[i];
        if (!bv_attack_happens(a->text.data, m->policy, machine)) continue;
        if (header(a, "compile", 0, unused, sizeof unused))
            attack_compiler(m, a);
        else
            run_attack(m, a, &a->artifact, false);
        if (RUNS_WARM && a->language->warm_python) run_attack(m, a, &a->artifact, true);
        m->done++;
    }
    return NULL;
}

/* ---- the corpus ---- */

/* Assertions belong to the main thread: what fails here is looked at there. */
static bv_sandbox_pool *compilers;
static atomic_size_t compiled;

static void *compile_ahead(void *context) {
    char unused[128];
    for (size_t i; (i = compiled++) < attack_count;) {
        attack *a = &attacks[i];
        bv_sandbox_result r = {0};
        const bv_sandbox_file files[] = {
            {.name = "main", .bytes = a->text.data, .size = a->text.size, .executable = true},
            {.name = "attack.h", .bytes = helper.data, .size = helper.size}};
        if (header(a, "compile", 0, unused, sizeof unused)) continue;
        const size_t count = a->language->compile ? 2 : 1;
        bv_error *error =
            bv_language_compile(compilers, a->language, files, count, &a->artifact, &r);
        if (error || !a->artifact.file_count)
            print_error("%s does not compile: %s %s\n%s\n", a->name, bv_error_text(error), r.reason,
                        r.error.data ? r.error.data : "");
        bv_error_free(&error);
        bv_sandbox_result_free(&r);
    }
    return context;
}

static void read_corpus(void) {
    const char *folder = BV_SOURCE "/tests/arena/attacks";
    char **names, path[512];
    size_t count;
    assert_ok(bv_dir_list(folder, &names, &count));
    for (size_t i = 0; i < count; i++) {
        char language[32];
        bv_buffer text = {0};
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        assert_ok(bv_file_read(path, &text));
        if (!strcmp(names[i], "attack.h")) {
            helper = text;
        } else if (bv_attack_language(names[i], text.data, language, sizeof language)) {
            assert_true(attack_count < ATTACKS_MAX);
            attack *a = &attacks[attack_count++];
            snprintf(a->name, sizeof a->name, "%s", names[i]);
            a->text = text;
            a->language = bv_language_find(language);
            assert_non_null(a->language);
        } else {
            bv_buffer_free(&text);
        }
    }
    bv_names_free(names, count);
    assert_true(attack_count >= 60);
}

static void prepare(bv_sandbox_policy policy) {
    pthread_t threads[THREADS];
    char unused[128];
    const bv_sandbox_options options = {.policy = policy, .boxes = THREADS};
    read_corpus();
    assert_ok(bv_sandbox_pool_create(&options, &compilers));
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, compile_ahead, NULL), 0);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    bv_sandbox_pool_destroy(&compilers);
    for (size_t i = 0; i < attack_count; i++)
        assert_true(attacks[i].artifact.file_count ||
                    header(&attacks[i], "compile", 0, unused, sizeof unused));
}

/* ---- modes ---- */

static bool run_mode(const boxes_mode *kind, void *unused) {
    (void)unused;
    mode m = {.policy = kind->policy, .user = kind->user};
    bv_canaries c;
    pthread_t threads[THREADS];
    const bool nested = m.policy == BV_POLICY_NESTED;
    /* Whatever outlives its box becomes a child of ours, and is found at the end. */
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    assert_ok(bv_canaries_set(&c));
    const char *const env[] = {"PATH=/usr/bin:/bin",
                               "HOME=/work",
                               "LANG=C.UTF-8",
                               c.words[0],
                               c.words[1],
                               c.words[2],
                               c.words[3],
                               c.words[4],
                               nested ? "CANARY_NESTED=1" : "CANARY_FULL=1",
                               nested && m.user ? "CANARY_SHARED_USER=1" : NULL,
                               NULL};
    m.env = env;
    const bv_sandbox_options options = {.policy = m.policy, .boxes = THREADS, .warm_python = true};
    assert_ok(bv_sandbox_pool_create(&options, &m.pool));
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, worker, &m), 0);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    bv_sandbox_pool_destroy(&m.pool);
    assert_ok(bv_canaries_check(&c));
    bv_canaries_remove(&c);
    for (int i = 0; i < 400 && waitpid(-1, NULL, WNOHANG) >= 0; i++) usleep(5000);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    print_message("%s: %d attacks, %d failures\n", boxes_mode_name(kind), m.done, m.failures);
    return m.failures == 0 && m.done >= 60;
}

static void try_mode(bv_sandbox_policy policy, bool user) {
    setenv("HOST_SECRET", SECRET, 1);
    boxes_try(run_mode, policy, user, NULL);
}

BOXES_TRY_MODES(test, try_mode)

int main(void) {
    struct utsname name;
    bv_selftest walls;
    assert_int_equal(uname(&name), 0);
    snprintf(machine, sizeof machine, "%s", name.machine);
    bv_selftest_run(&walls);
    if (!walls.full && !walls.nested) {
        fprintf(stderr, "no policy of the sandbox can be used here: nothing is tested\n");
        return 77;
    }
    prepare(walls.full ? BV_POLICY_FULL : BV_POLICY_NESTED);
    const struct CMUnitTest tests[] = {
        BOXES_MODES(test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
