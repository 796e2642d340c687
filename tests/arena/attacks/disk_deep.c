// attack: folders nested deeper than paths can say
// verdict: ok
#include "attack.h"
#include <sys/stat.h>

int main(void) {
    for (int i = 0; i < 3000; i++)
        if (mkdir("d", 0700) || chdir("d")) return 1;
    return 0;
}
