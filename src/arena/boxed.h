/* The Python programs of src/arena/boxed/, which run inside boxes: embedded by cmake/embed.cmake,
 * so that the program needs no files beside it. */
#ifndef BV_ARENA_BOXED_H
#define BV_ARENA_BOXED_H

#include <stddef.h>

extern const char bv_boxed_candidate_py[];
extern const size_t bv_boxed_candidate_py_size;
extern const char bv_boxed_checker_py[];
extern const size_t bv_boxed_checker_py_size;

#endif
