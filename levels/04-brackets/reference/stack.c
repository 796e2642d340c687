#include <stdio.h>
#include <string.h>

static char line[20100];
static int stack[20100];

int main(void) {
    while (fgets(line, sizeof line, stdin)) {
        int depth = 0, bad = 0;
        for (int i = 0; line[i] && line[i] != '\n' && !bad; i++) {
            const char *open = strchr("([{", line[i]), *close = strchr(")]}", line[i]);
            if (open) stack[depth++] = i;
            if (!close) continue;
            const char wanted = line[i] == ')' ? '(' : line[i] == ']' ? '[' : '{';
            if (depth > 0 && line[stack[depth - 1]] == wanted)
                depth--;
            else
                bad = i + 1;
        }
        if (!bad && depth) bad = stack[depth - 1] + 1;
        if (bad)
            printf("%d\n", bad);
        else
            puts("ok");
    }
}
