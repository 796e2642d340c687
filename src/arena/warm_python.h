/*
 * A warm Python: a slot loads libpython and starts its interpreter once, before any guest; each box
 * is a fork of it that goes through all walls like any other and then runs `main.py` as python3
 * would, instead of executing python3. So a program pays for a fork, not for a start, and each
 * interpreter is used once. All boxes of a slot share its address layout and hash seed.
 *
 * libpython is loaded when the program runs (dlopen), so Beaver does not depend on it.
 */
#ifndef BV_ARENA_WARM_PYTHON_H
#define BV_ARENA_WARM_PYTHON_H

#include "base/status.h"

/* In a slot, once. BV_CODE_USAGE when this machine has no libpython3. */
bv_status bv_warm_python_start(void);
/* In the program's process, ahead of its job. Without an interpreter: nothing. */
void bv_warm_python_prepare(void);
/* As the program: the last word of argv is a file of the work folder, env its environment ("NAME=
 * VALUE"). The exit code. */
int bv_warm_python_run(char **argv, char **env);

#endif
