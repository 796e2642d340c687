// attack: includes the environment of the compiler
// compile: failed
#include "/proc/self/environ"
int main(void) {
    return 0;
}
