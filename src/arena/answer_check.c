#include "arena/answer_check.h"

#include "base/order.h"
#include "base/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const bv_answer_check_names[BV_CHECK_COUNT] = {"exact", "lines", "tokens", "numbers"};

typedef struct span {
    const char *at; /* NULL: there is nothing, not even an empty line */
    size_t size;
} span;

typedef struct reader {
    const char *at, *end;
    size_t number; /* of spans so far */
} reader;

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

/* The next line without its end and the blanks before it; false after the last one. */
static bool next_line(reader *r, span *out) {
    if (r->at == r->end) return false;
    const char *newline = memchr(r->at, '\n', (size_t)(r->end - r->at));
    const char *stop = newline ? newline : r->end;
    out->at = r->at;
    r->at = newline ? newline + 1 : r->end;
    r->number++;
    while (stop > out->at && is_blank(stop[-1])) stop--;
    out->size = (size_t)(stop - out->at);
    return true;
}

static bool next_token(reader *r, span *out) {
    while (r->at < r->end && (is_blank(*r->at) || *r->at == '\n')) r->at++;
    if (r->at == r->end) return false;
    out->at = r->at;
    while (r->at < r->end && !is_blank(*r->at) && *r->at != '\n') r->at++;
    out->size = (size_t)(r->at - out->at);
    r->number++;
    return true;
}

/* A number in decimal; no NaN, no infinity, no hexadecimal. */
static bool to_number(span s, double *out) {
    char text[64];
    if (s.size == 0 || s.size >= sizeof text) return false;
    memcpy(text, s.at, s.size);
    text[s.size] = 0;
    if (strspn(text, "0123456789+-.eE") != s.size) return false;
    char *end;
    *out = strtod(text, &end);
    return *end == 0 && isfinite(*out);
}

static bool equal(span a, span b) {
    return a.size == b.size && memcmp(a.at, b.at, a.size) == 0;
}

static bool near(const bv_answer_check *check, span output, span answer) {
    double x, y;
    if (equal(output, answer)) return true;
    if (!to_number(output, &x) || !to_number(answer, &y)) return false;
    const double distance = fabs(x - y);
    return distance <= check->tolerance || distance <= check->tolerance * fabs(y);
}

/* The first character, ends of lines and tabs as C writes them. Its size. */
static size_t show_character(span s, char out[5]) {
    static const char controls[] = "\n\r\t", names[] = "nrt";
    const char *named = *s.at ? strchr(controls, *s.at) : NULL;
    if (!named) return bv_text_visible_character(s.at, s.size, out);
    snprintf(out, 5, "\\%c", names[named - controls]);
    return 1;
}

/* About 60 bytes of it. */
static void show(span s, char out[72]) {
    size_t n = 1;
    if (!s.at) {
        snprintf(out, 72, "nothing");
        return;
    }
    out[0] = '"';
    while (s.size && n < 60) {
        const size_t taken = show_character(s, out + n);
        n += strlen(out + n);
        s = (span){s.at + taken, s.size - taken};
    }
    snprintf(out + n, 8, "%s", s.size ? "\"..." : "\"");
}

static void tell(bv_answer_difference *difference, const char *what, size_t number, span output,
                 span answer) {
    if (!difference) return;
    char got[72], wanted[72];
    show(output, got);
    show(answer, wanted);
    snprintf(difference->text, sizeof difference->text, "%s %zu: got %s, expected %s", what, number,
             got, wanted);
}

static bool all_empty(reader r, span first) {
    for (bool more = true; more; more = next_line(&r, &first))
        if (first.size) return false;
    return true;
}

static bool lines_match(reader output, reader answer, bv_answer_difference *difference) {
    for (;;) {
        span got = {0}, wanted = {0};
        const bool has_got = next_line(&output, &got), has_wanted = next_line(&answer, &wanted);
        if (!has_got && !has_wanted) return true;
        if (!has_wanted && all_empty(output, got)) return true;
        if (!has_got && all_empty(answer, wanted)) return true;
        if (has_got && has_wanted && equal(got, wanted)) continue;
        tell(difference, "line", bv_larger(answer.number, output.number), got, wanted);
        return false;
    }
}

static bool tokens_match(const bv_answer_check *check, reader output, reader answer,
                         bv_answer_difference *difference) {
    for (;;) {
        span got = {0}, wanted = {0};
        const bool has_got = next_token(&output, &got), has_wanted = next_token(&answer, &wanted);
        if (!has_got && !has_wanted) return true;
        const bool numbers = check->kind == BV_CHECK_NUMBERS;
        if (has_got && has_wanted && (numbers ? near(check, got, wanted) : equal(got, wanted)))
            continue;
        tell(difference, "word", bv_larger(answer.number, output.number), got, wanted);
        return false;
    }
}

/* At most 20 bytes from there on. */
static span part(reader r, size_t at) {
    const size_t left = (size_t)(r.end - r.at) - at;
    return left ? (span){r.at + at, left < 20 ? left : 20} : (span){0};
}

static bool bytes_match(reader output, reader answer, bv_answer_difference *difference) {
    const size_t got = (size_t)(output.end - output.at), wanted = (size_t)(answer.end - answer.at);
    const size_t both = got < wanted ? got : wanted;
    size_t at = 0;
    while (at < both && output.at[at] == answer.at[at]) at++;
    if (at == both && got == wanted) return true;
    tell(difference, "byte", at + 1, part(output, at), part(answer, at));
    return false;
}

bool bv_answer_matches(const bv_answer_check *check, const void *output, size_t output_size,
                       const void *answer, size_t answer_size, bv_answer_difference *difference) {
    const char *o = output_size ? output : "", *a = answer_size ? answer : "";
    const reader got = {o, o + output_size, 0}, wanted = {a, a + answer_size, 0};
    if (difference) difference->text[0] = 0;
    if (check->kind == BV_CHECK_EXACT) return bytes_match(got, wanted, difference);
    if (check->kind == BV_CHECK_LINES) return lines_match(got, wanted, difference);
    return tokens_match(check, got, wanted, difference);
}
