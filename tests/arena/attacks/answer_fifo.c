// attack: the answer is a pipe that never ends
// verdict: ok
// fetch: answer.txt absent
// within: 3s
#include "attack.h"
#include <sys/stat.h>

int main(void) {
    return mkfifo("answer.txt", 0600) != 0;
}
