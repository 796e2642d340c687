// attack: includes a file of the host
// compile: failed
#include "/etc/passwd"
int main(void) {
    return 0;
}
