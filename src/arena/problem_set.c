#include "arena/problem_set.h"

#include "base/file.h"
#include "base/gzip.h"
#include "base/json.h"
#include "base/text.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define FILE_BYTES_MAX (256u << 20)

/* One line of the file as a problem; texts go into the arena. */
typedef bv_status adapt_line(bv_arena *arena, const json_t *line, bv_problem *out);

typedef struct adapter {
    const char *name;
    const char *files[3]; /* where it may be in a folder, NULL at the end */
    const char *const *stops;
    adapt_line *adapt;
} adapter;

/* ---- texts ---- */

static bv_status copy(bv_arena *arena, const char *text, const char **out) {
    *out = bv_arena_strdup(arena, text);
    return *out ? BV_OK : bv_fail_memory("a set of problems");
}

static bv_status take(bv_arena *arena, const json_t *line, const char *key, const char **out) {
    const char *text;
    BV_TRY(bv_json_get_string(line, key, &text));
    return copy(arena, text, out);
}

static bool is_name(const char *text) {
    if (!isalpha((unsigned char)*text) && *text != '_') return false;
    while (isalnum((unsigned char)*text) || *text == '_') text++;
    return *text == 0;
}

/* ---- HumanEval: https://github.com/openai/human-eval ---- */

static const char *const humaneval_stops[] = {"\nclass", "\ndef", "\n#", "\nif", "\nprint", NULL};

/* The tests are a function check(candidate); the prompt, whose last function has no body but its
 * docstring, is also what their helpers are taken from (encode_cyclic for decode_cyclic). */
static bv_status adapt_humaneval(bv_arena *arena, const json_t *line, bv_problem *out) {
    BV_TRY(take(arena, line, "task_id", &out->id));
    BV_TRY(take(arena, line, "prompt", &out->prompt));
    BV_TRY(take(arena, line, "canonical_solution", &out->canonical));
    BV_TRY(take(arena, line, "entry_point", &out->entry));
    BV_TRY(take(arena, line, "test", &out->test));
    out->head = out->context = out->prompt;
    out->call = "check";
    if (is_name(out->entry)) return BV_OK;
    return bv_fail(BV_CODE_INPUT, "\"entry_point\" is no name of a function");
}

/* ---- MBPP: Austin et al. 2021, "Program Synthesis with Large Language Models" ---- */

static const char *const mbpp_stops[] = {"\nclass", "\nassert", "\n\"\"\"", "\nprint",
                                         "\nif",    "\n<|/",    NULL};

/* Whether `text` calls this function: its name, not inside a longer one, and a parenthesis. */
static bool calls(const char *text, const char *name, size_t size) {
    for (const char *at = text; (at = strstr(at, name)); at += size) {
        const char before = at > text ? at[-1] : ' ';
        const char *after = at + size;
        while (*after == ' ') after++;
        if (*after == '(' && !isalnum((unsigned char)before) && before != '_' && before != '.')
            return true;
    }
    return false;
}

/* The last function of the canonical code that the first test calls. */
static bv_status find_entry(bv_arena *arena, const char *code, const char *test, const char **out) {
    *out = NULL;
    for (const char *at = code; at; at = strchr(at, '\n')) {
        if (*at == '\n') at++;
        if (strncmp(at, "def ", 4) != 0) continue;
        size_t size = 0;
        while (isalnum((unsigned char)at[4 + size]) || at[4 + size] == '_') size++;
        const char *name = bv_arena_printf(arena, "%.*s", (int)size, at + 4);
        if (!name) return bv_fail_memory("a set of problems");
        if (size && calls(test, name, size)) *out = name;
    }
    return *out ? BV_OK : bv_fail(BV_CODE_INPUT, "the tests call no function of \"code\"");
}

static bv_status join_tests(const json_t *list, bv_buffer *out) {
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *test = json_string_value(json_array_get(list, i));
        if (!test) return bv_fail(BV_CODE_INPUT, "\"test_list\" is not a list of texts");
        bv_buffer_printf(out, "%s\n", test);
    }
    return bv_buffer_error(out);
}

/* The prompt is that of the usual harnesses: the task and the first test, in a docstring. */
static bv_status adapt_mbpp(bv_arena *arena, const json_t *line, bv_problem *out) {
    const char *text;
    int64_t number;
    const json_t *tests = json_object_get(line, "test_list");
    const char *first = json_string_value(json_array_get(tests, 0));
    bv_buffer all = {0};
    BV_TRY(bv_json_get_int(line, "task_id", &number));
    BV_TRY(bv_json_get_string(line, "text", &text));
    if (!first) return bv_fail(BV_CODE_INPUT, "\"test_list\" is missing or not a list of texts");
    BV_TRY(take(arena, line, "code", &out->canonical));
    BV_TRY(take(arena, line, "test_setup_code", &out->context));
    BV_TRY(find_entry(arena, out->canonical, first, &out->entry));
    bv_error *error = join_tests(tests, &all);
    if (!error) error = copy(arena, all.data, &out->test);
    bv_buffer_free(&all);
    BV_TRY(error);
    out->id = bv_arena_printf(arena, "MBPP/%lld", (long long)number);
    out->prompt = bv_arena_printf(arena, "\"\"\"\n%s\n%s\n\"\"\"\n", text, first);
    out->head = out->call = "";
    return out->id && out->prompt ? BV_OK : bv_fail_memory("a set of problems");
}

/* ---- all sets ---- */

static const adapter adapters[] = {
    {"humaneval", {"HumanEval.jsonl.gz", "HumanEval.jsonl"}, humaneval_stops, adapt_humaneval},
    {"mbpp", {"mbpp.jsonl", "mbpp.jsonl.gz"}, mbpp_stops, adapt_mbpp},
};
#define ADAPTERS (sizeof adapters / sizeof *adapters)

static bv_status find_adapter(const char *name, const adapter **out) {
    const char *names[ADAPTERS];
    for (size_t i = 0; i < ADAPTERS; i++) {
        names[i] = adapters[i].name;
        if (strcmp(name, names[i]) != 0) continue;
        *out = &adapters[i];
        return BV_OK;
    }
    const char *near = bv_suggest(name, names, ADAPTERS);
    return bv_try(bv_fail(BV_CODE_USAGE, "there is no set of problems \"%s\"", name), "%s",
                  near ? near : "humaneval or mbpp");
}

static bv_status find_file(const adapter *a, const char *data, char *path, size_t size) {
    if (!bv_dir_exists(data)) {
        snprintf(path, size, "%s", data);
        return BV_OK;
    }
    static const char *const folders[] = {"", "eval/"};
    for (size_t f = 0; f < 2; f++)
        for (size_t i = 0; a->files[i]; i++) {
            snprintf(path, size, "%s/%s%s", data, folders[f], a->files[i]);
            if (bv_file_exists(path)) return BV_OK;
        }
    return bv_try(bv_fail(BV_CODE_INPUT, "%s has no %s", data, a->files[0]),
                  "--data FOLDER, where %s or eval/%s is", a->files[0], a->files[0]);
}

typedef struct loading {
    const adapter *adapter;
    bv_problem_set *set;
} loading;

static bv_status add_line(void *context, const json_t *line) {
    const loading *l = context;
    bv_problem *problem = &l->set->list[l->set->count];
    if (!json_is_object(line)) return bv_fail(BV_CODE_INPUT, "not an object");
    BV_TRY(l->adapter->adapt(l->set->arena, line, problem));
    if (bv_problem_find(l->set, problem->id))
        return bv_fail(BV_CODE_INPUT, "%s stands there twice", problem->id);
    l->set->count++;
    return BV_OK;
}

static bv_status parse(const adapter *a, bv_problem_set *set, const bv_buffer *text,
                       const char *path) {
    loading l = {a, set};
    size_t lines = 1;
    for (size_t i = 0; i < text->size; i++) lines += text->data[i] == '\n';
    set->list = bv_arena_alloc(set->arena, lines * sizeof *set->list);
    if (!set->list) return bv_fail_memory("a set of problems");
    BV_TRY(bv_json_lines(text, path, add_line, &l));
    return set->count ? BV_OK : bv_fail(BV_CODE_INPUT, "%s has no problem", path);
}

bv_status bv_problem_set_load(const char *name, const char *data, bv_problem_set *out) {
    const adapter *a = NULL;
    char path[4096];
    bv_buffer text = {0};
    *out = (bv_problem_set){0};
    BV_TRY(find_adapter(name, &a));
    BV_TRY(find_file(a, data, path, sizeof path));
    out->name = a->name;
    out->stops = a->stops;
    bv_error *error = bv_gzip_read(path, FILE_BYTES_MAX, &text);
    if (!error && !(out->arena = bv_arena_create())) error = bv_fail_memory("a set of problems");
    if (!error) error = bv_sha256_bytes(text.data ? text.data : "", text.size, out->hash);
    if (!error) error = parse(a, out, &text, path);
    bv_buffer_free(&text);
    if (error) bv_problem_set_free(out);
    return error;
}

void bv_problem_set_free(bv_problem_set *set) {
    bv_arena_destroy(&set->arena);
    *set = (bv_problem_set){0};
}

const bv_problem *bv_problem_find(const bv_problem_set *set, const char *id) {
    for (size_t i = 0; i < set->count; i++)
        if (!strcmp(set->list[i].id, id)) return &set->list[i];
    return NULL;
}

size_t bv_problem_truncate(const bv_problem_set *set, const char *completion, size_t size) {
    size_t end = size;
    for (size_t i = 0; set->stops[i]; i++) {
        const char *at = memmem(completion, end, set->stops[i], strlen(set->stops[i]));
        if (at) end = (size_t)(at - completion);
    }
    return end;
}
