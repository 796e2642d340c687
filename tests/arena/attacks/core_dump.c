// attack: dumps core
// verdict: failed
// fetch: core
#include "attack.h"
#include <sys/resource.h>

int main(void) {
    const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    refused("a core limit", setrlimit(RLIMIT_CORE, &all));
    abort();
}
