// attack: turns off what makes attacks hard
// verdict: ok
#include "attack.h"
#include <sys/personality.h>

int main(void) {
    refused("personality", personality(ADDR_NO_RANDOMIZE));
    return 0;
}
