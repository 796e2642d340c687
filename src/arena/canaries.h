/*
 * Canaries: a file, a process, a TCP port, an abstract socket and a mailbox (a socket of datagrams
 * with a name in a folder) of this machine that programs in boxes are told of, by CANARY_FILE,
 * CANARY_PID, CANARY_PORT, CANARY_ABSTRACT and CANARY_MAILBOX, and that none may reach or change.
 * One thread's.
 */
#ifndef BV_ARENA_CANARIES_H
#define BV_ARENA_CANARIES_H

#include "base/status.h"
#include <sys/types.h>

#define BV_CANARY_SECRET "SECRET-of-the-host-7c1f" /* in the file */
#define BV_CANARIES 5

typedef struct bv_canaries {
    char folder[64], file[96];
    int port_socket, abstract_socket, mailbox;
    pid_t process;
    char words[BV_CANARIES][128]; /* "CANARY_FILE=...", for an environment */
} bv_canaries;

/* Anybody may read and write the file, and reach the sockets: only a box's walls keep them. Forks,
 * so before there are threads. */
bv_status bv_canaries_set(bv_canaries *canaries);
/* BV_CODE_FAULT says which one was touched. */
bv_status bv_canaries_check(const bv_canaries *canaries);
void bv_canaries_remove(bv_canaries *canaries); /* {0} is legal */

#endif
