/*
 * Attacks of a load: programs of an attack corpus as submissions to the first level. What a program
 * of the corpus finds beside it in its tests is put into its source: the header that attacks share,
 * and what they are told of the canaries.
 */
#include "cli/load.h"

#include "arena/attack_notes.h"
#include "arena/language.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "cli/cli.h"
#include "cli/policy_flag.h"
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#define ATTACKS_MAX 1000

/* What decides which attacks are handed in, and as what. */
typedef struct corpus {
    bv_load *load;
    const char *folder;
    bv_buffer header; /* attack.h */
    bv_sandbox_policy policy;
    struct utsname machine;
} corpus;

/* ---- the source ---- */

static void set_c(bv_buffer *out, const char *name, int length, const char *value) {
    bv_buffer_printf(out, "    setenv(\"%.*s\", \"%s\", 1);\n", length, name, value);
}

static void set_python(bv_buffer *out, const char *name, int length, const char *value) {
    bv_buffer_printf(out, "__import__(\"os\").environ[\"%.*s\"] = \"%s\"\n", length, name, value);
}

static void set_shell(bv_buffer *out, const char *name, int length, const char *value) {
    bv_buffer_printf(out, "export %.*s=%s\n", length, name, value);
}

typedef void set_variable(bv_buffer *out, const char *name, int length, const char *value);

static void put_canaries(const corpus *c, set_variable *set, bv_buffer *out) {
    const bool nested = c->policy == BV_POLICY_NESTED;
    for (size_t i = 0; i < BV_CANARIES; i++) {
        const char *word = c->load->canaries.words[i];
        const int length = (int)strcspn(word, "=");
        set(out, word, length, word + length + 1);
    }
    const char *name = nested ? "CANARY_NESTED" : "CANARY_FULL";
    set(out, name, (int)strlen(name), "1");
    name = "CANARY_SHARED_USER"; /* whose judges are an ordinary user's, as they may be */
    if (nested) set(out, name, (int)strlen(name), "1");
}

/* A submission is one file: the header is put in place of its #include. */
static bv_status write_source(const corpus *c, const char *text, const char *language,
                              bv_buffer *out) {
    static const char line[] = "#include \"attack.h\"\n";
    const char *found = strstr(text, line);
    if (found) {
        bv_buffer_append(out, text, (size_t)(found - text));
        bv_buffer_append(out, c->header.data, c->header.size);
        bv_buffer_text(out, "\n__attribute__((constructor)) static void set_canaries(void) {\n");
        put_canaries(c, set_c, out);
        bv_buffer_text(out, "}\n");
        text = found + sizeof line - 1;
    } else if (!strcmp(language, "python")) {
        put_canaries(c, set_python, out);
    } else if (!strcmp(language, "shell")) {
        put_canaries(c, set_shell, out);
    }
    bv_buffer_text(out, text);
    return bv_buffer_error(out);
}

/* ---- the verdict ---- */

static void add_word(char *list, size_t size, const char *word, int length) {
    const size_t used = strlen(list);
    snprintf(list + used, size - used, "%s%.*s", used ? " " : "", length, word);
}

/* A box's verdicts as a level's: who ends well gave no right answer. */
static void add_verdicts(const char *words, char *list, size_t size) {
    for (const char *at = words; *at; at += strspn(at, " ")) {
        const int length = (int)strcspn(at, " ");
        const bool ok = length == 2 && !strncmp(at, "ok", 2);
        add_word(list, size, ok ? "wrong-answer" : at, ok ? (int)strlen("wrong-answer") : length);
        at += length;
    }
}

/* What must come of it: of judges of an ordinary user and of root, since nobody says whose they
 * are. False when it cannot be told under this level's limits, or happens nowhere here. */
static bool expect(const corpus *c, const bv_level *level, const char *text, char *list,
                   size_t size) {
    char compile[128], value[64], words[2][128] = {"", ""};
    const bool at_compiler = bv_attack_note(text, "compile", 0, compile, sizeof compile);
    const bool runs = !at_compiler || bv_attack_has_word(compile, "ok");
    *list = 0;
    if (!bv_attack_happens(text, c->policy, c->machine.machine)) return false;
    if (bv_attack_note(text, "file", 0, value, sizeof value)) return false;
    if (at_compiler && strcmp(compile, "ok") != 0) add_word(list, size, "not-compiled", 12);
    for (int user = 0; runs && user < 2; user++) {
        if (!bv_attack_verdicts(text, c->policy, user, words[user], sizeof words[user]) ||
            !bv_attack_fits(text, words[user], &level->limits))
            return false;
        if (!user || strcmp(words[0], words[1]) != 0) add_verdicts(words[user], list, size);
    }
    return true;
}

/* ---- the corpus ---- */

static bv_status add_attack(corpus *c, const char *name, const char *text) {
    bv_load *l = c->load;
    const bv_level *level = l->set.levels[0];
    char language[64];
    bv_load_program *to = &l->programs[l->count];
    if (!bv_attack_language(name, text, language, sizeof language)) return BV_OK;
    const bv_language *known = bv_language_find(language);
    *to = (bv_load_program){.kind = BV_LOAD_ATTACK, .level = level->name};
    if (!known || !bv_level_accepts(level, language) || l->attack_count == ATTACKS_MAX ||
        !expect(c, level, text, to->expected, sizeof to->expected)) {
        l->left_out++;
        return BV_OK;
    }
    bv_buffer *source = &l->attacks[l->attack_count++];
    BV_TRY(write_source(c, text, language, source));
    to->language = known->name;
    to->source = source->data;
    to->size = source->size;
    snprintf(to->name, sizeof to->name, "%.150s", name);
    l->count++;
    return BV_OK;
}

static bv_status read_attack(corpus *c, const char *name) {
    char path[BV_PATH_SIZE];
    bv_buffer text = {0};
    BV_TRY(bv_path_in(path, c->folder, name));
    bv_error *error = bv_file_read(path, &text);
    if (!error && text.size) error = add_attack(c, name, text.data);
    bv_buffer_free(&text);
    return error;
}

static bv_status read_header(corpus *c) {
    char path[BV_PATH_SIZE];
    BV_TRY(bv_path_in(path, c->folder, "attack.h"));
    return bv_file_exists(path) ? bv_file_read(path, &c->header) : BV_OK;
}

/* Fisher and Yates. */
static void shuffle(bv_load *l) {
    bv_load_program *list = l->programs + l->attack_first;
    const uint64_t seed = (uint64_t)bv_flags_int(l->flags, "seed");
    for (size_t i = l->count - l->attack_first; i > 1; i--) {
        const size_t k = bv_random(seed, BV_RANDOM_TEST, 2, (uint32_t)i, 0, 0).v[0] % i;
        const bv_load_program kept = list[i - 1];
        list[i - 1] = list[k];
        list[k] = kept;
    }
}

bv_status bv_load_attacks_add(bv_load *l, const char *folder) {
    corpus c = {.load = l, .folder = folder};
    char **names = NULL;
    size_t count = 0;
    if (uname(&c.machine)) return bv_fail_errno("uname");
    BV_TRY(bv_policy_flag_read(l->flags, &c.policy));
    BV_TRY(bv_canaries_set(&l->canaries));
    l->attacks = bv_calloc(ATTACKS_MAX, sizeof *l->attacks);
    bv_error *error = l->attacks ? read_header(&c) : bv_fail_memory("attacks");
    if (!error) error = bv_dir_list(folder, &names, &count);
    for (size_t i = 0; !error && i < count; i++) error = read_attack(&c, names[i]);
    if (!error && !l->attack_count)
        error = bv_fail(BV_CODE_USAGE, "%s has no attack that %s takes", folder,
                        l->set.levels[0]->name);
    bv_names_free(names, count);
    bv_buffer_free(&c.header);
    if (!error) shuffle(l);
    return bv_while(error, "reading attacks from %s", folder);
}

/* ---- afterwards ---- */

bv_status bv_load_attacks_report(const bv_load *l, json_t **out) {
    size_t handed_in = 0, distinct = 0;
    *out = NULL;
    if (!l->attack_count) return BV_OK;
    bool *seen = bv_calloc(l->count, sizeof *seen);
    if (!seen) return bv_fail_memory("attacks");
    for (size_t i = 0; i < l->submissions + l->flood_max; i++) {
        const bv_load_program *p = l->results[i].program;
        if (!p || p->kind != BV_LOAD_ATTACK) continue;
        handed_in++;
        distinct += !seen[p - l->programs];
        seen[p - l->programs] = true;
    }
    bv_free(seen);
    BV_TRY(bv_canaries_check(&l->canaries));
    bv_cli_say("  %zu attacks, %zu of the %zu that are possible here (%zu left out): no canary was "
               "touched, %zu breaches\n",
               handed_in, distinct, l->attack_count, l->left_out, (size_t)l->breaches);
    *out = json_pack("{sI sI sI sI sI}", "submitted", (json_int_t)handed_in, "distinct",
                     (json_int_t)distinct, "possible", (json_int_t)l->attack_count, "left_out",
                     (json_int_t)l->left_out, "breaches", (json_int_t)l->breaches);
    return BV_OK;
}
