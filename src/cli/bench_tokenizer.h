/* `beaver bench tokenizer`: how fast texts become tokens and back, and byte pairs are learned. */
#ifndef BV_CLI_BENCH_TOKENIZER_H
#define BV_CLI_BENCH_TOKENIZER_H

#include "base/status.h"

bv_status bv_bench_tokenizer(int argc, char **argv);

#endif
