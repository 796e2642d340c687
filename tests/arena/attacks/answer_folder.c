// attack: the answer is a folder
// verdict: ok
// fetch: answer.txt absent
#include "attack.h"
#include <sys/stat.h>

int main(void) {
    return mkdir("answer.txt", 0700) != 0;
}
