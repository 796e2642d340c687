#include "arena/sandbox_wire.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct head {
    uint32_t type, descriptor_count;
    uint64_t size;
} head;

typedef union control_space {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(BV_FRAME_DESCRIPTORS * sizeof(int))];
} control_space;

static bv_status send_all(int socket, const char *bytes, uint64_t size) {
    while (size > 0) {
        const ssize_t n = send(socket, bytes, size, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return bv_fail_errno("cannot send to a part of the sandbox");
        bytes += n, size -= (uint64_t)n;
    }
    return BV_OK;
}

bv_status bv_wire_send(int socket, bv_frame_type type, const void *bytes, uint64_t size,
                       const int *descriptors, uint32_t count) {
    BV_ASSERT(count <= BV_FRAME_DESCRIPTORS);
    head h = {(uint32_t)type, count, size};
    struct iovec part[2] = {{&h, sizeof h}, {(void *)bytes, size}};
    control_space space;
    struct msghdr message = {.msg_iov = part, .msg_iovlen = 2};
    if (count > 0) {
        message.msg_control = space.bytes;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET, c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(c), descriptors, count * sizeof(int));
    }
    ssize_t n;
    do n = sendmsg(socket, &message, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0) return bv_fail_errno("cannot send to a part of the sandbox");
    /* A stream socket takes at least the small head in one piece. */
    if ((size_t)n < sizeof h) return bv_fail(BV_CODE_IO, "a part of the sandbox took half a head");
    const uint64_t sent = (uint64_t)n - sizeof h;
    return send_all(socket, (const char *)bytes + sent, size - sent);
}

static void take_descriptors(struct msghdr *message, bv_frame *frame, uint32_t *taken) {
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
        const size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count && *taken < BV_FRAME_DESCRIPTORS; i++)
            memcpy(&frame->descriptors[(*taken)++], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
    }
}

/* 1: a whole head. 0: the other side closed before one. */
static int receive_head(int socket, head *h, bv_frame *frame, uint32_t *taken) {
    size_t have = 0;
    while (have < sizeof *h) {
        struct iovec part = {(char *)h + have, sizeof *h - have};
        control_space space;
        struct msghdr message = {.msg_iov = &part,
                                 .msg_iovlen = 1,
                                 .msg_control = space.bytes,
                                 .msg_controllen = sizeof space.bytes};
        const ssize_t n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
        if (n < 0 && errno == EINTR) continue;
        /* Reset: it ended before it had read what was sent to it. */
        if (n == 0 || (n < 0 && errno == ECONNRESET)) return have == 0 ? 0 : -1;
        if (n < 0) return -1;
        take_descriptors(&message, frame, taken);
        have += (size_t)n;
    }
    return 1;
}

bv_status bv_wire_receive(int socket, bv_frame *frame, bv_buffer *payload) {
    head h;
    uint32_t taken = 0;
    *frame = (bv_frame){.descriptors = {-1, -1, -1}};
    const int got = receive_head(socket, &h, frame, &taken);
    if (got == 0) return bv_fail(BV_CODE_INTERRUPTED, "a part of the sandbox is gone");
    if (got < 0) {
        bv_error *error = bv_fail_errno("cannot hear a part of the sandbox");
        bv_frame_close(frame);
        return error;
    }
    frame->type = h.type, frame->descriptor_count = taken;
    bv_buffer_clear(payload);
    if (h.size > ((uint64_t)1 << 32) || !bv_buffer_reserve(payload, h.size)) {
        bv_frame_close(frame);
        return bv_fail_memory("a frame of the sandbox");
    }
    while (payload->size < h.size) {
        const ssize_t n = recv(socket, payload->data + payload->size, h.size - payload->size, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            bv_frame_close(frame);
            return bv_fail(BV_CODE_IO, "a part of the sandbox broke off");
        }
        payload->size += (size_t)n;
    }
    return BV_OK;
}

void bv_frame_close(bv_frame *frame) {
    for (int i = 0; i < BV_FRAME_DESCRIPTORS; i++) {
        if (frame->descriptors[i] >= 0) close(frame->descriptors[i]);
        frame->descriptors[i] = -1;
    }
}

bool bv_wire_wait(int socket, int timeout_ms) {
    struct pollfd p = {.fd = socket, .events = POLLIN};
    int n;
    do n = poll(&p, 1, timeout_ms);
    while (n < 0 && errno == EINTR);
    return n > 0;
}

/* ---- payloads ---- */

void bv_wire_put(bv_buffer *out, uint64_t number) {
    bv_buffer_append(out, &number, sizeof number);
}

void bv_wire_put_bytes(bv_buffer *out, const void *bytes, uint64_t size) {
    bv_wire_put(out, size);
    if (size > 0) bv_buffer_append(out, bytes, size);
    bv_buffer_append(out, "", 1);
}

void bv_wire_put_text(bv_buffer *out, const char *text) {
    bv_wire_put_bytes(out, text, strlen(text));
}

uint64_t bv_wire_get(bv_wire_reader *reader) {
    uint64_t number = 0;
    if (reader->left < sizeof number) {
        reader->bad = true;
        reader->left = 0;
        return 0;
    }
    memcpy(&number, reader->at, sizeof number);
    reader->at += sizeof number, reader->left -= sizeof number;
    return number;
}

const char *bv_wire_get_bytes(bv_wire_reader *reader, uint64_t *size) {
    *size = bv_wire_get(reader);
    if (reader->bad || *size >= reader->left || reader->at[*size] != 0) {
        reader->bad = true;
        reader->left = 0;
        *size = 0;
        return "";
    }
    const char *bytes = reader->at;
    reader->at += *size + 1, reader->left -= *size + 1;
    return bytes;
}

const char *bv_wire_get_text(bv_wire_reader *reader) {
    uint64_t size;
    const char *text = bv_wire_get_bytes(reader, &size);
    if (strlen(text) != size) reader->bad = true;
    return text;
}
