/* Limits of control groups, of both versions, in folders as the kernel would show them. */
#include "support/check.h"

#include "base/cgroup.h"
#include "base/file.h"
#include "support/mangle.h"
#include <limits.h>

static char *folder;

static void write_file(const char *group, const char *name, const char *text) {
    char path[700];
    snprintf(path, sizeof path, "%s/%s", folder, group);
    assert_ok(bv_dir_make(path));
    snprintf(path, sizeof path, "%s/%s/%s", folder, group, name);
    assert_ok(bv_file_write(path, text, strlen(text)));
}

static bv_cgroup_limits limits_of(const char *mounts, const char *own) {
    bv_cgroup_limits l;
    bv_cgroup_limits_of(mounts, own, &l);
    return l;
}

/* The least of our group and of those that hold it. */
static void test_version2(void **state) {
    (void)state;
    char mounts[900];
    snprintf(mounts, sizeof mounts, "41 31 0:38 / %s/two rw - cgroup2 cgroup2 rw\n", folder);
    write_file("two/a/b", "cpu.max", "max 100000\n");
    write_file("two/a/b", "memory.max", "max\n");
    write_file("two/a", "cpu.max", "150000 100000\n");
    bv_cgroup_limits l = limits_of(mounts, "0::/a/b\n");
    assert_true(l.cores == 1.5 && l.memory_bytes == 0);
    write_file("two", "cpu.max", "100000 200000\n");
    write_file("two/a", "memory.max", "1000\n");
    write_file("two/a", "memory.current", "900\n");
    write_file("two/a", "memory.stat", "inactive_file 300\nslab 5\nactive_file 100\n");
    write_file("two/a/b", "memory.max", "3000\n");
    write_file("two/a/b", "memory.current", "2900\n");
    l = limits_of(mounts, "0::/a/b\n");
    assert_true(l.cores == 0.5);
    assert_int_equal(l.memory_bytes, 1000);
    assert_int_equal(l.memory_left, 100);
    write_file("two/a/b", "memory.current", "100\n");
    assert_int_equal(limits_of(mounts, "0::/a/b\n").memory_left, 500);
    assert_true(limits_of(mounts, "0::/c\n").cores == 0.5);
    const bv_buffer good[] = {{.data = mounts, .size = strlen(mounts)},
                              {.data = (char[]){"0::/a/b\n"}, .size = 8}};
    for (uint32_t n = 0; n < 3000; n++) {
        bv_buffer bad[2] = {{0}, {0}};
        for (uint32_t i = 0; i < 2; i++) mangle(&good[i], 1, i, n, &bad[i]);
        limits_of(bad[0].data, bad[1].data);
        for (uint32_t i = 0; i < 2; i++) bv_buffer_free(&bad[i]);
    }
}

/* Each controller is a hierarchy of its own, and none is a number. */
static void test_version1(void **state) {
    (void)state;
    char mounts[1800];
    const char own[] = "4:memory:/m\n1:cpu,cpuacct:/c/d\n0::/\n";
    snprintf(mounts, sizeof mounts,
             "32 31 0:29 / %s/cpu rw - cgroup cgroup rw,cpuacct,cpu\n"
             "35 31 0:32 /m %s/memory/m rw - cgroup cgroup rw,memory\n",
             folder, folder);
    write_file("cpu/c/d", "cpu.cfs_quota_us", "-1\n");
    write_file("cpu/c/d", "cpu.cfs_period_us", "100000\n");
    write_file("memory/m", "memory.limit_in_bytes", "9223372036854771712\n");
    bv_cgroup_limits l = limits_of(mounts, own);
    assert_true(l.cores == 0 && l.memory_bytes == 0);
    write_file("cpu/c", "cpu.cfs_quota_us", "250000\n");
    write_file("cpu/c", "cpu.cfs_period_us", "100000\n");
    write_file("memory/m", "memory.limit_in_bytes", "1000\n");
    write_file("memory/m", "memory.usage_in_bytes", "800\n");
    write_file("memory/m", "memory.stat", "inactive_file 7\ntotal_inactive_file 300\n");
    l = limits_of(mounts, own);
    assert_true(l.cores == 2.5);
    assert_int_equal(l.memory_bytes, 1000);
    assert_int_equal(l.memory_left, 500);
}

static void test_nothing(void **state) {
    (void)state;
    bv_cgroup_limits l = limits_of(NULL, NULL);
    assert_true(l.cores == 0 && l.memory_bytes == 0);
    l = limits_of("", "");
    assert_true(l.cores == 0 && l.memory_bytes == 0);
    bv_cgroup_limits_read(&l); /* whatever this machine says */
    assert_true(l.cores >= 0);
}

static void test_threads(void **state) {
    (void)state;
    static const struct {
        double cores;
        int threads;
    } rows[] = {{0.2, 1}, {1, 1}, {1.005, 1}, {1.5, 2}, {4, 4}, {1e300, INT_MAX}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(bv_cgroup_threads(rows[i].cores), rows[i].threads);
}

static int begin(void **state) {
    *state = folder = make_folder();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_version2), cmocka_unit_test(test_version1),
        cmocka_unit_test(test_nothing), cmocka_unit_test(test_threads)};
    return cmocka_run_group_tests(tests, begin, folder_teardown);
}
