/*
 * The filter of system calls, run here instruction by instruction as the kernel would: any table of
 * answers is found again, number by number, and the sandbox's own lists give what they promise.
 */
#include "support/check.h"

#include "arena/sandbox_box.h"
#include "arena/sandbox_filter.h"
#include "base/memory.h"
#include "base/random.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define NATIVE AUDIT_ARCH_X86_64
#else
#define NATIVE AUDIT_ARCH_AARCH64
#endif

static uint32_t filter_word(const struct seccomp_data *data, uint32_t at) {
    uint32_t word;
    assert_true(at % 4 == 0 && at + 4 <= sizeof *data);
    memcpy(&word, (const char *)data + at, sizeof word);
    return word;
}

static uint32_t run_filter(const struct sock_fprog *f, const struct seccomp_data *data) {
    uint32_t a = 0;
    for (size_t i = 0; i < f->len; i++) {
        const struct sock_filter *c = &f->filter[i];
        switch (c->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            a = filter_word(data, c->k);
            break;
        case BPF_ALU | BPF_AND | BPF_K:
            a &= c->k;
            break;
        case BPF_JMP | BPF_JA:
            i += c->k;
            break;
        case BPF_JMP | BPF_JEQ | BPF_K:
            i += a == c->k ? c->jt : c->jf;
            break;
        case BPF_JMP | BPF_JGT | BPF_K:
            i += a > c->k ? c->jt : c->jf;
            break;
        case BPF_JMP | BPF_JGE | BPF_K:
            i += a >= c->k ? c->jt : c->jf;
            break;
        case BPF_RET | BPF_K:
            return c->k;
        default:
            fail_msg("instruction %zu: code %#x", i, c->code);
        }
    }
    fail_msg("the filter has no end");
    return 0;
}

static uint32_t ask_filter(const struct sock_fprog *f, uint32_t arch, uint32_t number,
                           const uint64_t args[2]) {
    const struct seccomp_data data = {
        .nr = (int)number, .arch = arch, .args = {args ? args[0] : 0, args ? args[1] : 0}};
    return run_filter(f, &data);
}

/* ---- any table ---- */

#define BEHIND 77u /* what the filter behind answers */

/* Runs of equal answers; more and shorter ones with each seed. Some get too long for jumps. */
static void make_table(uint32_t seed, bv_filter_answers *t) {
    static const uint32_t answers[] = {SECCOMP_RET_ALLOW,          SECCOMP_RET_USER_NOTIF,
                                       SECCOMP_RET_ERRNO | ENOSYS, SECCOMP_RET_ERRNO | EPERM,
                                       SECCOMP_RET_ERRNO | EACCES, BV_FILTER_ASK};
    bv_filter_begin(t, NATIVE, answers[seed % 6]);
    uint32_t answer = answers[0];
    for (uint32_t i = 0; i < BV_FILTER_NUMBERS; i++) {
        const bv_random4 r = bv_random(seed, BV_RANDOM_TEST, 0, i, 0, 0);
        if (r.v[0] % 1000 < seed) answer = answers[r.v[1] % 6];
        bv_filter_answer(t, (int)i, answer);
    }
    bv_filter_answer(t, -1, 5), bv_filter_answer(t, BV_FILTER_NUMBERS, 5); /* left out */
}

static void check_table(const bv_filter_answers *t, const struct sock_fprog *f) {
    for (uint32_t i = 0; i < 2 * BV_FILTER_NUMBERS; i++) {
        const uint32_t wanted = i < BV_FILTER_NUMBERS ? t->of[i] : t->usual;
        assert_int_equal(ask_filter(f, NATIVE, i, NULL), wanted == BV_FILTER_ASK ? BEHIND : wanted);
        assert_int_equal(ask_filter(f, AUDIT_ARCH_I386, i, NULL), BEHIND);
        assert_int_equal(ask_filter(f, NATIVE, 0x40000000u + i, NULL), BEHIND);
        assert_int_equal(ask_filter(f, NATIVE, ~i, NULL), BEHIND);
    }
}

static void test_tables(void **state) {
    (void)state;
    struct sock_filter end = {.code = BPF_RET | BPF_K, .k = BEHIND};
    const struct sock_fprog behind = {1, &end};
    size_t made = 0;
    for (uint32_t seed = 0; seed < 400; seed++) {
        bv_filter_answers t;
        struct sock_fprog f = {0};
        make_table(seed, &t);
        bv_error *error = bv_filter_make(&t, &behind, &f);
        if (error) {
            assert_non_null(strstr(bv_error_text(error), "too long"));
            bv_error_free(&error);
            continue;
        }
        check_table(&t, &f);
        bv_free(f.filter);
        made++;
    }
    assert_true(made > 100 && made < 400);
}

/* ---- the sandbox's own ---- */

#define ALLOWED SECCOMP_RET_ALLOW
#define FORBIDDEN SECCOMP_RET_USER_NOTIF
#define REFUSED(number) (SECCOMP_RET_ERRNO | (number))

static const struct {
    long number;
    uint64_t args[2];
    uint32_t full, nested;
} calls[] = {
    {SYS_read, {0}, ALLOWED, ALLOWED},
    {SYS_execve, {0}, ALLOWED, ALLOWED},
    {SYS_exit_group, {0}, ALLOWED, ALLOWED},
    {SYS_mount, {0}, FORBIDDEN, FORBIDDEN},
    {SYS_ptrace, {0}, FORBIDDEN, FORBIDDEN},
    {SYS_bpf, {0}, FORBIDDEN, FORBIDDEN},
    {SYS_clock_settime, {0}, FORBIDDEN, FORBIDDEN},
    {SYS_setpriority, {0}, REFUSED(EPERM), REFUSED(EPERM)},
    {SYS_clone3, {0}, REFUSED(ENOSYS), REFUSED(ENOSYS)},
    {SYS_io_uring_setup, {0}, REFUSED(ENOSYS), REFUSED(ENOSYS)},
    {700, {0}, REFUSED(ENOSYS), REFUSED(ENOSYS)},
    {100000, {0}, REFUSED(ENOSYS), REFUSED(ENOSYS)},
    {SYS_clone, {CLONE_VM | CLONE_THREAD}, ALLOWED, ALLOWED},
    {SYS_clone, {CLONE_NEWUSER}, FORBIDDEN, FORBIDDEN},
    {SYS_clone, {CLONE_VM | CLONE_NEWNET}, FORBIDDEN, FORBIDDEN},
    {SYS_socket, {AF_UNIX}, ALLOWED, REFUSED(EACCES)},
    {SYS_socket, {AF_INET}, REFUSED(EAFNOSUPPORT), REFUSED(EACCES)},
    {SYS_socketpair, {0}, ALLOWED, ALLOWED},
    {SYS_connect, {0}, ALLOWED, REFUSED(ENOSYS)},
    {SYS_ioctl, {0, TCGETS}, ALLOWED, ALLOWED},
    {SYS_ioctl, {0, TIOCSTI}, REFUSED(ENOSYS), REFUSED(ENOSYS)},
    {SYS_ioctl, {0, 0x100000000ull | TIOCSTI}, REFUSED(ENOSYS), REFUSED(ENOSYS)},
    {SYS_fcntl, {0, F_SETFL}, ALLOWED, ALLOWED},
    {SYS_fcntl, {0, 0x100000000ull | F_SETLK}, ALLOWED, ALLOWED},
    {SYS_fcntl, {0, F_NOTIFY}, REFUSED(ENOSYS), REFUSED(ENOSYS)},
    {SYS_fcntl, {0, 0x100000000ull | F_NOTIFY}, REFUSED(ENOSYS), REFUSED(ENOSYS)},
    {SYS_fcntl, {0, F_SETLEASE}, REFUSED(ENOSYS), REFUSED(ENOSYS)},
    {SYS_flock, {0}, REFUSED(ENOSYS), REFUSED(ENOSYS)},
    {SYS_inotify_init1, {0}, REFUSED(ENOSYS), REFUSED(ENOSYS)},
    {SYS_prctl, {PR_SET_NAME}, ALLOWED, ALLOWED},
    {SYS_prctl, {0x53564d41}, ALLOWED, ALLOWED},         /* PR_SET_VMA */
    {SYS_prctl, {62}, REFUSED(ENOSYS), REFUSED(ENOSYS)}, /* PR_SCHED_CORE */
    {SYS_prctl, {0x100000000ull | 62}, REFUSED(ENOSYS), REFUSED(ENOSYS)},
    {SYS_prctl, {0x100000000ull | PR_SET_NAME}, REFUSED(ENOSYS), REFUSED(ENOSYS)},
    {SYS_prlimit64, {0}, ALLOWED, ALLOWED},
    {SYS_prlimit64, {1}, REFUSED(EPERM), REFUSED(EPERM)},
    {SYS_personality, {0xffffffff}, ALLOWED, ALLOWED},
    {SYS_personality, {0x40000}, REFUSED(ENOSYS), REFUSED(ENOSYS)},
};

static void check_sandbox(bv_sandbox_policy policy, bool memfd) {
    struct sock_fprog f;
    assert_ok(bv_seccomp_compile(policy, memfd, &f));
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        const uint32_t wanted = policy == BV_POLICY_FULL ? calls[i].full : calls[i].nested;
        const uint32_t got = ask_filter(&f, NATIVE, (uint32_t)calls[i].number, calls[i].args);
        if (got != wanted) fail_msg("call %ld: %#x, not %#x", calls[i].number, got, wanted);
    }
    assert_int_equal(ask_filter(&f, NATIVE, SYS_memfd_create, NULL),
                     memfd ? ALLOWED : REFUSED(ENOSYS));
    assert_int_equal(ask_filter(&f, AUDIT_ARCH_I386, 3, NULL), FORBIDDEN);
#if defined(__x86_64__)
    assert_int_equal(ask_filter(&f, NATIVE, 0x40000000u, NULL), FORBIDDEN);
#endif
    print_message("%d instructions\n", f.len);
    bv_free(f.filter);
}

static void test_sandbox(void **state) {
    (void)state;
    for (int memfd = 0; memfd < 2; memfd++) {
        check_sandbox(BV_POLICY_FULL, memfd != 0);
        check_sandbox(BV_POLICY_NESTED, memfd != 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_sandbox),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
