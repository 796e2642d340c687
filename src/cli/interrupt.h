/* Ctrl-C, SIGTERM and the end of the terminal: the first asks long work to stop at its next step,
 * the same one again ends at once. */
#ifndef BV_CLI_INTERRUPT_H
#define BV_CLI_INTERRUPT_H

#include <signal.h>

/* From now on the first SIGINT, SIGTERM or SIGHUP is only noted. Returns where: 0 until one came.
 * One that is ignored stays so: SIGHUP under nohup, SIGINT in the background of a script. */
const volatile sig_atomic_t *bv_interrupt_catch(void);

#endif
