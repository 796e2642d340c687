// attack: locks that inherit a priority, the most intricate ones of the kernel
// verdict: ok
#include "attack.h"
#include <linux/futex.h>
#include <pthread.h>

int main(void) {
    unsigned lock = 0;
    pthread_mutexattr_t kind;
    pthread_mutex_t mutex;
    refused("FUTEX_LOCK_PI", syscall(SYS_futex, &lock, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
    refused("FUTEX_LOCK_PI2", syscall(SYS_futex, &lock, 13 | 128, 0, NULL, NULL, 0));
    pthread_mutexattr_init(&kind);
    pthread_mutexattr_setprotocol(&kind, PTHREAD_PRIO_INHERIT);
    printf("pthread_mutex_init: %d\n", pthread_mutex_init(&mutex, &kind));
    return 0;
}
