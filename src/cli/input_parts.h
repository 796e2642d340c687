/*
 * Text that comes part by part, from a file or standard input: it needs no end, and no memory of
 * its size.
 */
#ifndef BV_CLI_INPUT_PARTS_H
#define BV_CLI_INPUT_PARTS_H

#include "base/status.h"
#include <stdbool.h>
#include <stddef.h>

typedef struct bv_part {
    const char *text;
    size_t size, fresh; /* fresh: where begins what the call before did not see */
    bool last;          /* the input ends here */
} bv_part;

/* Takes the first *used bytes of a part, all of the last one; the others come again with the next,
 * whose first `fresh` bytes they are. */
typedef bv_status bv_part_work(void *context, const bv_part *part, size_t *used);

#define BV_PART_HELD_MAX ((size_t)1 << 30) /* bytes that may be left over */

/* path: NULL or "-" for standard input. BV_CODE_INPUT where too many bytes are left over. */
bv_status bv_input_parts(const char *path, bv_part_work *work, void *context);

#endif
