// attack: a file of a terabyte of nothing as the answer
// verdict: failed
// fetch: answer.txt small
#include "attack.h"
#include <fcntl.h>

int main(void) {
    const int file = open("answer.txt", O_RDWR | O_CREAT, 0600);
    refused("a terabyte", ftruncate(file, 1ll << 40));
    return 0;
}
