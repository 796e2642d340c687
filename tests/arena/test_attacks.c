/*
 * The attack corpus: every program in tests/arena/attacks must fail and get the verdict that its
 * first lines name, under each policy that this machine can use, as this user and, when that is
 * root, as an ordinary one. All run side by side, so they are each other's neighbours, next to
 * canaries: a file, a process, a TCP port, an abstract socket, and secrets in the environment.
 *
 * The first lines of an attack, "// key: value" or "# key: value":
 *
 *   attack       what it tries
 *   verdict      one or more words, any of which is right; "verdict user:" and "verdict nested:"
 *                (or "verdict user nested:") hold there instead
 *   compile      the same for the compiler, in whose box the attack then happens
 *   limits       cpu=300ms wall=2s memory=64M files=16M pids=8: beside the defaults
 *   policy       only under this one
 *   machine      only on this one
 *   language     instead of the one that the suffix names
 *   fetch        NAME absent|small: what may come out of a file
 *   file         one more file with this name in the compiler's box
 *   within       its box must be gone by then
 */
#include "support/boxes.h"

#include "arena/language.h"
#include "base/clock.h"
#include "base/memory.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include <netinet/in.h>

#define ATTACKS_MAX 256
#define THREADS 4
#define SECRET "SECRET-of-the-host-7c1f"

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

/* The value of a key into `value`; the `nth` line that has it. */
static bool header(const attack *a, const char *key, int nth, char *value, size_t size) {
    for (const char *line = a->text.data; *line == '/' || *line == '#';) {
        const char *at = line + strspn(line, "/# ");
        const size_t length = strlen(key);
        const char *end = line + strcspn(line, "\n");
        if (!strncmp(at, key, length) && at[length] == ':' && nth-- == 0) {
            at += length + 1 + strspn(at + length + 1, " ");
            snprintf(value, size, "%.*s", (int)(end - at), at);
            return true;
        }
        if (!*end) break;
        line = end + 1;
    }
    return false;
}

static bool is_one_of(const char *word, const char *list) {
    const size_t length = strlen(word);
    for (const char *at = list; (at = strstr(at, word)); at++)
        if ((at == list || at[-1] == ' ') && (!at[length] || at[length] == ' ')) return true;
    return false;
}

static bool expected_verdict(const attack *a, const mode *m, char *list, size_t size) {
    const bool nested = m->policy == BV_POLICY_NESTED;
    if (m->user && nested && header(a, "verdict user nested", 0, list, size)) return true;
    if (m->user && header(a, "verdict user", 0, list, size)) return true;
    if (nested && header(a, "verdict nested", 0, list, size)) return true;
    return header(a, "verdict", 0, list, size);
}

static uint64_t quantity(const char *text) {
    char *end;
    const double value = strtod(text, &end);
    const double factor = !strncmp(end, "ms", 2) ? 1e6
                          : *end == 's'          ? 1e9
                          : *end == 'M'          ? 1e6
                          : *end == 'k'          ? 1e3
                                                 : 1;
    return (uint64_t)(value * factor);
}

static void read_limits(const attack *a, bv_sandbox_limits *l) {
    char line[256];
    bv_sandbox_limits_default(l);
    /* The machine may be busy: only who waits for it needs a short one, and says so. */
    l->wall_ns = 20000000000, l->cpu_ns = 5000000000;
    if (!header(a, "limits", 0, line, sizeof line)) return;
    for (const char *at = line; *at; at += strcspn(at, " "), at += strspn(at, " ")) {
        const char *value = strchr(at, '=');
        assert_non_null(value);
        const uint64_t number = quantity(value + 1);
        if (!strncmp(at, "cpu=", 4))
            l->cpu_ns = number;
        else if (!strncmp(at, "wall=", 5))
            l->wall_ns = number;
        else if (!strncmp(at, "memory=", 7))
            l->memory_bytes = number;
        else if (!strncmp(at, "files=", 6))
            l->files_bytes = number;
        else if (!strncmp(at, "pids=", 5))
            l->pids = (uint32_t)number;
        else
            fail_msg("%s: unknown limit %s", a->name, at);
    }
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
    if (!is_one_of(bv_sandbox_verdict_name(r->verdict), expected))
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

static void run_attack(mode *m, const attack *a, const bv_artifact *artifact) {
    char expected[128], line[128], name[64] = "", want[32] = "absent";
    bv_sandbox_result r = {0};
    bv_sandbox_wanted wanted = {name, 1 << 20};
    bv_sandbox_job job = {.env = m->env};
    read_limits(a, &job.limits);
    bv_language_job(artifact, &job);
    job.warm_python = false;
    if (header(a, "fetch", 0, line, sizeof line)) {
        assert_true(sscanf(line, "%63s %31s", name, want) >= 1);
        job.wanted = &wanted, job.wanted_count = 1;
    }
    assert_true(expected_verdict(a, m, expected, sizeof expected));
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
    if (header(a, "within", 0, line, sizeof line) && bv_clock_ns() - begin > quantity(line))
        complain(m, a, "it took too long", &r);
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
    if (artifact.file_count) run_attack(m, a, &artifact);
    bv_artifact_free(&artifact);
    bv_sandbox_result_free(&r);
}

static bool applies(const attack *a, const mode *m) {
    char value[64];
    if (header(a, "machine", 0, value, sizeof value) && strcmp(value, machine)) return false;
    return !header(a, "policy", 0, value, sizeof value) ||
           !strcmp(value, bv_sandbox_policy_name(m->policy));
}

static void *worker(void *context) {
    mode *m = context;
    char unused[128];
    for (size_t i; (i = m->next++) < attack_count;) {
        const attack *a = &attacks[i];
        if (!applies(a, m)) continue;
        if (header(a, "compile", 0, unused, sizeof unused))
            attack_compiler(m, a);
        else
            run_attack(m, a, &a->artifact);
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
        const char *suffix = strrchr(names[i], '.');
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        if (!strcmp(names[i], "attack.h"))
            assert_ok(bv_file_read(path, &helper));
        else if (suffix) {
            char language[32];
            assert_true(attack_count < ATTACKS_MAX);
            attack *a = &attacks[attack_count++];
            snprintf(a->name, sizeof a->name, "%s", names[i]);
            assert_ok(bv_file_read(path, &a->text));
            if (!header(a, "language", 0, language, sizeof language))
                snprintf(language, sizeof language, "%s",
                         !strcmp(suffix, ".py")   ? "python"
                         : !strcmp(suffix, ".sh") ? "shell"
                                                  : "c");
            a->language = bv_language_find(language);
            assert_non_null(a->language);
        }
        bv_free(names[i]);
    }
    bv_free(names);
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

/* ---- canaries ---- */

typedef struct canaries {
    char *folder, file[4200];
    int port_socket, abstract_socket, port;
    char abstract[64];
    pid_t process;
} canaries;

static void set_canaries(canaries *c) {
    c->folder = make_folder();
    assert_int_equal(chmod(c->folder, 0777), 0);
    snprintf(c->file, sizeof c->file, "%s/file", c->folder);
    assert_ok(bv_file_write(c->file, SECRET, strlen(SECRET)));
    assert_int_equal(chmod(c->file, 0666), 0);
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof in;
    c->port_socket = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(c->port_socket, (struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(listen(c->port_socket, 8), 0);
    assert_int_equal(getsockname(c->port_socket, (struct sockaddr *)&in, &size), 0);
    c->port = ntohs(in.sin_port);
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    snprintf(c->abstract, sizeof c->abstract, "beaver-canary-%d", (int)getpid());
    memcpy(un.sun_path + 1, c->abstract, strlen(c->abstract));
    c->abstract_socket = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    size = (socklen_t)(sizeof un.sun_family + 1 + strlen(c->abstract));
    assert_int_equal(bind(c->abstract_socket, (struct sockaddr *)&un, size), 0);
    assert_int_equal(listen(c->abstract_socket, 8), 0);
    c->process = fork();
    if (c->process == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) pause();
    }
}

static void check_canaries(canaries *c) {
    bv_buffer text = {0};
    assert_ok(bv_file_read(c->file, &text));
    assert_string_equal(text.data, SECRET);
    bv_buffer_free(&text);
    assert_int_equal(accept(c->port_socket, NULL, NULL), -1);
    assert_int_equal(accept(c->abstract_socket, NULL, NULL), -1);
    assert_int_equal(waitpid(c->process, NULL, WNOHANG), 0);
    kill(c->process, SIGKILL);
    waitpid(c->process, NULL, 0);
    close(c->port_socket), close(c->abstract_socket);
    remove_folder(c->folder);
}

/* ---- modes ---- */

static bool run_mode(const boxes_mode *kind, void *unused) {
    (void)unused;
    mode m = {.policy = kind->policy, .user = kind->user};
    canaries c;
    pthread_t threads[THREADS];
    char file[4300], process[64], port[64], abstract[96];
    const bool nested = m.policy == BV_POLICY_NESTED;
    /* Whatever outlives its box becomes a child of ours, and is found at the end. */
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    set_canaries(&c);
    snprintf(file, sizeof file, "CANARY_FILE=%s", c.file);
    snprintf(process, sizeof process, "CANARY_PID=%d", (int)c.process);
    snprintf(port, sizeof port, "CANARY_PORT=%d", c.port);
    snprintf(abstract, sizeof abstract, "CANARY_ABSTRACT=%s", c.abstract);
    const char *const env[] = {"PATH=/usr/bin:/bin",
                               "HOME=/work",
                               "LANG=C.UTF-8",
                               file,
                               process,
                               port,
                               abstract,
                               nested ? "CANARY_NESTED=1" : "CANARY_FULL=1",
                               nested && m.user ? "CANARY_SHARED_USER=1" : NULL,
                               NULL};
    m.env = env;
    const bv_sandbox_options options = {.policy = m.policy, .boxes = THREADS};
    assert_ok(bv_sandbox_pool_create(&options, &m.pool));
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, worker, &m), 0);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    bv_sandbox_pool_destroy(&m.pool);
    check_canaries(&c);
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
