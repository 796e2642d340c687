// attack: never comes as far as main: its loader asks it which function to take
// compile: ok
// verdict: time
// limits: cpu=300ms
static int chosen(void);
static void *choose(void) {
    for (;;) {
    }
    return (void *)chosen;
}
int taken(void) __attribute__((ifunc("choose")));
static int chosen(void) {
    return 0;
}
int main(void) {
    return taken();
}
