// attack: more files than anybody needs
// verdict: disk
#include "attack.h"
#include <fcntl.h>

int main(void) {
    char name[64];
    for (int i = 0; i < 10000; i++) {
        snprintf(name, sizeof name, "f%d", i);
        const int file = open(name, O_WRONLY | O_CREAT, 0600);
        if (file < 0) break;
        close(file);
    }
    sleep(1);
    return 0;
}
