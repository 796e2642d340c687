// attack: renames the machine
// verdict: forbidden-call
#include "attack.h"

int main(void) {
    refused("hostname", sethostname("", 65));
    breach("the call came back");
    return 0;
}
