/*
 * What pieces became, for encoders of several threads: a piece that comes often is merged once, not
 * once a thread. Pieces of up to 15 bytes and 5 tokens stand here, in a table of constant size that
 * is written once and never changed, so that nobody waits. Where it is full, each thread keeps to
 * its own cache. Any number of threads at once.
 */
#ifndef BV_TEXT_SHARED_PIECES_H
#define BV_TEXT_SHARED_PIECES_H

#include "base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A piece of up to 15 bytes as a number: its bytes, zeros, in the last byte its length. */
#define BV_PIECE_KEY_BYTES 15
typedef struct bv_piece_key {
    uint64_t low, high;
} bv_piece_key;

static inline uint64_t bv_piece_key_hash(bv_piece_key k) {
    const unsigned __int128 product =
        (unsigned __int128)(k.low ^ 0x9E3779B97F4A7C15u) * (k.high ^ 0xD6E8FEB86659FD93u);
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

typedef struct bv_shared_pieces bv_shared_pieces;
bv_status bv_shared_pieces_create(bv_shared_pieces **out);
void bv_shared_pieces_destroy(bv_shared_pieces **pieces);

#define BV_SHARED_TOKENS_MAX 5
/* The tokens of a piece, room for BV_SHARED_TOKENS_MAX of them: how many; 0 for one unknown. */
size_t bv_shared_pieces_get(const bv_shared_pieces *pieces, bv_piece_key key, uint32_t *tokens);
/* count: 1 to BV_SHARED_TOKENS_MAX. The same piece has the same tokens, whoever puts it. */
void bv_shared_pieces_put(bv_shared_pieces *pieces, bv_piece_key key, const uint32_t *tokens,
                          size_t count);

#endif
