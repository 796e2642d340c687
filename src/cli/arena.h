/* The subcommands of `beaver arena`. */
#ifndef BV_CLI_ARENA_H
#define BV_CLI_ARENA_H

#include "cli/flags.h"

extern const bv_command bv_arena_new, bv_arena_check, bv_arena_list; /* arena_levels.c */
extern const bv_command bv_arena_serve, bv_arena_judge;              /* arena_serve.c  */
extern const bv_command bv_arena_load;                               /* arena_load.c   */
extern const bv_command bv_arena_eval;                               /* arena_eval.c   */

#endif
