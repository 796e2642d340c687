#include "arena/checker_check.h"

#include "arena/judge_level.h"
#include "base/tasks.h"

#include <string.h>

#define LARGE 5000 /* digits: more than Python makes a number of */

/* Each appends an output to `out`, of the right answer or of nothing. */
typedef void make_output(const bv_buffer *answer, bv_buffer *out);

static void write_nothing(const bv_buffer *answer, bv_buffer *out) {
    (void)answer, (void)out;
}

static void write_noise(const bv_buffer *answer, bv_buffer *out) {
    static const char noise[] = "\xff\xfe\x80 \0 \xc3\n\xed\xa0\x80\r\v";
    (void)answer;
    bv_buffer_append(out, noise, sizeof noise - 1);
}

static void write_half(const bv_buffer *answer, bv_buffer *out) {
    if (answer->size) bv_buffer_append(out, answer->data, answer->size / 2);
}

static void write_twice(const bv_buffer *answer, bv_buffer *out) {
    for (int i = 0; i < 2 && answer->size; i++) bv_buffer_append(out, answer->data, answer->size);
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* The answer with each number replaced. */
static void replace_numbers(const bv_buffer *answer, const char *by, bv_buffer *out) {
    for (size_t i = 0; i < answer->size; i++) {
        const bool digit = is_digit(answer->data[i]);
        if (!digit)
            bv_buffer_append(out, answer->data + i, 1);
        else if (i == 0 || !is_digit(answer->data[i - 1]))
            bv_buffer_text(out, by);
    }
}

static void write_letters(const bv_buffer *answer, bv_buffer *out) {
    replace_numbers(answer, "x", out);
}

static void write_out_of_range(const bv_buffer *answer, bv_buffer *out) {
    replace_numbers(answer, "-987654321987654321987", out);
}

static void write_large(const bv_buffer *answer, bv_buffer *out) {
    char digits[LARGE + 1];
    memset(digits, '7', LARGE);
    digits[LARGE] = 0;
    bv_buffer_text(out, digits);
    if (answer->size < 200) replace_numbers(answer, digits, out);
}

static const struct {
    const char *what;
    make_output *make;
} outputs[] = {
    {"nothing", write_nothing},
    {"bytes that are no text", write_noise},
    {"half of the answer", write_half},
    {"the answer twice", write_twice},
    {"the answer with letters for numbers", write_letters},
    {"the answer with numbers out of range", write_out_of_range},
    {"numbers of 5000 digits", write_large},
};
#define OUTPUTS (sizeof outputs / sizeof *outputs)

typedef struct checking {
    const bv_level *level;
    const bv_level_maker *maker;
} checking;

/* Of the first test and the last one, which is often the largest. */
static bv_status check_one(void *context, size_t index) {
    const checking *c = context;
    const bv_level_test *test = &c->level->tests[index < OUTPUTS ? 0 : c->level->test_count - 1];
    const size_t which = index % OUTPUTS;
    bv_level_test_result result = {0};
    bv_buffer output = {0};
    uint64_t cpu_ns = 0;
    outputs[which].make(&test->answer, &output);
    bv_error *error = bv_buffer_error(&output);
    if (!error)
        error = bv_judge_by_checker(c->maker->pool, c->level, test, &output, &result, &cpu_ns);
    bv_buffer_free(&output);
    if (!error) return BV_OK;
    return bv_try(
        bv_while(error, "showing the checker %s, as somebody may hand in", outputs[which].what),
        "exit code 1 for whatever it cannot read");
}

bv_status bv_checker_check(const bv_level *level, const bv_level_maker *maker) {
    checking c = {level, maker};
    if (!level->checker_program) return BV_OK;
    return bv_tasks_run(maker->threads, 2 * OUTPUTS, check_one, &c);
}
