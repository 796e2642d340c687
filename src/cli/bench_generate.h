/* `beaver bench generate`: reading a prompt, and writing tokens for one and for many sequences,
 * each beside this machine's limit. A subcommand of src/cli/cmd_bench.c. */
#ifndef BV_CLI_BENCH_GENERATE_H
#define BV_CLI_BENCH_GENERATE_H

#include "base/status.h"

bv_status bv_bench_generate(int argc, char **argv);

#endif
