/* What the first lines of an attack say, and that canaries notice who touches them. */
#include "support/check.h"

#include "arena/attack_notes.h"
#include "arena/canaries.h"
#include <arpa/inet.h>
#include <signal.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

static const char bomb[] = "// attack: a bomb\n// verdict: pids memory\n// verdict user: pids\n"
                           "// limits: cpu=300ms wall=2s memory=64M files=16k pids=8\n"
                           "// file: a\n// file: b\nint main(void) {\n// verdict: ok\n}\n";

static void test_notes(void **state) {
    (void)state;
    char value[64];
    bv_sandbox_limits limits = {.output_bytes = 7};
    assert_true(bv_attack_note(bomb, "file", 1, value, sizeof value));
    assert_string_equal(value, "b");
    assert_false(bv_attack_note(bomb, "file", 2, value, sizeof value));
    assert_false(bv_attack_note(bomb, "lim", 0, value, sizeof value));
    assert_false(bv_attack_note("", "file", 0, value, sizeof value));
    assert_true(bv_attack_note("# verdict: time", "verdict", 0, value, sizeof value));
    assert_string_equal(value, "time");
    assert_true(bv_attack_note(bomb, "attack", 0, value, 4));
    assert_string_equal(value, "a b");
    assert_ok(bv_attack_limits(bomb, &limits));
    assert_true(limits.cpu_ns == 300000000 && limits.wall_ns == 2000000000);
    assert_true(limits.memory_bytes == 64000000 && limits.files_bytes == 16000);
    assert_true(limits.pids == 8 && limits.output_bytes == 7);
    assert_fails(bv_attack_limits("# limits: cpu=1s depth=3\n", &limits), BV_CODE_INPUT, "depth=3");
    assert_fails(bv_attack_limits("# limits: cpu\n", &limits), BV_CODE_INPUT, "\"cpu\"");
}

static void test_verdicts(void **state) {
    (void)state;
    char list[64];
    assert_true(bv_attack_verdicts(bomb, BV_POLICY_FULL, false, list, sizeof list));
    assert_true(bv_attack_has_word(list, "pids") && bv_attack_has_word(list, "memory"));
    assert_false(bv_attack_has_word(list, "pid") || bv_attack_has_word(list, "emory"));
    assert_true(bv_attack_verdicts(bomb, BV_POLICY_NESTED, true, list, sizeof list));
    assert_string_equal(list, "pids");
    assert_false(bv_attack_verdicts("int main", BV_POLICY_FULL, false, list, sizeof list));
}

static bool fits(const char *limits, const char *verdicts) {
    char text[128];
    bv_sandbox_limits level;
    bv_sandbox_limits_default(&level); /* 2 s, 4 s, 256 MB, 64 MB, 16 processes */
    snprintf(text, sizeof text, "// limits: %s\n", limits);
    return bv_attack_fits(text, verdicts, &level);
}

static void test_fits(void **state) {
    (void)state;
    assert_true(bv_attack_fits("// verdict: ok\n", "ok", &(bv_sandbox_limits){0}));
    assert_true(fits("memory=300M", "memory"));
    assert_false(fits("memory=64M", "memory")); /* it may never need as much as is allowed here */
    assert_false(fits("memory=300M", "ok"));    /* it may need what is not allowed here */
    assert_true(fits("cpu=300ms wall=8s", "time"));
    assert_false(fits("wall=8s", "pids"));
    assert_false(fits("cpu=300ms pids=500", "time wall"));
    assert_false(fits("nonsense", "time"));
}

static void test_language(void **state) {
    (void)state;
    char name[32];
    assert_true(bv_attack_language("a.b.py", "", name, sizeof name));
    assert_string_equal(name, "python");
    assert_true(bv_attack_language("a.c", "// language: c-tcc\n", name, sizeof name));
    assert_string_equal(name, "c-tcc");
    assert_false(bv_attack_language("attack.h", "", name, sizeof name));
    assert_false(bv_attack_language("c", "", name, sizeof name));
}

/* ---- canaries ---- */

static void touch_file(const bv_canaries *c) {
    assert_ok(bv_file_write(c->file, BV_CANARY_SECRET "!", sizeof BV_CANARY_SECRET));
}

static void remove_file(const bv_canaries *c) {
    assert_int_equal(unlink(c->file), 0);
}

static void kill_process(const bv_canaries *c) {
    assert_int_equal(kill(c->process, SIGKILL), 0);
    usleep(50000);
}

static void stop_process(const bv_canaries *c) {
    assert_int_equal(kill(c->process, SIGSTOP), 0);
    usleep(50000);
}

static void connect_port(const bv_canaries *c) {
    struct sockaddr_in in;
    socklen_t size = sizeof in;
    const int s = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(getsockname(c->port_socket, (struct sockaddr *)&in, &size), 0);
    assert_int_equal(strtol(strchr(c->words[2], '=') + 1, NULL, 10), ntohs(in.sin_port));
    assert_int_equal(connect(s, (struct sockaddr *)&in, size), 0);
    close(s);
}

static void connect_abstract(const bv_canaries *c) {
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    const char *name = strchr(c->words[3], '=') + 1;
    const int s = socket(AF_UNIX, SOCK_STREAM, 0);
    memcpy(un.sun_path + 1, name, strlen(name));
    const size_t size = offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name);
    assert_int_equal(connect(s, (struct sockaddr *)&un, (socklen_t)size), 0);
    close(s);
}

static void test_canaries(void **state) {
    (void)state;
    static const struct {
        void (*touch)(const bv_canaries *c);
        const char *said;
    } all[] = {{touch_file, "was changed"}, {remove_file, "was changed"},
               {kill_process, "signalled"}, {stop_process, "signalled"},
               {connect_port, "TCP port"},  {connect_abstract, "abstract socket"}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        bv_canaries c;
        assert_ok(bv_canaries_set(&c));
        char folder[sizeof c.folder];
        memcpy(folder, c.folder, sizeof folder);
        assert_ok(bv_canaries_check(&c));
        all[i].touch(&c);
        assert_fails(bv_canaries_check(&c), BV_CODE_FAULT, all[i].said);
        bv_canaries_remove(&c);
        assert_int_equal(access(folder, F_OK), -1);
    }
    bv_canaries none = {0};
    bv_canaries_remove(&none);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_notes),    cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_fits),     cmocka_unit_test(test_language),
        cmocka_unit_test(test_canaries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
