#include <stdio.h>

int main(void) {
    char line[80];
    if (fgets(line, sizeof line, stdin)) fputs(line, stdout);
}
