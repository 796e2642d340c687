#include "arena/sandbox_filter.h"

#include "base/memory.h"
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>

#define FOREIGN 0x40000000u /* x86-64: numbers of another architecture (x32) from here on */
#define CODE_MAX 2048       /* instructions */
#define VALUES_MAX 200      /* of a question */

typedef struct range {
    uint32_t from, answer;
} range;

/* What a jump leads to that comes later: an answer, or the first question of a call. */
typedef struct way_out {
    uint32_t answer;
    const bv_filter_question *question; /* NULL: the answer */
    size_t place;
} way_out;

#define EXITS_MAX (3 * BV_FILTER_QUESTIONS + 8)
/* A jump leads to a place, to ~exit, to the instruction that follows, or to the next question. */
#define NEXT CODE_MAX
#define AFTER (CODE_MAX + 1)

typedef struct search {
    range ranges[BV_FILTER_NUMBERS + 3];
    size_t range_count;
    struct sock_filter code[CODE_MAX];
    int no[CODE_MAX], yes[CODE_MAX]; /* where a comparison goes on */
    size_t length;
    way_out exits[EXITS_MAX];
    int exit_count;
    bool too_long;
} search;

/* ---- the table ---- */

void bv_filter_begin(bv_filter_answers *answers, uint32_t arch, uint32_t usual, uint32_t foreign) {
    answers->arch = arch, answers->usual = usual, answers->foreign = foreign;
    answers->question_count = 0, answers->too_many = false;
    for (size_t i = 0; i < BV_FILTER_NUMBERS; i++) answers->of[i] = usual;
}

void bv_filter_answer(bv_filter_answers *answers, int number, uint32_t answer) {
    if (number >= 0 && number < BV_FILTER_NUMBERS) answers->of[number] = answer;
}

/* Calls of which only one and the same is asked share it. */
static bool are_same(const bv_filter_question *a, const bv_filter_question *b) {
    return a->word == b->word && a->mask == b->mask && a->values == b->values &&
           a->count == b->count && a->yes == b->yes && a->no == b->no && a->yes != BV_FILTER_ASK;
}

/* An asked call's answer is BV_FILTER_ASK and the place of its first question. */
void bv_filter_ask(bv_filter_answers *answers, const bv_filter_question *question) {
    const int number = question->number;
    const bv_filter_question *q = answers->questions;
    size_t place = 0;
    if (number < 0 || number >= BV_FILTER_NUMBERS) return;
    const size_t count = answers->question_count;
    const bool first = count == 0 || q[count - 1].number != number;
    for (; first && place < count; place++)
        if (are_same(&q[place], question) && (place == 0 || q[place - 1].number != q[place].number))
            break;
    if (!first) place = count;
    if (place == count) {
        answers->too_many =
            answers->too_many || count == BV_FILTER_QUESTIONS || question->count > VALUES_MAX;
        if (answers->too_many) return;
        answers->questions[answers->question_count++] = *question;
    }
    if (first) answers->of[number] = BV_FILTER_ASK + (uint32_t)place;
}

static bool is_asked(uint32_t answer) {
    return answer >= BV_FILTER_ASK && answer < BV_FILTER_ASK + BV_FILTER_QUESTIONS;
}

/* ---- the search among numbers ---- */

static void add_range(search *s, uint32_t from, uint32_t answer) {
    if (s->range_count && s->ranges[s->range_count - 1].answer == answer) return;
    s->ranges[s->range_count++] = (range){from, answer};
}

static void emit(search *s, uint16_t code, uint32_t operand) {
    s->too_long = s->too_long || s->length == CODE_MAX;
    if (!s->too_long) s->code[s->length++] = (struct sock_filter){.code = code, .k = operand};
}

static void emit_jump(search *s, uint16_t comparison, uint32_t operand, int yes, int no) {
    emit(s, BPF_JMP | comparison | BPF_K, operand);
    if (!s->too_long) s->yes[s->length - 1] = yes, s->no[s->length - 1] = no;
}

static int find_exit(search *s, const bv_filter_answers *answers, uint32_t answer) {
    for (int i = 0; i < s->exit_count; i++)
        if (s->exits[i].answer == answer) return ~i;
    s->too_long = s->too_long || s->exit_count == EXITS_MAX;
    if (s->too_long) return 0;
    const bool asked = is_asked(answer);
    const bv_filter_question *q = asked ? &answers->questions[answer - BV_FILTER_ASK] : NULL;
    s->exits[s->exit_count++] = (way_out){answer, q, 0};
    return ~(s->exit_count - 1);
}

/* Where the search among these ranges begins. */
static int emit_search(search *s, const bv_filter_answers *answers, size_t begin, size_t end) {
    if (end - begin == 1) return find_exit(s, answers, s->ranges[begin].answer);
    const size_t middle = begin + (end - begin) / 2, place = s->length;
    emit_jump(s, BPF_JGE, s->ranges[middle].from, NEXT, NEXT);
    const int below = emit_search(s, answers, begin, middle);
    const int above = emit_search(s, answers, middle, end);
    if (s->too_long) return 0;
    s->no[place] = below, s->yes[place] = above;
    return (int)place;
}

/* ---- what is asked ---- */

static int compare(const void *a, const void *b) {
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* In order: who comes to a value is above all before it. Values that follow one another are one
 * range. */
static void emit_values(search *s, const bv_filter_question *q, int yes, int no) {
    uint32_t values[VALUES_MAX];
    memcpy(values, q->values, q->count * sizeof *values);
    qsort(values, q->count, sizeof *values, compare);
    for (size_t i = 0, end; i < q->count; i = end) {
        for (end = i + 1; end < q->count && values[end] - values[end - 1] <= 1;) end++;
        const int otherwise = end < q->count ? NEXT : no;
        if (values[end - 1] == values[i]) {
            emit_jump(s, BPF_JEQ, values[i], yes, otherwise);
            continue;
        }
        const size_t above = s->length;
        emit_jump(s, BPF_JGT, values[end - 1], otherwise, values[i] ? NEXT : yes);
        if (values[i]) emit_jump(s, BPF_JGE, values[i], yes, no);
        if (otherwise == NEXT && !s->too_long) s->yes[above] = (int)s->length;
    }
}

static void emit_question(search *s, const bv_filter_answers *answers,
                          const bv_filter_question *q) {
    const uint32_t at = (uint32_t)offsetof(struct seccomp_data, args) + 4 * q->word;
    const size_t begin = s->length;
    const int no = find_exit(s, answers, q->no);
    const int yes = q->yes == BV_FILTER_ASK ? AFTER : find_exit(s, answers, q->yes);
    emit(s, BPF_LD | BPF_W | BPF_ABS, at);
    if (q->count == 1 && q->values[0] == 0 && q->mask != ~0u) {
        emit_jump(s, BPF_JSET, q->mask, no, yes);
    } else {
        if (q->mask != ~0u) emit(s, BPF_ALU | BPF_AND | BPF_K, q->mask);
        emit_values(s, q, yes, no);
    }
    for (size_t i = begin; i < s->length; i++)
        if (s->yes[i] == AFTER)
            s->yes[i] = (int)s->length;
        else if (s->no[i] == AFTER)
            s->no[i] = (int)s->length;
}

static void emit_questions(search *s, const bv_filter_answers *answers,
                           const bv_filter_question *first) {
    const bv_filter_question *end = answers->questions + answers->question_count;
    for (const bv_filter_question *q = first; q < end && q->number == first->number; q++)
        emit_question(s, answers, q);
}

/* ---- the whole ---- */

static bool is_comparison(const struct sock_filter *c) {
    return BPF_CLASS(c->code) == BPF_JMP;
}

static uint8_t distance(search *s, size_t from, int to) {
    size_t place = (size_t)to;
    if (to == NEXT) place = from + 1;
    if (to < 0) place = s->exits[~to].place;
    s->too_long = s->too_long || place - from - 1 > 255;
    return (uint8_t)(place - from - 1);
}

/* The search, all that is asked, and all answers, each once: every jump goes forward. */
static void emit_all(search *s, const bv_filter_answers *answers) {
    const int foreign = find_exit(s, answers, answers->foreign);
    emit(s, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    emit_jump(s, BPF_JEQ, answers->arch, NEXT, foreign);
    emit(s, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    emit_search(s, answers, 0, s->range_count);
    for (int i = 0; i < s->exit_count && !s->too_long; i++) {
        if (!s->exits[i].question) continue;
        s->exits[i].place = s->length;
        emit_questions(s, answers, s->exits[i].question);
    }
    for (int i = 0; i < s->exit_count && !s->too_long; i++) {
        if (s->exits[i].question) continue;
        s->exits[i].place = s->length;
        emit(s, BPF_RET | BPF_K, s->exits[i].answer);
    }
    for (size_t i = 0; i < s->length && !s->too_long; i++) {
        if (!is_comparison(&s->code[i])) continue;
        s->code[i].jt = distance(s, i, s->yes[i]);
        s->code[i].jf = distance(s, i, s->no[i]);
    }
}

bv_status bv_filter_make(const bv_filter_answers *answers, struct sock_fprog *out) {
    search *s = bv_calloc(1, sizeof *s);
    if (!s) return bv_fail_memory("a filter of system calls");
    for (uint32_t i = 0; i < BV_FILTER_NUMBERS; i++) add_range(s, i, answers->of[i]);
    add_range(s, BV_FILTER_NUMBERS, answers->usual);
    add_range(s, FOREIGN, answers->foreign);
    add_range(s, ~0u, answers->usual);
    emit_all(s, answers);
    bv_error *error = BV_OK;
    if (s->too_long || answers->too_many)
        error = bv_fail(BV_CODE_FAULT, "the list of system calls is too long for a filter");
    if (!error && !(out->filter = bv_malloc(s->length * sizeof *out->filter)))
        error = bv_fail_memory("a filter of system calls");
    if (!error) {
        memcpy(out->filter, s->code, s->length * sizeof *s->code);
        out->len = (unsigned short)s->length;
    }
    bv_free(s);
    return error;
}
