// attack: the answer is a link to a file of the host
// verdict: ok
// fetch: answer.txt absent
#include "attack.h"

int main(void) {
    const char *canary = getenv("CANARY_FILE");
    if (symlink(canary ? canary : "/etc/passwd", "answer.txt")) return 1;
    return 0;
}
