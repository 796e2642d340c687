/* The files of web/arena/, embedded by cmake/embed.cmake. */
#ifndef BV_ARENA_WEB_FILES_H
#define BV_ARENA_WEB_FILES_H

#include <stddef.h>

extern const char bv_web_arena_html[];
extern const size_t bv_web_arena_html_size;
extern const char bv_web_arena_js[];
extern const size_t bv_web_arena_js_size;
extern const char bv_web_arena_css[];
extern const size_t bv_web_arena_css_size;

#endif
