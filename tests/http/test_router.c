/* Routes and the decoding of what stands in paths and queries. */
#include "support/check.h"

#include "http/router.h"

static void nothing(void *context, bv_http_exchange *x) {
    (void)context, (void)x;
}

static const bv_http_route routes[] = {
    {"GET", "/", nothing, false, 0},
    {"GET", "/levels", nothing, false, 0},
    {"POST", "/levels/:level/submissions", nothing, false, 0},
    {"GET", "/levels/:level/submissions", nothing, false, 0},
    {"GET", "/levels/:level", nothing, false, 0},
    {"DELETE", "/levels/:level", nothing, false, 0},
};

static const struct {
    const char *method, *path;
    int route, status; /* route -1: none, by this status */
    const char *level, *allowed;
} cases[] = {
    {"GET", "/", 0, 0, NULL, NULL},
    {"HEAD", "/levels", 1, 0, NULL, NULL},
    {"POST", "/levels/a%20b/submissions", 2, 0, "a b", NULL},
    {"GET", "/levels/x%2Fy/submissions", 3, 0, "x/y", NULL},
    {"GET", "/levels/%E2%82%AC", 4, 0, "\xe2\x82\xac", NULL},
    {"GET", "/levels/", -1, 404, NULL, NULL},
    {"GET", "/levels/a/", -1, 404, NULL, NULL},
    {"GET", "//levels", -1, 404, NULL, NULL},
    {"GET", "/levels/%", -1, 400, NULL, NULL},
    {"GET", "/levels/%0", -1, 400, NULL, NULL},
    {"GET", "/levels/%zz", -1, 400, NULL, NULL},
    {"GET", "/levels/a%00b", -1, 400, NULL, NULL},
    {"PUT", "/levels/a", -1, 405, NULL, "GET, HEAD, DELETE"},
    {"PUT", "/levels/a/submissions", -1, 405, NULL, "POST, GET, HEAD"},
    {"OPTIONS", "*", -1, 404, NULL, NULL},
    {"GET", "/%6cevels", 1, 0, NULL, NULL},
};

static void test_routes(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bv_http_match m = {0};
        bv_http_route_find(routes, sizeof routes / sizeof *routes, cases[i].method, cases[i].path,
                           &m);
        if (cases[i].route >= 0) {
            assert_ptr_equal(m.route, &routes[cases[i].route]);
        } else {
            assert_null(m.route);
            assert_int_equal(m.status, cases[i].status);
        }
        if (cases[i].level)
            assert_string_equal(bv_http_match_parameter(&m, "level"), cases[i].level);
        assert_null(bv_http_match_parameter(&m, "other"));
        if (cases[i].allowed) assert_string_equal(m.allowed.data, cases[i].allowed);
        bv_http_match_free(&m);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_routes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
