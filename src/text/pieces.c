#include "text/pieces.h"

#include "base/memory.h"
#include "text/unicode_class.h"
#include "text/word.h"
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

struct bv_splitter {
    size_t (*ends)(bv_splitter *splitter, size_t *ends, size_t most);
    const unsigned char *text;
    size_t size, at;
};

/* ---- runs of a class ---- */

#define EACH_BYTE 0x0101010101010101u

/* The high bit of each byte that is no ASCII letter. */
static inline uint64_t no_letters(uint64_t x) {
    const uint64_t high = 0x80 * EACH_BYTE, folded = (x & ~high) | 0x20 * EACH_BYTE;
    const uint64_t from_a = folded + (0x80 - 'a') * EACH_BYTE;
    const uint64_t beyond_z = folded + (0x80 - 'z' - 1) * EACH_BYTE;
    return ~(from_a & ~beyond_z & ~x) & high;
}

static inline bv_char_class class_of(const unsigned char *t, size_t at, size_t size,
                                     size_t *length) {
    static const unsigned char ascii[128] = {
        ['\t'] = BV_CHAR_SPACE,         ['\n'] = BV_CHAR_SPACE,
        ['\v'] = BV_CHAR_SPACE,         ['\f'] = BV_CHAR_SPACE,
        ['\r'] = BV_CHAR_SPACE,         [' '] = BV_CHAR_SPACE,
        ['0' ... '9'] = BV_CHAR_NUMBER, ['A' ... 'Z'] = BV_CHAR_LETTER,
        ['a' ... 'z'] = BV_CHAR_LETTER,
    };
    if (at < size && t[at] < 0x80) {
        *length = 1;
        return (bv_char_class)ascii[t[at]];
    }
    return bv_class_at(t + at, size - at, length);
}

/* Where the letters end that follow. */
static inline size_t letters(const unsigned char *t, size_t at, size_t size) {
    for (;;) {
        uint64_t others = 0;
        while (size - at >= 8 && !(others = no_letters(bv_load_word(t + at)))) at += 8;
        if (others) {
            at += (size_t)__builtin_ctzll(others) / 8;
            if (t[at] < 0x80) return at;
        }
        size_t length;
        if (class_of(t, at, size, &length) != BV_CHAR_LETTER) return at;
        at += length;
    }
}

static inline size_t run(const unsigned char *t, size_t at, size_t size, bv_char_class class) {
    size_t length;
    while (class_of(t, at, size, &length) == class) at += length;
    return at;
}

/* 's, 't, 'll and so on: their length, 0 if there is none. */
static size_t contraction(const unsigned char *t, size_t left, bool any_case) {
    const unsigned char fold = any_case ? 0x20 : 0;
    if (left < 2) return 0;
    const unsigned char a = t[1] | fold;
    if (a == 's' || a == 'd' || a == 'm' || a == 't') return 2;
    if (left < 3) return 0;
    const unsigned char b = t[2] | fold;
    if ((a == 'l' && b == 'l') || (a == 'v' && b == 'e') || (a == 'r' && b == 'e')) return 3;
    return any_case && t[1] == 0xc5 && t[2] == 0xbf ? 3 : 0; /* the long s folds to s */
}

/* ---- white space ---- */

typedef struct blanks {
    size_t end, last; /* of the run, and where its last character begins */
    size_t line;      /* behind its last CR or LF, 0 without one */
    bool final;       /* nothing follows */
} blanks;

static blanks scan_blanks(const unsigned char *t, size_t at, size_t size) {
    blanks b = {at, at, 0, false};
    size_t length;
    bv_char_class c;
    while ((c = class_of(t, b.end, size, &length)) == BV_CHAR_SPACE) {
        b.last = b.end;
        b.end += length;
        if (t[b.last] == '\n' || t[b.last] == '\r') b.line = b.end;
    }
    b.final = c == BV_CHAR_NONE;
    return b;
}

/* White space leaves its last character to the word that follows. */
static size_t end_of_blanks(const blanks *b, size_t at) {
    return b->final || b->last == at ? b->end : b->last;
}

/* ---- the patterns ---- */

static inline size_t end_gpt2(const unsigned char *t, size_t at, size_t size) {
    size_t length, behind;
    const bv_char_class first = class_of(t, at, size, &length);
    bv_char_class c = first;
    behind = at + length;
    if (t[at] == ' ') { /* may stand before a run */
        c = class_of(t, at + 1, size, &length);
        if (c != BV_CHAR_SPACE && c != BV_CHAR_NONE) behind += length;
    }
    if (c == BV_CHAR_LETTER) return letters(t, behind, size);
    if (first == BV_CHAR_NONE) return at + 1;
    if (c == BV_CHAR_SPACE || c == BV_CHAR_NONE) {
        const blanks b = scan_blanks(t, at, size);
        return end_of_blanks(&b, at);
    }
    if (t[at] == '\'') {
        const size_t n = contraction(t + at, size - at, false);
        if (n) return at + n;
    }
    return run(t, behind, size, c);
}

/* final_line: white space that ends the text is cut behind its last line end, as elsewhere. */
static inline size_t end_lines(const unsigned char *t, size_t at, size_t size, bool final_line) {
    size_t length, next_length;
    const bv_char_class c = class_of(t, at, size, &length);
    if (c == BV_CHAR_LETTER) return letters(t, at + length, size);
    if (c == BV_CHAR_NONE) return at + 1;
    if (c == BV_CHAR_NUMBER) {
        size_t end = at + length;
        for (int i = 1; i < 3 && class_of(t, end, size, &length) == BV_CHAR_NUMBER; i++)
            end += length;
        return end;
    }
    if (t[at] == '\'') {
        const size_t n = contraction(t + at, size - at, true);
        if (n) return at + n;
    }
    size_t behind = at + length;
    const bv_char_class next = class_of(t, behind, size, &next_length);
    if (next == BV_CHAR_LETTER && t[at] != '\r' && t[at] != '\n')
        return letters(t, behind + next_length, size);
    if (c == BV_CHAR_OTHER || (t[at] == ' ' && next == BV_CHAR_OTHER)) {
        behind = run(t, behind, size, BV_CHAR_OTHER);
        while (behind < size && (t[behind] == '\r' || t[behind] == '\n')) behind++;
        return behind;
    }
    const blanks b = scan_blanks(t, at, size);
    return b.line && (final_line || !b.final) ? b.line : end_of_blanks(&b, at);
}

static inline size_t end_cl100k(const unsigned char *t, size_t at, size_t size) {
    return end_lines(t, at, size, false);
}

static inline size_t end_llama3(const unsigned char *t, size_t at, size_t size) {
    return end_lines(t, at, size, true);
}

/* ---- blocks of ASCII: all pieces of 64 bytes at once ---- */

#define BLOCK 64
#define HIGH (0x80 * EACH_BYTE)
#define WORTH_A_BLOCK 16 /* pieces that are wanted */

typedef unsigned char bytes16 __attribute__((vector_size(16)));

/* One bit a byte of a block, the first byte lowest. */
typedef struct marks {
    uint64_t letters, numbers, blanks, spaces, line_ends, apostrophes;
    uint64_t unknown; /* the first byte that is no ASCII, or the last one, whose next is not seen */
} marks;

static inline uint64_t high_bits(bytes16 x) {
#ifdef __SSE2__
    return (unsigned)_mm_movemask_epi8((__m128i)x);
#else
    uint64_t bits = 0;
    for (int i = 0; i < 16; i += 8) {
        const uint64_t ones = (bv_load_word((unsigned char *)&x + i) & HIGH) >> 7;
        bits |= (ones * 0x0102040810204080u >> 56) << i;
    }
    return bits;
#endif
}

static inline bytes16 between(bytes16 x, unsigned char first, unsigned char last) {
    return (bytes16)((x >= first) & (x <= last));
}

static inline uint64_t lowest(uint64_t bits) {
    return bits & -bits;
}

static inline marks mark(const unsigned char *t) {
    marks m = {.unknown = (uint64_t)1 << (BLOCK - 1)};
    for (int i = 0; i < BLOCK; i += 16) {
        bytes16 x;
        memcpy(&x, t + i, sizeof x);
        const bytes16 space = between(x, ' ', ' ');
        m.letters |= high_bits(between(x | 0x20, 'a', 'z')) << i;
        m.numbers |= high_bits(between(x, '0', '9')) << i;
        m.blanks |= high_bits(between(x, '\t', '\r') | space) << i;
        m.spaces |= high_bits(space) << i;
        m.line_ends |= high_bits(between(x, '\n', '\n') | between(x, '\r', '\r')) << i;
        m.apostrophes |= high_bits(between(x, '\'', '\'')) << i;
        m.unknown |= high_bits(x) << i;
    }
    m.unknown = lowest(m.unknown);
    return m;
}

/* Of what begins before the first byte that is not known; not just before, where that decides. */
static inline uint64_t certain(const marks *m, uint64_t begins) {
    return begins & (m->unknown - 1) & ~(m->unknown >> 1) & ~(uint64_t)1;
}

/* Puts in where pieces begin that follow 's and so on, of apostrophes that begin a piece. */
static inline uint64_t add_contractions(uint64_t begins, const unsigned char *t, bool any_case,
                                        uint64_t apostrophes) {
    for (; apostrophes; apostrophes &= apostrophes - 1) {
        const size_t at = (size_t)__builtin_ctzll(apostrophes);
        const size_t n = contraction(t + at, BLOCK - 1 - at, any_case);
        if (n) begins = (begins & ~((uint64_t)2 << at)) | (uint64_t)1 << (at + n);
    }
    return begins;
}

/* Where pieces begin by the pattern of GPT-2 behind byte 0 of a block, where one does: as far as
 * the block tells. A byte's class, and those of its neighbours, decide. */
static inline uint64_t begins_gpt2(const unsigned char *t) {
    const marks m = mark(t);
    const uint64_t changes =
        (m.letters ^ m.letters << 1) | (m.numbers ^ m.numbers << 1) | (m.blanks ^ m.blanks << 1);
    /* Of blanks the first, and the last, which is the next word's if it is a space. */
    const uint64_t blanks = m.blanks & (~(m.blanks << 1) | ~(m.blanks >> 1));
    const uint64_t begins = blanks | (changes & ~m.blanks & ~(m.spaces << 1));
    const uint64_t apostrophes = (begins | 1) & m.apostrophes & (m.unknown - 1);
    return certain(&m, add_contractions(begins, t, false, apostrophes));
}

/* Each has three digits at most. */
static inline uint64_t begins_of_numbers(uint64_t numbers) {
    const uint64_t fourth = numbers & numbers << 1 & numbers << 2 & numbers << 3;
    uint64_t begins = numbers & ~(numbers << 1);
    for (uint64_t next = begins; (next = next << 3 & fourth);) begins |= next;
    return begins;
}

/* The same by the patterns of cl100k and Llama 3. A sum carries a bit behind the end of a run. */
static inline uint64_t begins_cl100k(const unsigned char *t) {
    const marks m = mark(t);
    const uint64_t others = ~(m.letters | m.numbers | m.blanks);
    const uint64_t first_others = others & ~(others << 1) & ~(m.spaces << 1);
    /* Line ends behind something else are of its piece. */
    const uint64_t line_ends = m.line_ends & (m.line_ends + (m.line_ends & others << 1));
    const uint64_t blanks = m.blanks & ~(m.line_ends & ~line_ends);
    const uint64_t inner = m.blanks & ~m.line_ends & (m.unknown - 1); /* of lines */
    const uint64_t indents = inner & line_ends << 1;
    uint64_t begins = first_others | begins_of_numbers(m.numbers);
    /* Of blanks the first, those behind the last line end, the last if it is no line end. */
    begins |= (blanks & ~(blanks << 1)) | indents | (inner & ~(m.blanks >> 1));
    /* Before letters stands one blank or one of something else, unless that is another's. */
    begins |= m.letters & ~((m.letters | inner | first_others) << 1);
    const uint64_t apostrophes = first_others & m.apostrophes & (m.unknown - 1);
    begins = certain(&m, add_contractions(begins, t, true, apostrophes));
    /* Where another line end follows, or may follow, an indent is none. */
    const uint64_t none = (inner + indents) & ~inner & (m.line_ends | m.unknown);
    const uint64_t before = indents & (lowest(none) - 1);
    return none ? begins & (((uint64_t)1 << (63 - __builtin_clzll(before))) - 1) : begins;
}

typedef size_t end_of_piece(const unsigned char *t, size_t at, size_t size);
typedef uint64_t begins_of_block(const unsigned char *t);

static inline size_t ends_of(bv_splitter *s, size_t *ends, size_t most, end_of_piece *end,
                             begins_of_block *begins_of) {
    size_t count = 0, at = s->at;
    while (count < most && at < s->size) {
        uint64_t begins = 0;
        if (most - count >= WORTH_A_BLOCK && s->size - at >= BLOCK &&
            !(bv_load_word(s->text + at) & HIGH))
            begins = begins_of(s->text + at);
        const size_t block = at;
        if (!begins) ends[count++] = at = end(s->text, at, s->size);
        for (; begins && count < most; begins &= begins - 1)
            ends[count++] = at = block + (size_t)__builtin_ctzll(begins);
    }
    s->at = at;
    return count;
}

static size_t ends_gpt2(bv_splitter *s, size_t *ends, size_t most) {
    return ends_of(s, ends, most, end_gpt2, begins_gpt2);
}

static size_t ends_cl100k(bv_splitter *s, size_t *ends, size_t most) {
    return ends_of(s, ends, most, end_cl100k, begins_cl100k);
}

static size_t ends_llama3(bv_splitter *s, size_t *ends, size_t most) {
    return ends_of(s, ends, most, end_llama3, begins_cl100k);
}

bv_status bv_splitter_create(const char *pattern, bv_splitter **out) {
    static const struct {
        const char *name;
        size_t (*ends)(bv_splitter *splitter, size_t *ends, size_t most);
    } all[] = {{"gpt2", ends_gpt2}, {"cl100k", ends_cl100k}, {"llama3", ends_llama3}};
    *out = NULL;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (strcmp(pattern, all[i].name) != 0) continue;
        bv_splitter *s = *out = bv_calloc(1, sizeof *s);
        if (!s) return bv_fail_memory("a tokenizer");
        s->ends = all[i].ends;
        return BV_OK;
    }
    return bv_try(bv_fail(BV_CODE_USAGE, "no pattern is named \"%s\"", pattern),
                  "gpt2, cl100k or llama3");
}

void bv_splitter_destroy(bv_splitter **splitter) {
    bv_free(*splitter);
    *splitter = NULL;
}

void bv_splitter_text(bv_splitter *s, const void *text, size_t size) {
    s->text = text;
    s->size = size;
    s->at = 0;
}

size_t bv_splitter_ends(bv_splitter *s, size_t *ends, size_t most) {
    return s->ends(s, ends, most);
}

bool bv_splitter_next(bv_splitter *s, const unsigned char **piece, size_t *size) {
    const size_t begin = s->at;
    size_t end;
    if (s->ends(s, &end, 1) == 0) return false;
    *piece = s->text + begin;
    *size = end - begin;
    return true;
}

/* Does a piece end between two characters, whatever is around them? `first` is the second's first
 * byte. Line ends may belong to what is before them (cl100k), and white space to what is behind. */
static bool parted(bv_char_class before, bv_char_class here, unsigned char first) {
    if (before == BV_CHAR_LETTER || before == BV_CHAR_NUMBER) return here != before;
    return before == BV_CHAR_OTHER && here == BV_CHAR_SPACE && first != '\n' && first != '\r';
}

size_t bv_pieces_cut(const void *text, size_t size, size_t wanted) {
    const unsigned char *t = text;
    bv_char_class before = BV_CHAR_NONE;
    size_t at = wanted, length;
    while (at < size && (t[at] & 0xc0) == 0x80) at++;
    for (; at < size; at += length ? length : 1) {
        const bv_char_class here = class_of(t, at, size, &length);
        if (parted(before, here, t[at])) return at;
        before = here;
    }
    return size;
}
