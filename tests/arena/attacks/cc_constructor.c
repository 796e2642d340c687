// attack: runs before main
// compile: ok
// verdict: failed
#include <unistd.h>
static void __attribute__((constructor)) early(void) {
    _exit(5);
}
int main(void) {
    return 0;
}
