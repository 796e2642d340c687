#include "arena/account_name.h"

#include "base/text.h"
#include <locale.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <wctype.h>

/* ---- characters ---- */

/* The character at *p of valid UTF-8, and p behind it; 0 at the end. */
static uint32_t next(const char **p) {
    const unsigned char *at = (const unsigned char *)*p;
    const int more = *at < 0xc0 ? 0 : *at < 0xe0 ? 1 : *at < 0xf0 ? 2 : 3;
    uint32_t code = more ? *at & (0x3fu >> more) : *at;
    for (int i = 1; i <= more; i++) code = code << 6 | (at[i] & 0x3f);
    *p += code ? more + 1 : 0;
    return code;
}

static void put(bv_buffer *out, uint32_t code) {
    const int more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const unsigned char heads[] = {0, 0xc0, 0xe0, 0xf0};
    char bytes[4] = {(char)(heads[more] | code >> 6 * more)};
    for (int i = 1; i <= more; i++) bytes[i] = (char)(0x80 | (code >> 6 * (more - i) & 0x3f));
    bv_buffer_append(out, bytes, (size_t)more + 1);
}

/* ---- what is no part of a name ---- */

typedef struct range {
    uint32_t first, last;
    const char *why;
} range;

#define UNSEEN "has a character that cannot be seen"
#define MARK "has a mark apart from its letter: write both as one character"
#define FORM "has a second form of a letter or digit: write the plain one"

static const range refused[] = {
    {0x00, 0x1f, "has a control character"},
    {0x7f, 0xa0, "has a control character"}, /* and the blank that does not break */
    {0xaa, 0xaa, FORM},
    {0xad, 0xad, UNSEEN},
    {0xb2, 0xb3, FORM},
    {0xb9, 0xba, FORM},
    {0x2b0, 0x2b8, FORM},
    {0x300, 0x36f, MARK},
    {0x61c, 0x61c, UNSEEN},
    {0x115f, 0x1160, UNSEEN},
    {0x1680, 0x1680, UNSEEN},
    {0x17b4, 0x17b5, UNSEEN},
    {0x180b, 0x180f, UNSEEN},
    {0x1ab0, 0x1aff, MARK},
    {0x1d2c, 0x1d6a, FORM},
    {0x1dc0, 0x1dff, MARK},
    {0x2000, 0x206f, "has a blank, dash or sign of direction that is not on every keyboard"},
    {0x2070, 0x209f, FORM},
    {0x20d0, 0x20ff, MARK},
    {0x2100, 0x218f, FORM},
    {0x2460, 0x24ff, FORM},
    {0x2800, 0x2800, UNSEEN},
    {0x3000, 0x3000, UNSEEN},
    {0x3164, 0x3164, UNSEEN},
    {0xe000, 0xf8ff, "has a character of private use"},
    {0xfb00, 0xfb06, FORM},
    {0xfe00, 0xfe0f, UNSEEN},
    {0xfe20, 0xfe2f, MARK},
    {0xfeff, 0xfeff, UNSEEN},
    {0xff00, 0xffef, FORM},
    {0xfff0, 0xffff, UNSEEN},
    {0x1d400, 0x1d7ff, FORM},
    {0x1f100, 0x1f1ad, FORM},
    {0xe0000, 0x10ffff, UNSEEN},
};

static bv_error *refuse(const char *why) {
    return bv_fail(BV_CODE_USAGE, "the name %s", why);
}

bv_status bv_account_name_check(const char *name) {
    const size_t size = strlen(name);
    if (bv_utf8_valid_prefix(name, size) != size) return refuse("is not UTF-8");
    if (size == 0 || bv_utf8_characters(name, size) > BV_ACCOUNT_NAME_MAX)
        return bv_fail(BV_CODE_USAGE, "the name must have 1 to %d characters", BV_ACCOUNT_NAME_MAX);
    if (name[0] == ' ' || name[size - 1] == ' ' || strstr(name, "  "))
        return refuse("has blanks at an end, or two in a row");
    for (uint32_t code; (code = next(&name));)
        for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
            if (code >= refused[i].first && code <= refused[i].last) return refuse(refused[i].why);
    return BV_OK;
}

/* ---- keys ---- */

/* Small letters: of a pair of which one looks like a Latin letter, the small one. */
static const char looks[][2][5] = {
    {"а", "a"}, {"в", "b"}, {"е", "e"}, {"ё", "ë"}, {"к", "k"}, {"м", "m"}, {"н", "h"},
    {"о", "o"}, {"р", "p"}, {"с", "c"}, {"т", "t"}, {"у", "y"}, {"х", "x"}, {"ѕ", "s"},
    {"і", "i"}, {"ї", "ï"}, {"ј", "j"}, {"ԁ", "d"}, {"һ", "h"}, {"ԛ", "q"}, {"ԝ", "w"},
    {"ү", "y"}, {"ӏ", "l"}, {"α", "a"}, {"β", "b"}, {"ε", "e"}, {"ζ", "z"}, {"η", "h"},
    {"ι", "i"}, {"κ", "k"}, {"μ", "m"}, {"µ", "m"}, {"ν", "n"}, {"ο", "o"}, {"ρ", "p"},
    {"τ", "t"}, {"υ", "y"}, {"χ", "x"}, {"ς", "σ"}, {"ı", "i"}, {"ɡ", "g"}, {"ɑ", "a"},
};

static uint32_t plain(uint32_t code) {
    for (size_t i = 0; code >= 0x80 && i < sizeof looks / sizeof *looks; i++) {
        const char *from = looks[i][0], *to = looks[i][1];
        if (next(&from) == code) return next(&to);
    }
    return code;
}

static locale_t unicode;

static void make_locale(void) {
    unicode = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
}

bv_status bv_account_name_key(const char *name, bv_buffer *key) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_locale);
    if (!unicode)
        return bv_try(bv_fail(BV_CODE_INPUT, "the locale C.UTF-8 is not there, which knows upper "
                                             "and lower case"),
                      "apt install libc-bin");
    for (uint32_t code; (code = next(&name));) put(key, plain(towlower_l(code, unicode)));
    return bv_buffer_error(key);
}
