// attack: sockets that lead out of the box
// verdict: ok
#include "attack.h"
#include <linux/if_packet.h>
#include <sys/socket.h>

int main(void) {
    const struct {
        const char *name;
        int domain, type;
    } list[] = {{"tcp", AF_INET, SOCK_STREAM},
                {"udp", AF_INET, SOCK_DGRAM},
                {"raw", AF_INET, SOCK_RAW},
                {"tcp6", AF_INET6, SOCK_STREAM},
                {"packet", AF_PACKET, SOCK_RAW},
                {"netlink", AF_NETLINK, SOCK_RAW},
                {"vsock", AF_VSOCK, SOCK_STREAM},
                {"crypto", AF_ALG, SOCK_SEQPACKET},
                {"bluetooth", AF_BLUETOOTH, SOCK_RAW},
                {"high bits", 1 << 16 | AF_INET, SOCK_STREAM}};
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        refused(list[i].name, socket(list[i].domain, list[i].type, 0));
    /* The kernel reads 32 bits of the domain. */
    refused("long domain", syscall(SYS_socket, 1ll << 32 | AF_INET, SOCK_STREAM, 0));
    return 0;
}
