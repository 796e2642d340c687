// attack: a thread bomb
// verdict: pids
#include "attack.h"
#include <pthread.h>

static void *idle(void *context) {
    sleep(3);
    return context;
}

int main(void) {
    for (int i = 0; i < 500; i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, idle, NULL);
    }
    sleep(2);
    return 0;
}
