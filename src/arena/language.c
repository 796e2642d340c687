#include "arena/language.h"

#include "arena/languages.h"
#include "base/json.h"
#include "base/memory.h"
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A description and what its parts point into. */
typedef struct description {
    bv_language language; /* first: the public pointer is to it */
    size_t own_words;     /* of "compile", without those of "compile_if" */
    bv_sandbox_file made; /* what was prepared; no name: nothing */
    bv_arena *arena;
} description;

#define SEALED_MIN (64 << 10) /* bytes from which a file in memory is worth it */

/* ---- parsing ---- */

static const char *const members[] = {"name",          "title",      "source",
                                      "compile",       "compile_if", "compile_again",
                                      "artifact",      "run",        "compile_environment",
                                      "compile_binds", "run_binds",  "compile_limits",
                                      "warm_python",   "prepare",    "prepared"};
static const char *const limit_keys[] = {"cpu_ms",      "wall_ms",      "memory_bytes",
                                         "files_bytes", "output_bytes", "pids"};

static bv_status get_words(bv_arena *arena, const json_t *object, const char *key,
                           const char *const **out) {
    const json_t *list = json_object_get(object, key);
    *out = NULL;
    if (!list) return BV_OK;
    const size_t count = json_array_size(list);
    if (!json_is_array(list) || count == 0 || count > 64)
        return bv_fail(BV_CODE_INPUT, "\"%s\" must be a list of 1 to 64 words", key);
    const char **words = bv_arena_alloc(arena, (count + 1) * sizeof *words);
    if (!words) return bv_fail_memory("a language");
    for (size_t i = 0; i < count; i++) {
        const char *word = json_string_value(json_array_get(list, i));
        if (!word || (i == 0 && !word[0]))
            return bv_fail(BV_CODE_INPUT, "\"%s\" must be a list of words", key);
        words[i] = bv_arena_strdup(arena, word);
        if (!words[i]) return bv_fail_memory("a language");
    }
    *out = words;
    return BV_OK;
}

static size_t count_words(const char *const *words) {
    size_t count = 0;
    while (words && words[count]) count++;
    return count;
}

static bv_status add_words(bv_arena *arena, const char *const **words, const char *const *more) {
    const size_t before = count_words(*words), count = count_words(more);
    const char **all = bv_arena_alloc(arena, (before + count + 1) * sizeof *all);
    if (!all) return bv_fail_memory("a language");
    memcpy(all, *words, before * sizeof *all);
    memcpy(all + before, more, (count + 1) * sizeof *all);
    *words = all;
    return BV_OK;
}

/* What this machine has is looked at once, here. */
static bv_status add_words_if(bv_arena *arena, const json_t *object, const char *const **words) {
    json_t *wishes = json_object_get(object, "compile_if"), *list;
    const char *path, *const *more;
    if (wishes && (!json_is_object(wishes) || !*words))
        return bv_fail(BV_CODE_INPUT, "\"compile_if\" must be an object, beside \"compile\"");
    json_object_foreach(wishes, path, list) {
        if (path[0] != '/')
            return bv_fail(BV_CODE_INPUT, "\"compile_if\" must name files by absolute paths");
        BV_TRY(get_words(arena, wishes, path, &more));
        if (access(path, F_OK) == 0) BV_TRY(add_words(arena, words, more));
    }
    return BV_OK;
}

/* After all other words: libraries are looked through in the order of the command. */
static bv_status get_words_again(bv_arena *arena, const json_t *object, const char *const *words,
                                 const char *const **out) {
    const char *const *more;
    BV_TRY(get_words(arena, object, "compile_again", &more));
    *out = NULL;
    if (!more) return BV_OK;
    if (!words) return bv_fail(BV_CODE_INPUT, "\"compile_again\" must be beside \"compile\"");
    *out = words;
    return add_words(arena, out, more);
}

static bv_status get_environment(bv_arena *arena, const json_t *object, const char *const **out) {
    static const char key[] = "compile_environment";
    BV_TRY(get_words(arena, object, key, out));
    for (size_t i = 0; *out && (*out)[i]; i++) {
        const char *equals = strchr((*out)[i], '=');
        if (!equals || equals == (*out)[i])
            return bv_fail(BV_CODE_INPUT, "\"%s\" must be a list of NAME=VALUE", key);
    }
    return BV_OK;
}

/* What a root has by itself, and what would show the machine's processes. */
static bool is_own(const char *path, size_t length) {
    static const char *const own[] = {"work", "tmp", "dev", "proc", "sys"};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (strlen(own[i]) == length && !strncmp(own[i], path, length)) return true;
    return false;
}

/* A path whose parts are names, one at least, and that is the folder's own. */
static bool can_be_shown(const char *path) {
    for (const char *part = path; *part == '/';) {
        const size_t length = strcspn(part + 1, "/");
        const bool dots = !strncmp(part + 1, "..", length) && length <= 2; /* none, one, two */
        if (dots || (part == path && is_own(part + 1, length))) return false;
        part += length + 1;
        if (!*part) return true;
    }
    return false;
}

static bv_status add_bind(bv_arena *arena, const json_t *value, const char *key,
                          bv_sandbox_root *root) {
    bv_sandbox_bind *bind = (bv_sandbox_bind *)root->binds + root->bind_count;
    const char *path = json_string_value(value);
    if (!path || path[0] != '/')
        return bv_fail(BV_CODE_INPUT, "\"%s\" must be a list of absolute paths", key);
    char *copy = bv_arena_strdup(arena, path);
    if (!copy) return bv_fail_memory("a language");
    const size_t length = strlen(copy);
    bind->optional = copy[length - 1] == '?';
    if (bind->optional) copy[length - 1] = 0;
    if (!can_be_shown(copy))
        return bv_fail(BV_CODE_INPUT, "\"%s\": %s cannot be shown in a box", key, copy);
    for (size_t i = 0; i < root->bind_count; i++)
        if (!strcmp(root->binds[i].source, copy))
            return bv_fail(BV_CODE_INPUT, "\"%s\" names %s twice", key, copy);
    bind->source = bind->target = copy;
    root->bind_count++;
    return BV_OK;
}

static bv_status get_binds(bv_arena *arena, const json_t *object, const char *name, const char *key,
                           bv_sandbox_root *root) {
    const json_t *list = json_object_get(object, key);
    const size_t count = json_array_size(list);
    root->name = bv_arena_printf(arena, "%s %s", name, key);
    bv_sandbox_bind *binds = bv_arena_alloc(arena, (count + 1) * sizeof *binds);
    if (!root->name || !binds) return bv_fail_memory("a language");
    if (list && (!json_is_array(list) || count > 60))
        return bv_fail(BV_CODE_INPUT, "\"%s\" must be a list of at most 60 folders", key);
    root->binds = binds;
    for (size_t i = 0; i < count; i++) BV_TRY(add_bind(arena, json_array_get(list, i), key, root));
    return BV_OK;
}

static bv_status get_limit(const json_t *limits, const char *key, uint64_t factor, uint64_t *out) {
    int64_t value;
    if (!json_object_get(limits, key)) return BV_OK;
    BV_TRY(bv_json_get_int(limits, key, &value));
    if (value <= 0 || (uint64_t)value > ((uint64_t)1 << 50) / factor)
        return bv_fail(BV_CODE_INPUT, "\"%s\" is out of range", key);
    *out = (uint64_t)value * factor;
    return BV_OK;
}

/* A compiler needs more than what it compiles. */
static bv_status get_limits(const json_t *object, bv_sandbox_limits *l) {
    const json_t *limits = json_object_get(object, "compile_limits");
    uint64_t pids = 16;
    bv_sandbox_limits_default(l);
    l->cpu_ns = 10000000000, l->wall_ns = 20000000000;
    l->memory_bytes = 512000000, l->output_bytes = 64000;
    if (limits && !json_is_object(limits))
        return bv_fail(BV_CODE_INPUT, "\"compile_limits\" must be an object");
    BV_TRY(
        bv_while(bv_json_check_members(limits, limit_keys, sizeof limit_keys / sizeof *limit_keys),
                 "reading \"compile_limits\""));
    BV_TRY(get_limit(limits, "cpu_ms", 1000000, &l->cpu_ns));
    BV_TRY(get_limit(limits, "wall_ms", 1000000, &l->wall_ns));
    BV_TRY(get_limit(limits, "memory_bytes", 1, &l->memory_bytes));
    BV_TRY(get_limit(limits, "files_bytes", 1, &l->files_bytes));
    BV_TRY(get_limit(limits, "output_bytes", 1, &l->output_bytes));
    BV_TRY(get_limit(limits, "pids", 1, &pids));
    l->pids = pids < 32768 ? (uint32_t)pids : 32768;
    return BV_OK;
}

static bv_status get_name(bv_arena *arena, const json_t *object, const char *key,
                          const char **out) {
    const char *text;
    BV_TRY(bv_json_get_string(object, key, &text));
    if (!text[0] || strlen(text) > 200)
        return bv_fail(BV_CODE_INPUT, "\"%s\" must have 1 to 200 bytes", key);
    *out = bv_arena_strdup(arena, text);
    return *out ? BV_OK : bv_fail_memory("a language");
}

static bv_status get_file_name(bv_arena *arena, const json_t *object, const char *key,
                               const char **out) {
    BV_TRY(get_name(arena, object, key, out));
    if (!strchr(*out, '/') && strcmp(*out, ".") && strcmp(*out, "..")) return BV_OK;
    return bv_fail(BV_CODE_INPUT, "\"%s\" must be the name of a file, not a path", key);
}

static bv_status get_prepared(bv_arena *arena, const json_t *object, bv_language *l) {
    BV_TRY(get_words(arena, object, "prepare", &l->prepare));
    if (!l->prepare) return BV_OK;
    if (!l->compile) return bv_fail(BV_CODE_INPUT, "\"prepare\" must be beside \"compile\"");
    BV_TRY(get_file_name(arena, object, "prepared", &l->prepared));
    if (strcmp(l->prepared, l->source) && strcmp(l->prepared, l->artifact)) return BV_OK;
    return bv_fail(BV_CODE_INPUT, "\"prepared\" must be another file than source and artifact");
}

static const char name_bytes[] =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+#._-";

static bv_status keep_text(bv_arena *arena, const json_t *object, const char **out) {
    bv_buffer text = {0};
    bv_error *error = bv_json_text(object, 0, &text);
    if (!error && !(*out = bv_arena_strdup(arena, text.data))) error = bv_fail_memory("a language");
    bv_buffer_free(&text);
    return error;
}

static bv_status fill(description *d, const json_t *object) {
    bv_language *l = &d->language;
    BV_TRY(keep_text(d->arena, object, &l->description));
    BV_TRY(get_name(d->arena, object, "name", &l->name));
    if (strspn(l->name, name_bytes) != strlen(l->name))
        return bv_fail(BV_CODE_INPUT, "\"name\" must be of letters, digits and + # . _ -");
    BV_TRY(get_name(d->arena, object, "title", &l->title));
    BV_TRY(get_file_name(d->arena, object, "source", &l->source));
    BV_TRY(get_words(d->arena, object, "compile", &l->compile));
    d->own_words = count_words(l->compile);
    BV_TRY(add_words_if(d->arena, object, &l->compile));
    BV_TRY(get_words_again(d->arena, object, l->compile, &l->compile_again));
    BV_TRY(get_environment(d->arena, object, &l->compile_environment));
    BV_TRY(get_words(d->arena, object, "run", &l->run));
    if (!l->run) return bv_fail(BV_CODE_INPUT, "\"run\" is missing");
    if (l->compile) BV_TRY(get_file_name(d->arena, object, "artifact", &l->artifact));
    BV_TRY(get_prepared(d->arena, object, l));
    BV_TRY(get_binds(d->arena, object, l->name, "compile_binds", &l->compile_root));
    BV_TRY(get_binds(d->arena, object, l->name, "run_binds", &l->run_root));
    BV_TRY(get_limits(object, &l->compile_limits));
    const json_t *warm = json_object_get(object, "warm_python");
    if (warm && !json_is_boolean(warm))
        return bv_fail(BV_CODE_INPUT, "\"warm_python\" must be true or false");
    l->warm_python = json_is_true(warm);
    return BV_OK;
}

static bv_status make(const json_t *object, bv_language **out) {
    if (!json_is_object(object)) return bv_fail(BV_CODE_INPUT, "a language is an object");
    BV_TRY(bv_json_check_members(object, members, sizeof members / sizeof *members));
    description *d = bv_calloc(1, sizeof *d);
    if (!d || !(d->arena = bv_arena_create())) {
        bv_free(d);
        return bv_fail_memory("a language");
    }
    bv_error *error = fill(d, object);
    *out = &d->language;
    if (error) bv_language_free(out);
    return error;
}

bv_status bv_language_parse(const char *text, size_t size, const char *origin, bv_language **out) {
    json_t *object;
    *out = NULL;
    BV_TRY(bv_json_parse(text, size, origin, &object));
    bv_error *error = make(object, out);
    json_decref(object);
    return bv_while(error, "reading the language %s", origin);
}

void bv_language_free(bv_language **language) {
    if (!language || !*language) return;
    description *d = (description *)*language;
    if (d->made.name) close(d->made.sealed);
    bv_arena_destroy(&d->arena);
    bv_free(d);
    *language = NULL;
}

/* ---- those that there are: the built-in ones, and what was added ---- */

#define LANGUAGES_MAX 64
static bv_language *languages[LANGUAGES_MAX];
static const char *language_names[LANGUAGES_MAX + 1];
static size_t language_count;

static void keep(bv_language *language) {
    languages[language_count] = language;
    language_names[language_count++] = language->name;
}

static void parse_built_in(void) {
    for (size_t i = 0; i < bv_language_text_count && language_count < LANGUAGES_MAX; i++) {
        const bv_language_text *t = &bv_language_texts[i];
        bv_language *language;
        bv_error *error = bv_language_parse(t->text, strlen(t->text), t->name, &language);
        BV_ASSERT(!error || bv_error_code(error) == BV_CODE_MEMORY);
        if (!error) keep(language);
        bv_error_free(&error);
    }
}

const char *const *bv_language_names(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, parse_built_in);
    return language_names;
}

const bv_language *bv_language_find(const char *name) {
    const char *const *names = bv_language_names();
    for (size_t i = 0; names[i]; i++)
        if (!strcmp(names[i], name)) return languages[i];
    return NULL;
}

bv_status bv_language_add(const char *path) {
    json_t *object;
    bv_language *language = NULL;
    BV_TRY(bv_json_load(path, &object));
    bv_error *error = make(object, &language);
    json_decref(object);
    if (!error && bv_language_find(language->name))
        error = bv_try(bv_fail(BV_CODE_INPUT, "there is a language \"%s\" already", language->name),
                       "another name");
    else if (!error && language_count == LANGUAGES_MAX)
        error = bv_fail(BV_CODE_INPUT, "there can be %d languages", LANGUAGES_MAX);
    if (error)
        bv_language_free(&language);
    else
        keep(language);
    return bv_while(error, "reading the language %s", path);
}

/* ---- compiling ---- */

void bv_artifact_free(bv_artifact *artifact) {
    for (size_t i = 0; i < artifact->file_count; i++) {
        bv_free((char *)artifact->files[i].name);
        bv_free((void *)artifact->files[i].bytes);
        if (artifact->files[i].sealed > 0) close(artifact->files[i].sealed);
    }
    bv_free(artifact->files);
    *artifact = (bv_artifact){0};
}

static bv_status add_file(bv_artifact *a, const char *name, const void *bytes, size_t size,
                          bool executable) {
    bv_sandbox_file *f = &a->files[a->file_count];
    char *copy = bv_malloc(size);
    *f = (bv_sandbox_file){
        .name = bv_strdup(name), .bytes = copy, .size = size, .executable = executable};
    a->file_count++; /* freed with the artifact, whatever is missing */
    if (!f->name || !copy) return bv_fail_memory("a program");
    if (size) memcpy(copy, bytes, size);
    return size < SEALED_MIN ? BV_OK : bv_sandbox_seal(bytes, size, &f->sealed);
}

static bv_status make_room(bv_artifact *a, size_t count) {
    a->files = bv_calloc(count, sizeof *a->files);
    return a->files ? BV_OK : bv_fail_memory("a program");
}

static bv_status keep_sources(const bv_language *language, const bv_sandbox_file *sources,
                              size_t count, bv_artifact *a) {
    BV_TRY(make_room(a, count));
    for (size_t i = 0; i < count; i++)
        BV_TRY(add_file(a, i ? sources[i].name : language->source, sources[i].bytes,
                        sources[i].size, i == 0 || sources[i].executable));
    return BV_OK;
}

/* What a command of the language gets and gives. */
typedef struct command_use {
    const bv_language *language;
    const char *const *words;
    const bv_sandbox_file *files;
    size_t file_count;
    const char *artifact;
} command_use;

static bv_status run_command(bv_sandbox_pool *pool, const command_use *use,
                             bv_sandbox_result *result) {
    const bv_sandbox_wanted wanted = {use->artifact,
                                      (size_t)use->language->compile_limits.files_bytes};
    const bv_sandbox_job job = {.argv = use->words,
                                .env = use->language->compile_environment,
                                .limits = use->language->compile_limits,
                                .root = &use->language->compile_root,
                                .files = use->files,
                                .file_count = use->file_count,
                                .wanted = &wanted,
                                .wanted_count = 1};
    return bv_sandbox_run(pool, &job, result);
}

/* The command with the name of what was prepared, for which `out` has room. */
static void name_prepared(const description *d, const char *const *words, const char **out) {
    const size_t own = d->own_words, count = count_words(words);
    const size_t more = d->made.name ? 1 : 0;
    memcpy(out, words, own * sizeof *out);
    if (more) out[own] = d->made.name;
    memcpy(out + own + more, words + own, (count + 1 - own) * sizeof *out);
}

static bv_status run_on_sources(bv_sandbox_pool *pool, const bv_language *language,
                                const char *const *words, const bv_sandbox_file *sources,
                                size_t count, bv_sandbox_result *result) {
    const description *d = (const description *)language;
    bv_sandbox_file *files = bv_calloc(count + 1, sizeof *files);
    const char **command = bv_calloc(count_words(words) + 2, sizeof *command);
    bv_error *error = files && command ? BV_OK : bv_fail_memory("sources");
    if (!error) {
        memcpy(files, sources, count * sizeof *files);
        files[0].name = language->source;
        files[count] = d->made;
        name_prepared(d, words, command);
        const command_use use = {language, command, files, count + (d->made.name ? 1 : 0),
                                 language->artifact};
        error = run_command(pool, &use, result);
    }
    bv_free(command);
    bv_free(files);
    return error;
}

/* What is said at last is what the author hears. */
static bv_status run_compiler(bv_sandbox_pool *pool, const bv_language *language,
                              const bv_sandbox_file *sources, size_t count,
                              bv_sandbox_result *result) {
    BV_TRY(run_on_sources(pool, language, language->compile, sources, count, result));
    const bool again = language->compile_again && result->verdict == BV_VERDICT_FAILED &&
                       result->error.data && strstr(result->error.data, "undefined");
    if (!again) return BV_OK;
    const uint64_t spent_ns = result->cpu_ns;
    bv_sandbox_result_free(result);
    BV_TRY(run_on_sources(pool, language, language->compile_again, sources, count, result));
    result->cpu_ns += spent_ns;
    return BV_OK;
}

static bv_status keep_compiled(bv_sandbox_result *result, bv_artifact *a) {
    const bv_sandbox_fetched *f = &result->fetched[0];
    if (result->verdict != BV_VERDICT_OK) return BV_OK;
    if (!f->found || f->too_large) {
        result->verdict = BV_VERDICT_FAILED;
        snprintf(result->reason, sizeof result->reason, "made %s",
                 f->found ? "a file that is too large" : "no file");
        return BV_OK;
    }
    BV_TRY(make_room(a, 1));
    return add_file(a, f->name, f->bytes.data, f->bytes.size, true);
}

bv_status bv_language_compile(bv_sandbox_pool *pool, const bv_language *language,
                              const bv_sandbox_file *sources, size_t source_count,
                              bv_artifact *artifact, bv_sandbox_result *result) {
    bv_error *error = BV_OK;
    *artifact = (bv_artifact){.language = language};
    if (source_count == 0) return bv_fail(BV_CODE_USAGE, "there is no source to compile");
    if (!language->compile)
        error = keep_sources(language, sources, source_count, artifact);
    else
        error = run_compiler(pool, language, sources, source_count, result);
    if (!error && language->compile) error = keep_compiled(result, artifact);
    if (error) bv_artifact_free(artifact);
    return bv_while(error, "compiling %s", language->title);
}

static bv_status keep_prepared(const bv_sandbox_result *result, description *d) {
    const bv_sandbox_fetched *f = &result->fetched[0];
    if (result->verdict != BV_VERDICT_OK || !f->found || f->too_large) return BV_OK;
    bv_sandbox_file file = {.name = d->language.prepared, .size = f->bytes.size};
    BV_TRY(bv_sandbox_seal(f->bytes.data, f->bytes.size, &file.sealed));
    d->made = file;
    return BV_OK;
}

bv_status bv_language_prepare(bv_sandbox_pool *pool, const bv_language *language) {
    description *d = (description *)language;
    const command_use use = {
        .language = language, .words = language->prepare, .artifact = language->prepared};
    bv_sandbox_result result = {0};
    if (!language->prepare || d->made.name) return BV_OK;
    bv_error *error = run_command(pool, &use, &result);
    if (!error) error = keep_prepared(&result, d);
    bv_sandbox_result_free(&result);
    return bv_while(error, "preparing %s", language->title);
}

void bv_language_job(const bv_artifact *artifact, bv_sandbox_job *job) {
    const bv_language *language = artifact->language;
    job->argv = language->run;
    job->root = &language->run_root;
    job->files = artifact->files;
    job->file_count = artifact->file_count;
    job->warm_python = language->warm_python;
}

/* ---- what it is here ---- */

static void add_text(bv_sha256 *hash, const char *text) {
    bv_sha256_add(hash, text, strlen(text) + 1);
}

static void add_host_file(bv_sha256 *hash, const char *path) {
    char real[PATH_MAX], line[PATH_MAX + 100];
    struct stat s;
    if (path[0] != '/' || !realpath(path, real) || stat(real, &s)) return;
    snprintf(line, sizeof line, "%s %lld %lld.%09ld", real, (long long)s.st_size,
             (long long)s.st_mtim.tv_sec, s.st_mtim.tv_nsec);
    add_text(hash, line);
}

void bv_language_hash(const bv_language *language, bv_sha256 *hash) {
    const char *const *const lines[] = {language->compile, language->run};
    add_text(hash, language->description);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        for (const char *const *word = lines[i]; word && *word; word++) add_text(hash, *word);
        if (lines[i]) add_host_file(hash, lines[i][0]);
    }
}
