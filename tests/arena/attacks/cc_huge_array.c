// attack: an initialized array of four gigabytes
// compile: failed time wall memory disk output
char a[4ull << 30] = {1};
int main(void) {
    return a[0] - 1;
}
