// attack: pairs of sockets of every family: the kernel would load the modules of each
// verdict: ok
#include "attack.h"
#include <sys/socket.h>

int main(void) {
    for (int family = 0; family < 64; family++) {
        int pair[2];
        if (family == AF_UNIX) continue;
        for (int type = SOCK_STREAM; type <= SOCK_SEQPACKET; type++)
            if (socketpair(family, type, 0, pair) == 0 || errno != EAFNOSUPPORT)
                breach("the kernel was asked for a family");
    }
    return 0;
}
