// attack: files whose names are options of the compiler
// compile: ok
// verdict: ok
// file: -fplugin=evil.so
// file: @options
// file: specs
// file: cc1
int main(void) {
    return 0;
}
