// attack: takes a file of the host into its program
// compile: failed
__asm__(".incbin \"/etc/shadow\"");
int main(void) {
    return 0;
}
