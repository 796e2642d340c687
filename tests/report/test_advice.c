/* Advice: none for a good machine, and the right one for each fault. */
#include "report/advice.h"

#include "support/check.h"

static bv_surroundings good(void) {
    return (bv_surroundings){.machine = {.cores_online = 8,
                                         .cores_usable = 8,
                                         .memory_total = 16000000000,
                                         .memory_available = 8000000000},
                             .threads = 8,
                             .level = "avx512",
                             .best_level = "avx512",
                             .huge_pages = "madvise",
                             .governor = "performance",
                             .load = 0.3,
                             .free_disk_bytes = 1e11,
                             .limits_kept = true,
                             .share_of_best = 1};
}

/* Exactly one piece of advice, which says `what` and has a remedy with `remedy`. */
static void assert_advice(const bv_surroundings *s, const char *what, const char *remedy) {
    bv_advice_list list;
    bv_advise(s, &list);
    assert_int_equal(list.count, 1);
    if (!strstr(list.items[0].what, what) || !strstr(list.items[0].remedy, remedy))
        fail_msg("\"%s\", \"%s\"", list.items[0].what, list.items[0].remedy);
}

static void test_good(void **state) {
    (void)state;
    bv_surroundings s = good();
    bv_advice_list list;
    bv_advise(&s, &list);
    assert_int_equal(list.count, 0);
    s.huge_pages[0] = s.governor[0] = 0; /* not told: no complaint */
    s.free_disk_bytes = -1;
    s.machine.memory_available = 0;
    bv_advise(&s, &list);
    assert_int_equal(list.count, 0);
}

static void test_faults(void **state) {
    (void)state;
    bv_surroundings s = good();
    s.machine.cores_quota = 2.5;
    assert_advice(&s, "2.5 cores of time to 8 threads", "--threads 3");
    bv_advice_list rounded;
    s.threads = 3; /* the default there */
    bv_advise(&s, &rounded);
    assert_int_equal(rounded.count, 0);
    s = good();
    s.threads = 9;
    assert_advice(&s, "9 threads share 8", "--threads 8");
    s = good();
    s.machine.cores_usable = s.threads = 4;
    assert_advice(&s, "4 of 8 cores", "taskset");
    s = good();
    s.load = 7;
    assert_advice(&s, "load 7.0", "wait");
    s = good();
    s.machine.memory_available = 500000000;
    assert_advice(&s, "500 MB", "micro_batch=1");
    s = good();
    snprintf(s.huge_pages, sizeof s.huge_pages, "never");
    assert_advice(&s, "huge pages", "madvise");
    s = good();
    snprintf(s.governor, sizeof s.governor, "powersave");
    assert_advice(&s, "\"powersave\"", "performance");
    s = good();
    s.free_disk_bytes = 1e6;
    assert_advice(&s, "1.0 MB of disk", "--out");
    s = good();
    s.share_of_best = 0.42;
    assert_advice(&s, "42 % of the best", "while nothing else runs");
    s = good();
    s.share_of_best = 0.9; /* as measurements vary */
    bv_advice_list list;
    bv_advise(&s, &list);
    assert_int_equal(list.count, 0);
    s.limits_kept = false;
    assert_advice(&s, "remembered", "XDG_CACHE_HOME");
    s = good();
    s.level = "c";
    assert_advice(&s, "BEAVER_CPU", "avx512");
    s.best_level = "c";
    assert_advice(&s, "plain C", "AVX2");
    s.level = s.best_level = "avx2";
    assert_advice(&s, "emulated", "f32");
}

static void test_read(void **state) {
    (void)state;
    bv_surroundings s;
    bv_surroundings_read(&s);
    assert_true(s.machine.cores_online >= 1);
    assert_true(s.load >= 0);
    assert_null(strpbrk(s.huge_pages, "[] \n"));
    assert_null(strpbrk(s.governor, " \n"));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_good), cmocka_unit_test(test_faults),
                                       cmocka_unit_test(test_read)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
