#include "store/libpq.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

bv_libpq bv_pq;
static bool loaded;

static bool find(void *library, const char *name, void *function) {
    void *const symbol = dlsym(library, name);
    memcpy(function, &symbol, sizeof symbol); /* ISO C knows no cast between the two */
    return symbol != NULL;
}

static void load(void) {
    void *library = dlopen("libpq.so.5", RTLD_NOW | RTLD_LOCAL);
    if (!library) return;
    bool all = true;
#define FIND(name) all = find(library, "PQ" #name, &bv_pq.name) && all;
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
