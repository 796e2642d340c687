#include "arena/attack_notes.h"

#include "base/quantity.h"
#include <stdio.h>
#include <string.h>

bool bv_attack_note(const char *text, const char *key, int nth, char *value, size_t size) {
    const size_t length = strlen(key);
    for (const char *line = text; *line == '/' || *line == '#';) {
        const char *at = line + strspn(line, "/# ");
        const char *end = line + strcspn(line, "\n");
        if (!strncmp(at, key, length) && at[length] == ':' && nth-- == 0) {
            at += length + 1;
            at += strspn(at, " ");
            snprintf(value, size, "%.*s", (int)(end - at), at);
            return true;
        }
        if (!*end) break;
        line = end + 1;
    }
    return false;
}

bool bv_attack_has_word(const char *list, const char *word) {
    const size_t length = strlen(word);
    for (const char *at = list; (at = strstr(at, word)); at++)
        if ((at == list || at[-1] == ' ') && (!at[length] || at[length] == ' ')) return true;
    return false;
}

bool bv_attack_verdicts(const char *text, bv_sandbox_policy policy, bool user, char *list,
                        size_t size) {
    const bool nested = policy == BV_POLICY_NESTED;
    return (user && nested && bv_attack_note(text, "verdict user nested", 0, list, size)) ||
           (user && bv_attack_note(text, "verdict user", 0, list, size)) ||
           (nested && bv_attack_note(text, "verdict nested", 0, list, size)) ||
           bv_attack_note(text, "verdict", 0, list, size);
}

bool bv_attack_happens(const char *text, bv_sandbox_policy policy, const char *machine) {
    char value[64];
    if (bv_attack_note(text, "machine", 0, value, sizeof value) && strcmp(value, machine) != 0)
        return false;
    return !bv_attack_note(text, "policy", 0, value, sizeof value) ||
           !strcmp(value, bv_sandbox_policy_name(policy));
}

/* One "name=quantity". */
static bv_status read_limit(const char *word, bv_sandbox_limits *l) {
    uint64_t pids = 0;
    const struct {
        const char *name;
        bool (*parse)(const char *, uint64_t *);
        uint64_t *to;
    } all[] = {{"cpu=", bv_parse_duration, &l->cpu_ns},
               {"wall=", bv_parse_duration, &l->wall_ns},
               {"memory=", bv_parse_bytes, &l->memory_bytes},
               {"files=", bv_parse_bytes, &l->files_bytes},
               {"pids=", bv_parse_bytes, &pids}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const size_t length = strlen(all[i].name);
        if (strncmp(word, all[i].name, length) != 0) continue;
        if (!all[i].parse(word + length, all[i].to))
            return bv_fail(BV_CODE_INPUT, "an attack's limit \"%s\" is no quantity", word);
        if (all[i].to == &pids) l->pids = (uint32_t)pids;
        return BV_OK;
    }
    return bv_fail(BV_CODE_INPUT, "an attack's limits have no \"%s\"", word);
}

bv_status bv_attack_limits(const char *text, bv_sandbox_limits *l) {
    char line[256];
    if (!bv_attack_note(text, "limits", 0, line, sizeof line)) return BV_OK;
    for (char *rest = line, *word; (word = strtok_r(rest, " ", &rest));)
        BV_TRY(read_limit(word, l));
    return BV_OK;
}

bool bv_attack_fits(const char *text, const char *verdicts, const bv_sandbox_limits *l) {
    bv_sandbox_limits named = {0};
    bv_error *error = bv_attack_limits(text, &named);
    const bool known = !error;
    bv_error_free(&error);
    const struct {
        const char *word;
        uint64_t named, here;
        bool endless;
    } all[] = {{"time", named.cpu_ns, l->cpu_ns, true},
               {"wall", named.wall_ns, l->wall_ns, true},
               {"memory", named.memory_bytes, l->memory_bytes, false},
               {"disk", named.files_bytes, l->files_bytes, false},
               {"pids", named.pids, l->pids, false}};
    const bool timed = bv_attack_has_word(verdicts, "time") || bv_attack_has_word(verdicts, "wall");
    bool fits = known;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const bool hit = bv_attack_has_word(verdicts, all[i].word);
        if (!all[i].named || (all[i].endless && timed)) continue;
        fits = fits && (hit ? all[i].here <= all[i].named : all[i].here >= all[i].named);
    }
    return fits;
}

bool bv_attack_language(const char *file, const char *text, char *name, size_t size) {
    const char *suffix = strrchr(file, '.');
    const char *language = !suffix                  ? NULL
                           : !strcmp(suffix, ".c")  ? "c"
                           : !strcmp(suffix, ".py") ? "python"
                           : !strcmp(suffix, ".sh") ? "shell"
                                                    : NULL;
    if (!language) return false;
    if (!bv_attack_note(text, "language", 0, name, size)) snprintf(name, size, "%s", language);
    return true;
}
