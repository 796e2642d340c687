#include <stdio.h>

int main(void) {
    int sum = 0, x;
    while (scanf("%d", &x) == 1) sum = (int)((unsigned)sum + (unsigned)x);
    printf("%d\n", sum);
}
