// attack: includes an endless random file, with tcc
// compile: failed time wall memory disk output
// language: c-tcc
#include "/dev/urandom"
int main(void) {
    return 0;
}
