/* What the machine says of itself, held against what the C library says. */
#include "report/machine.h"

#include "base/memory.h"
#include "support/check.h"
#include <sched.h>

static void test_machine(void **state) {
    (void)state;
    bv_machine m;
    bv_machine_read(&m);
    assert_true(m.cpu[0] != 0 && m.architecture[0] != 0 && m.kernel[0] != 0);
    assert_int_equal(m.cores_online, sysconf(_SC_NPROCESSORS_ONLN));
    assert_true(m.cores_usable >= 1);
    assert_true(m.cores_quota >= 0);
    const uint64_t pages = (uint64_t)sysconf(_SC_PHYS_PAGES);
    assert_true(m.memory_total > 0);
    assert_true(m.memory_total <= pages * (uint64_t)sysconf(_SC_PAGESIZE));
    assert_true(m.memory_available <= m.memory_total);
    for (int i = 0; i < 3; i++)
        if (m.cache_bytes[i]) assert_in_range(m.cache_sharing[i], 1, 65536);
    for (const char *p = m.features; *p; p++) assert_true(*p >= ' ');
}

/* One core fewer is one core fewer. */
static void test_affinity(void **state) {
    (void)state;
    cpu_set_t old, one;
    assert_int_equal(sched_getaffinity(0, sizeof old, &old), 0);
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &old)) {
            CPU_SET(i, &one);
            break;
        }
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    bv_machine m;
    bv_machine_read(&m);
    assert_int_equal(sched_setaffinity(0, sizeof old, &old), 0);
    assert_int_equal(m.cores_usable, 1);
}

static void test_peak_memory(void **state) {
    (void)state;
    const uint64_t before = bv_machine_peak_memory();
    assert_true(before > 0);
    const size_t size = (size_t)before + (64u << 20);
    char *block = bv_malloc(size);
    assert_non_null(block);
    for (size_t i = 0; i < size; i += 4096) ((volatile char *)block)[i] = 1;
    bv_free(block);
    assert_true(bv_machine_peak_memory() >= before + (32u << 20));
}

/* What started a program is not what the program takes. */
static void test_peak_memory_of_a_child(void **state) {
    (void)state;
    const size_t size = 256u << 20;
    char *block = bv_malloc(size), line[64] = "";
    assert_non_null(block);
    for (size_t i = 0; i < size; i += 4096) ((volatile char *)block)[i] = 1;
    FILE *child = popen("exec ${BEAVER_EMULATOR:-} \"$BEAVER_TEST_SELF\" peak", "r");
    bv_free(block);
    assert_non_null(child);
    assert_non_null(fgets(line, sizeof line, child));
    assert_int_equal(pclose(child), 0);
    assert_in_range(strtoull(line, NULL, 10), 1, size / 2);
}

int main(int argc, char **argv) {
    if (argc > 1) return printf("%llu\n", (unsigned long long)bv_machine_peak_memory()) < 0;
    setenv("BEAVER_TEST_SELF", argv[0], 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_machine), cmocka_unit_test(test_affinity),
        cmocka_unit_test(test_peak_memory), cmocka_unit_test(test_peak_memory_of_a_child)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
