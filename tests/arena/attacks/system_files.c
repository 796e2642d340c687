// attack: changes the programs that others run
// verdict: ok
#include "attack.h"
#include <fcntl.h>
#include <sys/stat.h>

int main(void) {
    refused("open", open("/usr/bin/env", O_WRONLY));
    refused("chmod", chmod("/usr/bin/env", 0777));
    refused("rename", rename("/usr/bin/env", "/usr/bin/env2"));
    refused("truncate", truncate("/usr/bin/env", 100));
    return 0;
}
