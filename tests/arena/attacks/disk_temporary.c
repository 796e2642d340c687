// attack: many files in /tmp that fill the disk
// verdict: disk
// limits: files=16M
#include "attack.h"
#include <fcntl.h>

int main(void) {
    static char block[1 << 20];
    char name[64];
    const char *folder = getenv("CANARY_NESTED") ? "." : "/tmp";
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "%s/f%d", folder, i);
        const int file = open(name, O_WRONLY | O_CREAT, 0600);
        if (file < 0 || write(file, block, sizeof block) < 0) break;
        close(file);
    }
    sleep(1);
    return 0;
}
