// attack: writes outside of its folder
// verdict: ok
#include "attack.h"
#include <fcntl.h>

int main(void) {
    const char *const list[] = {"../x",      "../../x",    "/x",
                                "/usr/x",    "/usr/bin/x", "/etc/x",
                                "/dev/x",    "/work/../x", "../../../../../../../../tmp/../x",
                                "/var/tmp/x"};
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        const int file = open(list[i], O_WRONLY | O_CREAT | O_EXCL, 0600);
        /* Nested, the folder above is the box's too. */
        if (file >= 0 && i == 0 && getenv("CANARY_NESTED")) continue;
        refused(list[i], file);
    }
    const char *canary = getenv("CANARY_FILE");
    if (canary) refused("the canary", open(canary, O_WRONLY));
    if (canary) refused("the canary", open(canary, O_RDONLY));
    if (canary) refused("the canary's end", unlink(canary));
    return 0;
}
