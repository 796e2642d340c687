// attack: connects to an abstract socket of the host
// verdict: ok
#include "attack.h"
#include <sys/socket.h>
#include <sys/un.h>

int main(void) {
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    const char *canary = getenv("CANARY_ABSTRACT");
    if (!canary) return 0;
    snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "%s", canary);
    const int s = socket(AF_UNIX, SOCK_STREAM, 0);
    if (s < 0) return 0;
    const socklen_t size = (socklen_t)(sizeof name.sun_family + 1 + strlen(canary));
    refused("connect", connect(s, (struct sockaddr *)&name, size));
    return 0;
}
