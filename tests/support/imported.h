/* A tokenizer that was read from another program's file, beside the one that the file was made of.
 */
#ifndef BV_TESTS_SUPPORT_IMPORTED_H
#define BV_TESTS_SUPPORT_IMPORTED_H

#include "support/check.h"
#include "text/tokenizer.h"

/* The text's tokens are those of `own` under the numbers that `number` tells, and they give the
 * text back. Returns how many; out: room for them, or NULL. */
static inline size_t check_renumbered(const bv_tokenizer *t, const bv_tokenizer *own,
                                      const bv_buffer *text,
                                      uint32_t (*number)(const bv_tokenizer *own, uint32_t token),
                                      uint32_t *out) {
    const uint32_t *tokens, *own_tokens;
    size_t count, own_count;
    bv_encoder *encoder, *own_encoder;
    assert_ok(bv_encoder_create(t, &encoder));
    assert_ok(bv_encoder_create(own, &own_encoder));
    assert_ok(bv_encoder_encode(encoder, text->data, text->size, &tokens, &count));
    assert_ok(bv_encoder_encode(own_encoder, text->data, text->size, &own_tokens, &own_count));
    assert_int_equal(count, own_count);
    for (size_t i = 0; i < count; i++) assert_int_equal(tokens[i], number(own, own_tokens[i]));
    bv_buffer back = {0};
    assert_ok(bv_tokenizer_decode(t, tokens, count, &back));
    assert_int_equal(back.size, text->size);
    assert_memory_equal(back.data, text->data, text->size);
    if (out) memcpy(out, tokens, count * sizeof *out);
    bv_buffer_free(&back);
    bv_encoder_destroy(&encoder);
    bv_encoder_destroy(&own_encoder);
    return count;
}

#endif
