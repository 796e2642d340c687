// attack: shared memory that outlives its maker
// verdict: ok
#include "attack.h"
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

int main(void) {
    refused("shmget", shmget(IPC_PRIVATE, 1 << 20, IPC_CREAT | 0600));
    refused("msgget", msgget(IPC_PRIVATE, IPC_CREAT | 0600));
    refused("semget", semget(IPC_PRIVATE, 1, IPC_CREAT | 0600));
    return 0;
}
