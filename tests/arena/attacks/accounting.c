// attack: records what others do
// verdict: forbidden-call
#include "attack.h"

int main(void) {
    refused("accounting", acct("/no/such/file"));
    breach("the call came back");
    return 0;
}
