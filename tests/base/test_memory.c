#include "support/check.h"
#include "support/faults.h"

#include "base/buffer.h"
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

static void test_sizes(void **state) {
    (void)state;
    void *a = bv_malloc(0), *b = bv_malloc(0);
    assert_non_null(a);
    assert_non_null(b);
    assert_ptr_not_equal(a, b);
    bv_free(a);
    bv_free(b);
    bv_free(NULL);
    assert_null(bv_calloc(SIZE_MAX / 2, 3));
    unsigned char *c = bv_calloc(1000, 3);
    for (int i = 0; i < 3000; i++) assert_int_equal(c[i], 0);
    c[999] = 7;
    c = bv_realloc(c, 100000);
    assert_int_equal(c[999], 7);
    bv_free(c);
    char *copy = bv_strdup("beaver");
    assert_string_equal(copy, "beaver");
    bv_free(copy);
}

static void test_aligned_is_aligned_and_zero(void **state) {
    (void)state;
    const size_t sizes[] = {0, 1, 63, 64, 65, 4096, (2u << 20) - 1, 2u << 20, (5u << 20) + 3};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        unsigned char *p = bv_malloc_aligned(sizes[s]);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 64, 0);
        size_t set = 0;
        for (size_t i = 0; i < sizes[s]; i++) set += p[i] != 0;
        assert_int_equal(set, 0);
        memset(p, 0xff, sizes[s]);
        bv_free_aligned(p);
    }
    bv_free_aligned(NULL);
    assert_null(bv_malloc_aligned(SIZE_MAX - 8));
}

static void test_arena(void **state) {
    (void)state;
    bv_arena *arena = bv_arena_create();
    assert_non_null(arena);
    char *last = NULL;
    for (size_t size = 1; size < 200000; size = size * 2 + 1) {
        char *p = bv_arena_alloc(arena, size);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 16, 0);
        for (size_t i = 0; i < size; i++) assert_int_equal(p[i], 0);
        memset(p, 1, size);
        assert_ptr_not_equal(p, last);
        last = p;
    }
    assert_null(bv_arena_alloc(arena, SIZE_MAX - 3));
    assert_string_equal(bv_arena_strdup(arena, "dam"), "dam");
    assert_string_equal(bv_arena_printf(arena, "h.%d.%s", 3, "attn"), "h.3.attn");
    bv_arena_destroy(&arena);
    assert_null(arena);
    bv_arena_destroy(&arena);
}

static void test_every_failed_allocation_is_seen(void **state) {
    (void)state;
    int failures = 0;
    for (int n = 0;; n++) {
        faults_allocation(n);
        bv_arena *arena = bv_arena_create();
        char *text = arena ? bv_arena_printf(arena, "%070000d", 1) : NULL;
        char *more = text ? bv_arena_strdup(arena, "dam") : NULL;
        void *big = more ? bv_malloc_aligned(3u << 20) : NULL;
        char *copy = big ? bv_strdup("lodge") : NULL;
        const bool struck = faults_off();
        assert_int_equal(struck, copy == NULL);
        bv_free(copy);
        bv_free_aligned(big);
        bv_arena_destroy(&arena);
        if (!struck) break;
        failures++;
    }
    assert_int_equal(failures, 5); /* arena, long text, a block for the short one, big, copy */
}

static void test_buffer(void **state) {
    (void)state;
    bv_buffer b = {0};
    assert_ok(bv_buffer_error(&b));
    bv_buffer_append(&b, NULL, 0);
    assert_string_equal(b.data, "");
    for (int i = 0; i < 1000; i++) bv_buffer_printf(&b, "%d,", i);
    bv_buffer_append(&b, "\0x", 2);
    bv_buffer_text(&b, "end");
    assert_int_equal(b.size, 10 * 2 + 90 * 3 + 900 * 4 + 2 + 3);
    assert_string_equal(b.data + b.size - 4, "xend");
    assert_memory_equal(b.data, "0,1,2,3,", 8);
    bv_buffer_clear(&b);
    assert_int_equal(b.size, 0);
    assert_string_equal(b.data, "");
    assert_false(bv_buffer_reserve(&b, SIZE_MAX - 3));
    assert_fails(bv_buffer_error(&b), BV_CODE_MEMORY, "out of memory");
    bv_buffer_text(&b, "ignored after a failure");
    assert_int_equal(b.size, 0);
    bv_buffer_clear(&b);
    assert_ok(bv_buffer_error(&b));
    bv_buffer_free(&b);
    assert_null(b.data);
}

static void test_buffer_without_memory(void **state) {
    (void)state;
    for (int n = 0;; n++) {
        bv_buffer b = {0};
        faults_allocation(n);
        for (int i = 0; i < 100; i++) bv_buffer_text(&b, "0123456789");
        const bool struck = faults_off();
        assert_int_equal(b.failed, struck);
        assert_true(struck || b.size == 1000);
        bv_buffer_free(&b);
        if (!struck) return;
    }
}

/* Allocates in a guarded phase, in a child whose complaint is caught; true if it was aborted. */
static bool guard_kills(int depth, char message[200]) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        dup2(ends[1], STDERR_FILENO);
        for (int i = 0; i < 2; i++) bv_no_alloc_begin("training step");
        for (int i = depth; i < 2; i++) bv_no_alloc_end();
        void *volatile p = bv_malloc(10);
        bv_free(p);
        _exit(0);
    }
    close(ends[1]);
    const ssize_t n = read(ends[0], message, 199);
    message[n > 0 ? n : 0] = 0;
    close(ends[0]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void test_guarded_phases_do_not_allocate(void **state) {
    (void)state;
    char message[200];
    assert_true(guard_kills(2, message));
    assert_non_null(strstr(message, "training step"));
    assert_true(guard_kills(1, message));
    assert_false(guard_kills(0, message));
    assert_string_equal(message, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_aligned_is_aligned_and_zero),
        cmocka_unit_test(test_arena),
        cmocka_unit_test(test_every_failed_allocation_is_seen),
        cmocka_unit_test(test_buffer),
        cmocka_unit_test(test_buffer_without_memory),
        cmocka_unit_test(test_guarded_phases_do_not_allocate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
