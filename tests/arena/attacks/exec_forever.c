// attack: executes itself again and again
// verdict: time wall
// limits: cpu=300ms wall=3s
#include "attack.h"

int main(void) {
    char *argv[] = {"./main", NULL}, *env[] = {NULL};
    execve("./main", argv, env);
    return 1;
}
