/* The subcommands of `beaver bench` that have a file of their own, bench_NAME.c. */
#ifndef BV_CLI_BENCH_H
#define BV_CLI_BENCH_H

#include "cli/flags.h"

extern const bv_command bv_bench_generate;  /* prompts, and tokens of one and of many sequences */
extern const bv_command bv_bench_tokenizer; /* encoding, decoding, learning                      */
extern const bv_command bv_bench_sandbox;   /* programs in boxes, and in other sandboxes         */

#endif
