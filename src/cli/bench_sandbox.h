/* `beaver bench sandbox`: starting and ending a program in a box, by language, beside bubblewrap,
 * isolate and a bare fork and exec. A subcommand of src/cli/cmd_bench.c. */
#ifndef BV_CLI_BENCH_SANDBOX_H
#define BV_CLI_BENCH_SANDBOX_H

#include "base/status.h"

bv_status bv_bench_sandbox(int argc, char **argv);

#endif
