// attack: a library that is a linker script for a file of the host
// compile: ok
// verdict: ok
// file: libm.a
// file: libc.so
// file: ld
int main(void) {
    return 0;
}
