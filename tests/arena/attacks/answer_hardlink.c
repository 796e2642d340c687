// attack: the answer is a hard link to a file of the host
// verdict: ok
// fetch: answer.txt absent
#include "attack.h"

int main(void) {
    const char *canary = getenv("CANARY_FILE");
    refused("a hard link", link(canary ? canary : "/etc/passwd", "answer.txt"));
    refused("a hard link", link("/usr/bin/env", "answer.txt"));
    return 0;
}
