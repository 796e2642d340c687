// attack: urgent bytes of a local socket, whose code in the kernel was a way out of other sandboxes
// verdict: ok
#include "attack.h"
#include <sys/socket.h>

int main(void) {
    int pair[2];
    char byte;
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) return 1;
    refused("send", send(pair[0], "!", 1, MSG_OOB));
    refused("sendmsg", sendmsg(pair[0], &message, MSG_OOB));
    refused("recv", recv(pair[1], &byte, 1, MSG_OOB | MSG_DONTWAIT));
    refused("recvmsg", recvmsg(pair[1], &message, MSG_OOB | MSG_DONTWAIT));
    return 0;
}
