/* Which verdict follows from what was found of a box, its numbers and its reason: by a table. */
#include "support/check.h"

#include "arena/sandbox_pool.h"
#include <errno.h>
#include <signal.h>

#define SECOND 1000000000ull
#define MB 1000000ull

/* What a box was found to be; the limits are the default ones: 2 s, 4 s, 256 MB. */
typedef struct finding {
    const char *what;
    bv_sandbox_box box;
    bool counted; /* its control group counts CPU time and memory */
    bv_sandbox_verdict verdict;
    const char *reason;
} finding;

#define EXIT(code) ((code) << 8)
#define REPORT(...) .reported = true, .report = {.forbidden = -1, __VA_ARGS__}

static const finding findings[] = {
    {"well", {REPORT(.cpu_ns = 2 * SECOND, .wall_ns = 4 * SECOND)}, false, BV_VERDICT_OK, ""},
    {"exit code",
     {REPORT(.wait_status = EXIT(3))},
     false,
     BV_VERDICT_FAILED,
     "ended with exit code 3"},
    {"signal",
     {REPORT(.wait_status = SIGSEGV)},
     false,
     BV_VERDICT_FAILED,
     "ended by signal 11 (Segmentation fault)"},
    {"absent",
     {REPORT(.wait_status = EXIT(127), .exec_errno = ENOENT)},
     false,
     BV_VERDICT_FAILED,
     "cannot be executed: No such file or directory"},
    {"no interpreter",
     {REPORT(.wait_status = EXIT(127), .exec_errno = ELIBACC)},
     false,
     BV_VERDICT_FAILED,
     "cannot be executed: the interpreter that it names is not there"},
    {"killed",
     {.killed_by_caller = true, REPORT(.wait_status = SIGKILL)},
     false,
     BV_VERDICT_FAILED,
     "was killed by its caller"},
    {"killed, and yet well",
     {.killed_by_caller = true, REPORT(.wait_status = 0)},
     false,
     BV_VERDICT_FAILED,
     "was killed by its caller"},
    {"killed, no report",
     {.killed_by_caller = true},
     false,
     BV_VERDICT_FAILED,
     "was killed by its caller"},
    {"no report", {.reported = false}, false, BV_VERDICT_FAULT, "the box ended without a report"},
    {"fault",
     {.fault = "cannot\nread", REPORT(.wait_status = 0)},
     false,
     BV_VERDICT_FAULT,
     "cannot"},
    {"no report, memory",
     {.memory_hit = true},
     true,
     BV_VERDICT_MEMORY,
     "needed more memory than the 256000000 bytes that are allowed"},
    {"no report, a limit",
     {.trigger = BV_VERDICT_WALL},
     true,
     BV_VERDICT_WALL,
     "ran for 0.00 s; 4.00 s are allowed"},
    {"CPU time at the end",
     {REPORT(.cpu_ns = 5 * SECOND / 2)},
     false,
     BV_VERDICT_TIME,
     "used 2.50 s of CPU time; 2.00 s are allowed"},
    {"CPU time of a group",
     {.cpu_ns = 5 * SECOND / 2, REPORT(.own_cpu_ns = SECOND / 4)},
     true,
     BV_VERDICT_TIME,
     "used 2.25 s of CPU time; 2.00 s are allowed"},
    {"the box's own time in it",
     {.cpu_ns = 5 * SECOND / 2, REPORT(.own_cpu_ns = SECOND)},
     true,
     BV_VERDICT_OK,
     ""},
    {"wall time at the end",
     {REPORT(.wall_ns = 9 * SECOND / 2)},
     false,
     BV_VERDICT_WALL,
     "ran for 4.50 s; 4.00 s are allowed"},
    {"wall time of others",
     {.delay_ns = SECOND, REPORT(.wall_ns = 9 * SECOND / 2)},
     false,
     BV_VERDICT_OK,
     ""},
    {"memory of a process",
     {REPORT(.peak_rss = 300 * MB)},
     false,
     BV_VERDICT_MEMORY,
     "needed more memory than the 256000000 bytes that are allowed"},
    {"memory that is shared",
     {.peak_bytes = 200 * MB, .peak_exact = true, REPORT(.peak_rss = 300 * MB)},
     true,
     BV_VERDICT_OK,
     ""},
    {"disk",
     {REPORT(.wait_status = EXIT(1), .disk_full = 1)},
     false,
     BV_VERDICT_DISK,
     "filled its folder: 64000000 bytes in 4096 files are allowed"},
    {"memory and disk",
     {.memory_hit = true, REPORT(.disk_full = 1)},
     true,
     BV_VERDICT_MEMORY,
     "needed more memory than the 256000000 bytes that are allowed"},
    {"processes",
     {.pids_hit = true, REPORT(.wait_status = 0)},
     true,
     BV_VERDICT_PIDS,
     "wanted more processes and threads at once than the 16 that are allowed"},
    {"output first",
     {.trigger = BV_VERDICT_OUTPUT, .memory_hit = true, REPORT(.wait_status = SIGKILL)},
     true,
     BV_VERDICT_OUTPUT,
     "wrote more than the 1000000 bytes of output that are allowed"},
};

static bv_sandbox_result decide(const finding *f) {
    static bv_sandbox_pool pool;
    static bv_slot slot;
    static bv_sandbox_job job;
    bv_sandbox_result r = {0};
    bv_sandbox_box box = f->box;
    bv_sandbox_limits_default(&job.limits);
    slot.group = (bv_cgroup){.cpu = f->counted, .memory = f->counted, .pids = f->counted};
    box.pool = &pool, box.slot = &slot, box.job = &job;
    bv_verdict_decide(&box, &r);
    return r;
}

static void test_verdicts(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof findings / sizeof *findings; i++) {
        const bv_sandbox_result r = decide(&findings[i]);
        if (r.verdict != findings[i].verdict || strcmp(r.reason, findings[i].reason))
            fail_msg("%s: %s, \"%s\"", findings[i].what, bv_sandbox_verdict_name(r.verdict),
                     r.reason);
    }
}

/* A call that no honest program makes comes before all limits; it is told by its name. */
static void test_forbidden(void **state) {
    (void)state;
    finding f = {.box = {.trigger = BV_VERDICT_WALL, .reported = true}};
    char told[80];
    f.box.report.forbidden = 1;
    snprintf(told, sizeof told, "called %s", bv_seccomp_name(0, 1));
    const bv_sandbox_result r = decide(&f);
    assert_int_equal(r.verdict, BV_VERDICT_FORBIDDEN_CALL);
    assert_string_equal(r.reason, told);
}

/* A group that has counted nothing has the largest process, never more than the limit. */
static void test_peaks(void **state) {
    (void)state;
    static const struct {
        uint64_t group, process, peak;
        bool exact;
    } rows[] = {{0, 3 * MB, 3 * MB, true},
                {0, 300 * MB, 256 * MB, true},
                {5 * MB, 3 * MB, 5 * MB, true},
                {5 * MB, 9 * MB, 5 * MB, true},
                {5 * MB, 9 * MB, 9 * MB, false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        finding f = {.counted = true,
                     .box = {.peak_bytes = rows[i].group,
                             .peak_exact = rows[i].exact,
                             REPORT(.peak_rss = rows[i].process)}};
        assert_int_equal(decide(&f).peak_memory_bytes, rows[i].peak);
    }
}

static void test_names(void **state) {
    (void)state;
    static const char *const names[] = {
        "ok",   "failed", "time", "wall",           "memory",
        "pids", "output", "disk", "forbidden-call", "sandbox-fault"};
    bv_sandbox_policy policy;
    for (int i = 0; i < BV_VERDICT_COUNT; i++)
        assert_string_equal(bv_sandbox_verdict_name((bv_sandbox_verdict)i), names[i]);
    for (int i = 0; i < 2; i++) {
        const char *name = bv_sandbox_policy_name((bv_sandbox_policy)i);
        assert_true(bv_sandbox_policy_parse(name, &policy) && policy == (bv_sandbox_policy)i);
    }
    assert_false(bv_sandbox_policy_parse("", &policy));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_verdicts),
                                       cmocka_unit_test(test_forbidden),
                                       cmocka_unit_test(test_peaks), cmocka_unit_test(test_names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
