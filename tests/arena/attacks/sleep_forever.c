// attack: sleeps
// verdict: wall
// limits: wall=400ms
#include "attack.h"

int main(void) {
    for (int i = 0; i < 60; i++) sleep(1);
    return 0;
}
