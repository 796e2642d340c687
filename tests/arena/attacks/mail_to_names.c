// attack: letters to a service of the host, through one end of a pair
// verdict: ok
#include "attack.h"
#include <sys/socket.h>
#include <sys/un.h>

static void write_to(const char *what, int type, const char *path, int hidden) {
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int pair[2];
    if (!path) return;
    if (socketpair(AF_UNIX, type, 0, pair)) {
        printf("%s: %s\n", what, strerror(errno));
        return;
    }
    snprintf(name.sun_path + hidden, sizeof name.sun_path - 1, "%s", path);
    const socklen_t size = (socklen_t)(sizeof name.sun_family + (size_t)hidden + strlen(path));
    struct iovec letter = {"letter", 6};
    const struct msghdr message = {
        .msg_name = &name, .msg_namelen = size, .msg_iov = &letter, .msg_iovlen = 1};
    refused(what, sendto(pair[0], "letter", 6, MSG_DONTWAIT, (struct sockaddr *)&name, size));
    refused(what, sendmsg(pair[0], &message, MSG_DONTWAIT));
}

int main(void) {
    write_to("mailbox", SOCK_DGRAM, getenv("CANARY_MAILBOX"), 0);
    write_to("mailbox, raw", SOCK_RAW, getenv("CANARY_MAILBOX"), 0);
    write_to("mailbox, stream", SOCK_STREAM, getenv("CANARY_MAILBOX"), 0);
    write_to("abstract", SOCK_DGRAM, getenv("CANARY_ABSTRACT"), 1);
    return 0;
}
