// attack: compiles a path of the compiler's box into itself
// compile: ok
// verdict: ok
#include <stdio.h>
int main(void) {
    FILE *file = fopen("/work/main.c", "r");
    if (file || fopen(__FILE__, "r")) puts("BREACH the sources");
    return 0;
}
