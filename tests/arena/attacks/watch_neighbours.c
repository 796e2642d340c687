// attack: watches which programs the machine and other boxes use, by marks on files that all share
// verdict: ok
#include "attack.h"
#include <fcntl.h>
#include <sys/inotify.h>

int main(void) {
    const int notes = inotify_init1(IN_NONBLOCK), folder = open("/usr/lib", O_RDONLY);
    refused("inotify", notes < 0 ? -1 : inotify_add_watch(notes, "/usr/lib", IN_OPEN | IN_ACCESS));
    refused("dnotify", fcntl(folder, F_NOTIFY, DN_ACCESS));
    return 0;
}
