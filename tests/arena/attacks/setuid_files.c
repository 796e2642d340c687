// attack: becomes another user
// verdict: ok
#include "attack.h"
#include <grp.h>
#include <sys/stat.h>
#include <sys/wait.h>

int main(void) {
    refused("setuid", setuid(0));
    refused("setgid", setgid(0));
    refused("setresuid", setresuid(0, 0, 0));
    refused("setgroups", setgroups(0, NULL));
    refused("chown", chown("main", 0, 0));
    const uid_t before = geteuid();
    /* A setuid file of its own gives nothing new. */
    if (chmod("main", 04700) == 0 && geteuid() != before) breach("another user");
    if (geteuid() == 0) breach("root");
    return 0;
}
