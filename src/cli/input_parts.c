#include "cli/input_parts.h"

#include "base/buffer.h"
#include "base/file.h"
#include "cli/cli.h"
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define PART ((size_t)1 << 20)

/* Appends a part, or what there is until the end. */
static bv_status read_part(int fd, const char *name, bv_buffer *text, bool *end) {
    const size_t wanted = text->size + PART;
    if (!bv_buffer_reserve(text, PART)) return bv_buffer_error(text);
    while (!*end && text->size < wanted) {
        const ssize_t n = read(fd, text->data + text->size, wanted - text->size);
        if (n < 0 && bv_cli_again(fd, POLLIN)) continue;
        if (n < 0) return bv_fail_errno("cannot read %s", name);
        *end = n == 0;
        text->size += (size_t)n;
    }
    return BV_OK;
}

static bv_status hand_over(int fd, const char *name, bv_buffer *text, bv_part_work *work,
                           void *context) {
    for (bool end = false; !end;) {
        bv_part part = {.fresh = text->size};
        size_t used = 0;
        BV_TRY(read_part(fd, name, text, &end));
        part.text = text->data;
        part.size = text->size;
        part.last = end;
        BV_TRY(work(context, &part, &used));
        text->size -= used;
        memmove(text->data, text->data + used, text->size);
        if (text->size > BV_PART_HELD_MAX)
            return bv_fail(BV_CODE_INPUT, "%s has %zu bytes without a place to part them", name,
                           text->size);
    }
    return BV_OK;
}

bv_status bv_input_parts(const char *path, bv_part_work *work, void *context) {
    const bool given = path && strcmp(path, "-") != 0;
    int fd = STDIN_FILENO;
    bv_buffer text = {0};
    if (given) BV_TRY(bv_file_open(path, &fd));
    bv_error *error = hand_over(fd, given ? path : "standard input", &text, work, context);
    if (given) close(fd);
    bv_buffer_free(&text);
    return error;
}
