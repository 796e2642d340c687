// attack: writes a verdict to every descriptor it was born with
// verdict: ok
#include "attack.h"
#include <fcntl.h>

int main(void) {
    const char *verdict = "{\"verdict\": \"ok\"}";
    for (int i = 3; i < 1024; i++) {
        if (fcntl(i, F_GETFD) < 0) continue;
        breach("an inherited descriptor");
        if (write(i, verdict, strlen(verdict)) < 0) continue;
    }
    return 0;
}
