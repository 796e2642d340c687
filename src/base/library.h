/* Functions of libraries that are loaded when they are wanted (dlopen). */
#ifndef BV_BASE_LIBRARY_H
#define BV_BASE_LIBRARY_H

#include <dlfcn.h>
#include <stdbool.h>
#include <string.h>

/* function: the pointer to fill in; NULL when the library has none of this name. */
static inline bool bv_library_find(void *library, const char *name, void *function) {
    void *const symbol = dlsym(library, name);
    memcpy(function, &symbol, sizeof symbol); /* ISO C knows no cast between the two */
    return symbol != NULL;
}

#endif
