// attack: a program of the kernel's own that looks at each message
// verdict: ok
#include "attack.h"
#include <linux/filter.h>
#include <sys/socket.h>

int main(void) {
    int pair[2];
    struct sock_filter all = BPF_STMT(BPF_RET | BPF_K, 0xffff);
    const struct sock_fprog program = {1, &all};
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) return 1;
    refused("SO_ATTACH_FILTER",
            setsockopt(pair[0], SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program));
    return 0;
}
