// attack: leaves as many descriptors as it may in sockets that hold each other, and ends
// verdict: ok
#include "attack.h"
#include <sys/socket.h>

#define MANY 250 /* in one message */

static long send_to_itself(const int pair[2]) {
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(MANY * sizeof(int))];
    } space = {0};
    char byte = 0;
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = space.bytes,
                             .msg_controllen = sizeof space.bytes};
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET, c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(MANY * sizeof(int));
    for (int i = 0; i < MANY; i++)
        memcpy(CMSG_DATA(c) + i * sizeof(int), &pair[i % 2], sizeof(int));
    return sendmsg(pair[0], &message, MSG_DONTWAIT);
}

int main(void) {
    int pair[2], sent = 0;
    for (int i = 0; i < 20 && socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0; i++)
        for (int k = 0; k < 5 && send_to_itself(pair) >= 0; k++) sent++;
    printf("%d messages: %s\n", sent, strerror(errno));
    if (sent >= 20) breach("descriptors in flight without a bound");
    return 0;
}
