// attack: writes another process's memory
// verdict: forbidden-call
#include "attack.h"
#include <sys/uio.h>

int main(void) {
    refused("process_vm_writev", process_vm_writev(getppid(), NULL, 0, NULL, 0, 0));
    breach("the call came back");
    return 0;
}
