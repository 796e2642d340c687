#define BV_STATUS_SOURCE 1
#include "base/status.h"

#include "base/memory.h"
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 2048

struct bv_error {
    bv_code code;
    int signal; /* of BV_CODE_INTERRUPTED, else 0 */
    char text[TEXT_MAX];
};

/* Stands in when there is no memory for an error; never freed, never changed. */
#define LESS_MEMORY "close other programs, or a smaller model or batch"
static bv_error no_memory = {BV_CODE_MEMORY, 0, "out of memory\n  try: " LESS_MEMORY};

static bv_error *make(bv_code code) {
    bv_error *error = bv_malloc_for_error(sizeof *error);
    if (!error) return &no_memory;
    error->code = code;
    error->signal = 0;
    error->text[0] = 0;
    return error;
}

/* Names of files and bytes of a text may hold what a terminal obeys. Lines stay where the format
 * expects them: it sets them below its own, as what a compiler said, or is "%s", of an error that
 * another process handed on. */
static void defuse(char *text, const char *format) {
    const bool lines = strchr(format, '\n') || !strcmp(format, "%s");
    for (unsigned char *p = (unsigned char *)text; *p; p++) {
        const bool c1 = p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0;
        const bool kept = *p >= 0x20 || *p == '\t' || (*p == '\n' && lines);
        if (!kept || *p == 0x7f || c1) *p = '?';
        if (c1) *++p = '?';
    }
}

static void append(bv_error *error, const char *prefix, const char *format, va_list list) {
    if (error == &no_memory) return;
    size_t used = strlen(error->text);
    int n = snprintf(error->text + used, TEXT_MAX - used, "%s", prefix);
    if (n < 0 || (size_t)n >= TEXT_MAX - used) return;
    used += (size_t)n;
    vsnprintf(error->text + used, TEXT_MAX - used, format, list);
    defuse(error->text + used, format);
}

bv_error *bv_fail(bv_code code, const char *format, ...) {
    bv_error *error = make(code);
    va_list list;
    va_start(list, format);
    append(error, "", format, list);
    va_end(list);
    return error;
}

bv_error *bv_fail_errno(const char *format, ...) {
    const int number = errno;
    bv_error *error = make(number == ENOMEM ? BV_CODE_MEMORY : BV_CODE_IO);
    va_list list;
    va_start(list, format);
    append(error, "", format, list);
    va_end(list);
    if (error == &no_memory) return error;
    const size_t used = strlen(error->text);
    char reason[128];
    snprintf(error->text + used, TEXT_MAX - used, ": %s",
             strerror_r(number, reason, sizeof reason));
    if (number == ENOSPC || number == EDQUOT) return bv_try(error, "free space or another folder");
    if (number == ENOENT) return bv_try(error, "check the path");
    if (number == EFBIG) return bv_try(error, "a higher limit on file sizes (ulimit -f)");
    if (number == EACCES || number == EPERM || number == EROFS)
        return bv_try(error, "another folder, or its owner's account");
    return error;
}

bv_error *bv_fail_interrupted(int signal, const char *format, ...) {
    bv_error *error = make(BV_CODE_INTERRUPTED);
    va_list list;
    va_start(list, format);
    append(error, "", format, list);
    va_end(list);
    if (error != &no_memory) error->signal = signal;
    return error;
}

bv_error *bv_fail_memory(const char *what) {
    return bv_try(bv_fail(BV_CODE_MEMORY, "out of memory for %s", what), LESS_MEMORY);
}

bv_error *bv_while(bv_error *error, const char *format, ...) {
    if (!error) return NULL;
    va_list list;
    va_start(list, format);
    append(error, "\n  while ", format, list);
    va_end(list);
    return error;
}

bv_error *bv_try(bv_error *error, const char *format, ...) {
    if (!error) return NULL;
    va_list list;
    va_start(list, format);
    append(error, "\n  try: ", format, list);
    va_end(list);
    return error;
}

bv_error *bv_first_error(bv_error *first, bv_error *second) {
    if (!first) return second;
    bv_error_free(&second);
    return first;
}

bv_code bv_error_code(const bv_error *error) {
    return error ? error->code : BV_CODE_OK;
}

const char *bv_error_text(const bv_error *error) {
    return error ? error->text : "";
}

int bv_error_exit_code(const bv_error *error) {
    if (!error) return 0;
    if (error->code == BV_CODE_INTERRUPTED) return 128 + (error->signal ? error->signal : SIGINT);
    return error->code == BV_CODE_USAGE ? 2 : 1;
}

void bv_error_free(bv_error **error) {
    if (*error && *error != &no_memory) bv_free(*error);
    *error = NULL;
}

void bv_assert_failed(const char *expression, const char *file, int line) {
    fprintf(stderr, "%s:%d: our own mistake: %s does not hold\n", file, line, expression);
    abort();
}
