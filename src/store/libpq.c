#include "store/libpq.h"

#include "base/library.h"
#include <pthread.h>

bv_libpq bv_pq;
static bool loaded;

static void load(void) {
    void *library = dlopen("libpq.so.5", RTLD_NOW | RTLD_LOCAL);
    if (!library) return;
    bool all = true;
#define FIND(name) all = bv_library_find(library, "PQ" #name, &bv_pq.name) && all;
    BV_LIBPQ(FIND)
#undef FIND
    loaded = all;
}

bv_status bv_libpq_load(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    if (!loaded)
        return bv_try(bv_fail(BV_CODE_INPUT, "libpq.so.5, PostgreSQL's library, cannot be loaded"),
                      "apt install libpq5");
    return BV_OK;
}
