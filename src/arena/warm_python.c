#include "arena/warm_python.h"

bv_status bv_warm_python_start(void) {
    return bv_fail(BV_CODE_USAGE, "no warm Python yet");
}

int bv_warm_python_run(char **argv) {
    (void)argv;
    return 127;
}
