#include "arena/sandbox_filter.h"

#include "base/memory.h"
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>

#define FOREIGN 0x40000000u /* x86-64: numbers of another architecture (x32) from here on */
#define SEARCH_MAX 1024     /* instructions */

typedef struct range {
    uint32_t from, answer;
} range;

#define EXITS_MAX 8 /* different answers */

typedef struct search {
    range ranges[BV_FILTER_NUMBERS + 2];
    size_t range_count;
    struct sock_filter code[SEARCH_MAX];
    int below[SEARCH_MAX], above[SEARCH_MAX]; /* where a comparison goes on: a place, or ~exit */
    size_t length;
    uint32_t exits[EXITS_MAX];
    int exit_count;
    bool too_long;
} search;

void bv_filter_begin(bv_filter_answers *answers, uint32_t arch, uint32_t usual) {
    answers->arch = arch, answers->usual = usual;
    for (size_t i = 0; i < BV_FILTER_NUMBERS; i++) answers->of[i] = usual;
}

void bv_filter_answer(bv_filter_answers *answers, int number, uint32_t answer) {
    if (number >= 0 && number < BV_FILTER_NUMBERS) answers->of[number] = answer;
}

static void add_range(search *s, uint32_t from, uint32_t answer) {
    if (s->range_count && s->ranges[s->range_count - 1].answer == answer) return;
    s->ranges[s->range_count++] = (range){from, answer};
}

static void emit(search *s, uint16_t code, uint32_t operand) {
    s->too_long = s->too_long || s->length == SEARCH_MAX;
    if (!s->too_long) s->code[s->length++] = (struct sock_filter){.code = code, .k = operand};
}

static int find_exit(search *s, uint32_t answer) {
    for (int i = 0; i < s->exit_count; i++)
        if (s->exits[i] == answer) return ~i;
    s->too_long = s->too_long || s->exit_count == EXITS_MAX;
    if (!s->too_long) s->exits[s->exit_count++] = answer;
    return ~(s->exit_count - 1);
}

/* Where the search among these ranges begins. */
static int emit_search(search *s, size_t begin, size_t end) {
    if (end - begin == 1) return find_exit(s, s->ranges[begin].answer);
    const size_t middle = begin + (end - begin) / 2, place = s->length;
    emit(s, BPF_JMP | BPF_JGE | BPF_K, s->ranges[middle].from);
    const int below = emit_search(s, begin, middle), above = emit_search(s, middle, end);
    if (s->too_long) return 0;
    s->below[place] = below, s->above[place] = above;
    return (int)place;
}

/* How far from one place to another, or to an exit: they are behind the search, the asking one
 * last, and that is what comes after all. */
static uint8_t distance(search *s, size_t from, int to) {
    const size_t place = to >= 0 ? (size_t)to : s->length + (size_t)~to;
    s->too_long = s->too_long || place - from - 1 > 255;
    return (uint8_t)(place - from - 1);
}

static void emit_all(search *s, uint32_t arch) {
    emit(s, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    emit(s, BPF_JMP | BPF_JEQ | BPF_K, arch);
    s->code[1].jt = 1;
    emit(s, BPF_JMP | BPF_JA, 0);
    emit(s, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    const size_t begin = s->length;
    for (size_t i = 0; i < s->range_count; i++)
        if (s->ranges[i].answer != BV_FILTER_ASK) find_exit(s, s->ranges[i].answer);
    emit_search(s, 0, s->range_count);
    for (size_t i = begin; i < s->length; i++) {
        s->code[i].jf = distance(s, i, s->below[i]);
        s->code[i].jt = distance(s, i, s->above[i]);
    }
    for (int i = 0; i < s->exit_count - 1; i++) emit(s, BPF_RET | BPF_K, s->exits[i]);
    s->code[2].k = (uint32_t)(s->length - 3);
}

bv_status bv_filter_make(const bv_filter_answers *answers, const struct sock_fprog *behind,
                         struct sock_fprog *out) {
    search *s = bv_calloc(1, sizeof *s);
    if (!s) return bv_fail_memory("a filter of system calls");
    for (uint32_t i = 0; i < BV_FILTER_NUMBERS; i++) add_range(s, i, answers->of[i]);
    add_range(s, BV_FILTER_NUMBERS, answers->usual);
    add_range(s, FOREIGN, BV_FILTER_ASK);
    emit_all(s, answers->arch);
    const size_t length = s->length + behind->len;
    bv_error *error = BV_OK;
    if (s->too_long || length > BPF_MAXINSNS)
        error = bv_fail(BV_CODE_FAULT, "the list of system calls is too long for a filter");
    if (!error && !(out->filter = bv_malloc(length * sizeof *out->filter)))
        error = bv_fail_memory("a filter of system calls");
    if (!error) {
        memcpy(out->filter, s->code, s->length * sizeof *s->code);
        memcpy(out->filter + s->length, behind->filter, behind->len * sizeof *behind->filter);
        out->len = (unsigned short)length;
    }
    bv_free(s);
    return error;
}
