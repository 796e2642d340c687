/*
 * Status: how every fallible call reports. NULL is success; anything else is an owned error whose
 * text is a chain from the cause outwards:
 *
 *     tensor "wte": expected [50257, 768], the file has [50257, 1024]
 *       while loading model.safetensors
 *       try: beaver train --preset gpt2-medium
 *
 * Control characters but tabs stand in it as "?", line ends too unless the format has one.
 *
 * The library never exits, aborts on input, or prints. Errors are values of one thread at a time.
 */
#ifndef BV_BASE_STATUS_H
#define BV_BASE_STATUS_H

typedef enum bv_code {
    BV_CODE_OK = 0,
    BV_CODE_USAGE,  /* the user's words are wrong: flags, config, a conflict (exit code 2)      */
    BV_CODE_INPUT,  /* the content of a file, prompt or request is wrong (exit code 1)          */
    BV_CODE_IO,     /* the operating system refused a read, write, rename ... (exit code 1)      */
    BV_CODE_MEMORY, /* out of memory (exit code 1)                                              */
    BV_CODE_FAULT,  /* computation went wrong: non-finite, hardware (exit code 1)               */
    BV_CODE_INTERRUPTED, /* a signal asked to stop: exit code 128 and its number */
} bv_code;

typedef struct bv_error bv_error;
typedef bv_error *bv_status;
#define BV_OK ((bv_error *)0)

/* A new error. Never returns NULL: without memory it returns a static "out of memory". */
bv_error *bv_fail(bv_code code, const char *format, ...)
    __attribute__((format(printf, 2, 3), returns_nonnull));
/* An I/O error with errno's text appended. */
bv_error *bv_fail_errno(const char *format, ...)
    __attribute__((format(printf, 1, 2), returns_nonnull));
bv_error *bv_fail_memory(const char *what) __attribute__((returns_nonnull));
/* Stopped by this signal: BV_CODE_INTERRUPTED with the exit code 128 + signal. */
bv_error *bv_fail_interrupted(int signal, const char *format, ...)
    __attribute__((format(printf, 2, 3), returns_nonnull));

/* Add an outer line "while ...", or a remedy line "try: ...", and return the same error.
 * NULL in, NULL out, so that a call can be wrapped in place. */
bv_error *bv_while(bv_error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));
bv_error *bv_try(bv_error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The first of two, or the second where there is no first (either may be NULL); frees the other. */
bv_error *bv_first_error(bv_error *first, bv_error *second);

bv_code bv_error_code(const bv_error *error);     /* BV_CODE_OK for NULL                    */
const char *bv_error_text(const bv_error *error); /* the whole chain, "" for NULL; borrowed */
int bv_error_exit_code(const bv_error *error);    /* 0, 1, 2, or 128 and a signal's number    */
void bv_error_free(bv_error **error);             /* frees and sets NULL; NULL is legal     */

#if defined(__clang_analyzer__) && !defined(BV_STATUS_SOURCE)
/* Clang's analyzer does not know returns_nonnull. */
static inline bv_error *bv_known_error(bv_error *error) {
    if (!error) __builtin_trap();
    return error;
}
#define bv_fail(...) bv_known_error(bv_fail(__VA_ARGS__))
#define bv_fail_errno(...) bv_known_error(bv_fail_errno(__VA_ARGS__))
#define bv_fail_memory(...) bv_known_error(bv_fail_memory(__VA_ARGS__))
#endif

/* Return early from a function that returns an error and owns nothing yet. */
#define BV_TRY(expression)                                                                         \
    do {                                                                                           \
        bv_error *try_error_ = (expression);                                                       \
        if (try_error_) return try_error_;                                                         \
    } while (0)

/* Assertion for our own mistakes; stays on in release builds. Not for inner loops, never for input.
 */
void bv_assert_failed(const char *expression, const char *file, int line)
    __attribute__((noreturn, cold));
#define BV_ASSERT(expression)                                                                      \
    ((expression) ? (void)0 : bv_assert_failed(#expression, __FILE__, __LINE__))

#endif
