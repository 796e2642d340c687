// attack: includes an endless file
// compile: failed time wall memory disk output
#include "/dev/zero"
int main(void) {
    return 0;
}
