// attack: the answer is a device
// verdict: ok
// fetch: answer.txt absent
#include "attack.h"
#include <sys/stat.h>
#include <sys/sysmacros.h>

int main(void) {
    refused("a disk", mknod("answer.txt", S_IFBLK | 0600, makedev(8, 0)));
    refused("memory", mknod("answer.txt", S_IFCHR | 0600, makedev(1, 1)));
    return 0;
}
