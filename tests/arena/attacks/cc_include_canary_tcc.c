// attack: includes a file of the host, with tcc
// compile: failed
// language: c-tcc
#include "/etc/shadow"
int main(void) {
    return 0;
}
