/* A pool of boxes for tests: of the strongest policy that this machine allows. */
#ifndef BV_TESTS_SUPPORT_BOXES_H
#define BV_TESTS_SUPPORT_BOXES_H

#include "arena/sandbox.h"
#include "support/check.h"

static inline bv_sandbox_pool *boxes_open(uint32_t boxes) {
    bv_sandbox_pool *pool = NULL;
    bv_sandbox_options options = {.policy = BV_POLICY_FULL, .boxes = boxes};
    bv_error *error = bv_sandbox_pool_create(&options, &pool);
    if (error) {
        print_message("policy full: %s\n", bv_error_text(error));
        bv_error_free(&error);
        options.policy = BV_POLICY_NESTED;
        assert_ok(bv_sandbox_pool_create(&options, &pool));
    }
    return pool;
}

#endif
