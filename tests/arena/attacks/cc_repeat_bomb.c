// attack: an assembler that repeats until its memory is full
// compile: memory time failed
__asm__(".rept 100000000\n.rept 1000\n.byte 1\n.endr\n.endr");
int main(void) {
    return 0;
}
