#include "arena/sandbox_filter.h"

#include "base/memory.h"
#include <linux/seccomp.h>
#include <string.h>

#define FOREIGN 0x40000000u /* x86-64: numbers of another architecture (x32) from here on */
#define CODE_MAX 2048       /* instructions */
#define VALUES_MAX 200      /* of a question: a jump is at most 255 far */

typedef struct range {
    uint32_t from, answer;
} range;

/* What a search can end in: an answer, or the first question of a call. */
typedef struct way_out {
    uint32_t answer;
    const bv_filter_question *question; /* NULL: the answer */
} way_out;

#define EXITS_MAX (BV_FILTER_QUESTIONS + 8)

typedef struct search {
    range ranges[BV_FILTER_NUMBERS + 3];
    size_t range_count;
    struct sock_filter code[CODE_MAX];
    int below[CODE_MAX], above[CODE_MAX]; /* where a comparison goes on: a place, or ~exit */
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

static void emit(search *s, struct sock_filter instruction) {
    s->too_long = s->too_long || s->length == CODE_MAX;
    if (!s->too_long) s->code[s->length++] = instruction;
}

static void emit_plain(search *s, uint16_t code, uint32_t operand) {
    emit(s, (struct sock_filter){.code = code, .k = operand});
}

static int find_exit(search *s, const bv_filter_answers *answers, uint32_t answer) {
    for (int i = 0; i < s->exit_count; i++)
        if (s->exits[i].answer == answer) return ~i;
    s->too_long = s->too_long || s->exit_count == EXITS_MAX;
    if (s->too_long) return 0;
    const bool asked = is_asked(answer);
    const bv_filter_question *q = asked ? &answers->questions[answer - BV_FILTER_ASK] : NULL;
    s->exits[s->exit_count++] = (way_out){answer, q};
    return ~(s->exit_count - 1);
}

/* Where the search among these ranges begins. */
static int emit_search(search *s, const bv_filter_answers *answers, size_t begin, size_t end) {
    if (end - begin == 1) return find_exit(s, answers, s->ranges[begin].answer);
    const size_t middle = begin + (end - begin) / 2, place = s->length;
    emit_plain(s, BPF_JMP | BPF_JGE | BPF_K, s->ranges[middle].from);
    const int below = emit_search(s, answers, begin, middle);
    const int above = emit_search(s, answers, middle, end);
    if (s->too_long) return 0;
    s->below[place] = below, s->above[place] = above;
    return (int)place;
}

/* How far from one place to another, or to an exit: they are one instruction each, behind the
 * search. */
static uint8_t distance(search *s, size_t from, int to) {
    const size_t place = to >= 0 ? (size_t)to : s->length + (size_t)~to;
    s->too_long = s->too_long || place - from - 1 > 255;
    return (uint8_t)(place - from - 1);
}

/* ---- what is asked ---- */

/* A value that fits leaps over the answer "no", to "yes" or the next question. */
static void emit_question(search *s, const bv_filter_question *q) {
    const uint32_t at = (uint32_t)offsetof(struct seccomp_data, args) + 4 * q->word;
    emit_plain(s, BPF_LD | BPF_W | BPF_ABS, at);
    if (q->mask != ~0u) emit_plain(s, BPF_ALU | BPF_AND | BPF_K, q->mask);
    for (size_t i = 0; i < q->count; i++)
        emit(s, (struct sock_filter){.code = BPF_JMP | BPF_JEQ | BPF_K,
                                     .jt = (uint8_t)(q->count - i),
                                     .k = q->values[i]});
    emit_plain(s, BPF_RET | BPF_K, q->no);
    if (q->yes != BV_FILTER_ASK) emit_plain(s, BPF_RET | BPF_K, q->yes);
}

static void emit_questions(search *s, const bv_filter_answers *answers,
                           const bv_filter_question *first) {
    const bv_filter_question *end = answers->questions + answers->question_count;
    for (const bv_filter_question *q = first; q < end && q->number == first->number; q++)
        emit_question(s, q);
}

/* ---- the whole ---- */

static void emit_all(search *s, const bv_filter_answers *answers) {
    emit_plain(s, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    emit(s, (struct sock_filter){.code = BPF_JMP | BPF_JEQ | BPF_K, .jt = 1, .k = answers->arch});
    emit_plain(s, BPF_RET | BPF_K, answers->foreign);
    emit_plain(s, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    const size_t begin = s->length;
    emit_search(s, answers, 0, s->range_count);
    for (size_t i = begin; i < s->length; i++) {
        s->code[i].jf = distance(s, i, s->below[i]);
        s->code[i].jt = distance(s, i, s->above[i]);
    }
    const size_t exits = s->length;
    for (int i = 0; i < s->exit_count; i++)
        emit_plain(s, s->exits[i].question ? BPF_JMP | BPF_JA : BPF_RET | BPF_K,
                   s->exits[i].answer);
    for (int i = 0; i < s->exit_count && !s->too_long; i++) {
        if (!s->exits[i].question) continue;
        s->code[exits + (size_t)i].k = (uint32_t)(s->length - (exits + (size_t)i) - 1);
        emit_questions(s, answers, s->exits[i].question);
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
