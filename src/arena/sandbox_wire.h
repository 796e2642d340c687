/*
 * Wire: frames with descriptors between the caller, its slots and their boxes, all on one machine
 * and of one program, so numbers are in its own byte order. A frame is a head, `size` bytes, and up
 * to three descriptors that travel with the head. The guest has no end of any of these sockets.
 */
#ifndef BV_ARENA_SANDBOX_WIRE_H
#define BV_ARENA_SANDBOX_WIRE_H

#include "base/buffer.h"
#include "base/status.h"
#include <stdint.h>

typedef enum bv_frame_type {
    BV_FRAME_MAKE = 1, /* caller to slot: make a box (root, policy)                    */
    BV_FRAME_BOX,      /* slot to caller: its process; descriptors: control, process   */
    BV_FRAME_READY,    /* box to caller: all that could be done ahead is done          */
    BV_FRAME_JOB,      /* caller to box; descriptors: input, output, error             */
    BV_FRAME_PLACE,    /* caller to box; descriptor: the next sealed file of the job   */
    BV_FRAME_KILL,     /* caller to box: end the tree now, and report                  */
    BV_FRAME_FILE,     /* box to caller: a fetched file; descriptor: it, open to read      */
    BV_FRAME_RESULT,   /* box to caller: how it ended; the last frame                      */
    BV_FRAME_FAULT,    /* slot or box to caller: ours; a text                          */
} bv_frame_type;

#define BV_FRAME_DESCRIPTORS 3

typedef struct bv_frame {
    uint32_t type;
    uint32_t descriptor_count;
    int descriptors[BV_FRAME_DESCRIPTORS]; /* -1 beyond the count; the receiver owns them */
} bv_frame;

/* Sends a whole frame. BV_CODE_IO when the other side is gone. */
bv_status bv_wire_send(int socket, bv_frame_type type, const void *bytes, uint64_t size,
                       const int *descriptors, uint32_t count);

/* Receives a whole frame; its bytes replace what `payload` held. BV_CODE_INTERRUPTED when the
 * other side closed between frames. */
bv_status bv_wire_receive(int socket, bv_frame *frame, bv_buffer *payload);
void bv_frame_close(bv_frame *frame); /* closes descriptors that nobody took (took: set to -1) */

/* Waits until the socket has something to read. False when `timeout_ms` has passed. */
bool bv_wire_wait(int socket, int timeout_ms);

/* ---- payloads: numbers and texts one after another ---- */

void bv_wire_put(bv_buffer *out, uint64_t number);
void bv_wire_put_bytes(bv_buffer *out, const void *bytes, uint64_t size); /* and a NUL after */
void bv_wire_put_text(bv_buffer *out, const char *text);

typedef struct bv_wire_reader {
    const char *at;
    size_t left;
    bool bad; /* read beyond the end: sticky, and all that is read is 0 or "" */
} bv_wire_reader;
uint64_t bv_wire_get(bv_wire_reader *reader);
const char *bv_wire_get_bytes(bv_wire_reader *reader, uint64_t *size); /* borrowed */
const char *bv_wire_get_text(bv_wire_reader *reader);                  /* borrowed */

#endif
