// attack: takes an endless file into its program
// compile: failed time wall memory disk output
__asm__(".incbin \"/dev/zero\"");
int main(void) {
    return 0;
}
