// attack: gives its compiler an option, which waits for itself then: a judge would wait with it
// language: c-tcc
// compile: wall
// within: 8s
#pragma comment(option, "-c")
int main(void) {
    return 0;
}
