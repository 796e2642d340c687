#include "cli/load.h"

#include "arena/language.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/text.h"
#include <stdio.h>
#include <string.h>

static bool is_wanted(const bv_load *l, const char *level, const char *language) {
    const char *one = bv_flags_string(l->flags, "level");
    const char *of = bv_flags_string(l->flags, "language");
    return (!one || !strcmp(one, level)) && (!of || !strcmp(of, language));
}

/* --as: the same sources by another compiler. */
static const char *handed_in_as(const bv_load *l, const char *language) {
    const char *as = bv_flags_string(l->flags, "as");
    return as && !strcmp(language, "c") ? as : language;
}

static void add(bv_load *l, bv_load_kind kind, const bv_level *level, const bv_level_program *p) {
    if (!is_wanted(l, level->name, p->language)) return;
    bv_load_program *to = &l->programs[l->count++];
    *to = (bv_load_program){.kind = kind,
                            .level = level->name,
                            .language = handed_in_as(l, p->language),
                            .source = p->source.data ? p->source.data : "",
                            .size = p->source.size};
    snprintf(to->name, sizeof to->name, "%s/%s", level->name, p->name);
}

static bv_status add_solutions(bv_load *l) {
    size_t most = 0;
    for (size_t i = 0; i < l->set.count; i++)
        most += l->set.levels[i]->references.count + l->set.levels[i]->wrongs.count;
    l->programs = bv_calloc(most + 1024, sizeof *l->programs);
    if (!l->programs) return bv_fail_memory("programs");
    for (size_t i = 0; i < l->set.count; i++) {
        const bv_level *level = l->set.levels[i];
        for (size_t k = 0; k < level->references.count; k++)
            add(l, BV_LOAD_RIGHT, level, &level->references.list[k]);
        for (size_t k = 0; k < level->wrongs.count; k++)
            add(l, BV_LOAD_WRONG, level, &level->wrongs.list[k]);
    }
    l->attack_first = l->count;
    return l->count ? BV_OK : bv_fail(BV_CODE_USAGE, "no solution is of that level and language");
}

/* A submission is one file: the header that attacks share is put in place of its #include. */
static bv_status read_attack(const char *path, const bv_buffer *header, bv_buffer *out) {
    static const char line[] = "#include \"attack.h\"\n";
    bv_buffer text = {0};
    bv_error *error = bv_file_read(path, &text);
    const char *found = text.data ? strstr(text.data, line) : NULL;
    if (found) {
        bv_buffer_append(out, text.data, (size_t)(found - text.data));
        bv_buffer_append(out, header->data, header->size);
        bv_buffer_text(out, found + sizeof line - 1);
    } else {
        bv_buffer_append(out, text.data, text.size);
    }
    bv_buffer_free(&text);
    return error ? error : bv_buffer_error(out);
}

static bv_status add_attack(bv_load *l, const char *folder, const char *name,
                            const bv_buffer *header) {
    const char *language = bv_ends_with(name, ".c")    ? "c"
                           : bv_ends_with(name, ".py") ? "python"
                                                       : NULL;
    const bv_level *level = l->set.levels[0];
    if (!language || !bv_level_accepts(level, language) || l->attack_count == 1000) return BV_OK;
    char *path = bv_path_join(folder, name);
    if (!path) return bv_fail_memory("a path");
    bv_buffer *source = &l->attacks[l->attack_count++];
    bv_error *error = read_attack(path, header, source);
    bv_free(path);
    if (error) return error;
    bv_load_program *to = &l->programs[l->count++];
    *to = (bv_load_program){.kind = BV_LOAD_ATTACK,
                            .level = level->name,
                            .language = handed_in_as(l, language),
                            .source = source->data ? source->data : "",
                            .size = source->size};
    snprintf(to->name, sizeof to->name, "%.150s", name);
    return BV_OK;
}

static bv_status add_attacks(bv_load *l, const char *folder) {
    char **names = NULL, *path = bv_path_join(folder, "attack.h");
    size_t count = 0;
    bv_buffer header = {0};
    l->attacks = bv_calloc(1024, sizeof *l->attacks);
    bv_error *error = path && l->attacks ? BV_OK : bv_fail_memory("attacks");
    if (!error && bv_file_exists(path)) error = bv_file_read(path, &header);
    if (!error) error = bv_dir_list(folder, &names, &count);
    for (size_t i = 0; !error && i < count; i++) error = add_attack(l, folder, names[i], &header);
    if (!error && !l->attack_count)
        error = bv_fail(BV_CODE_USAGE, "%s has no .c or .py programs", folder);
    for (size_t i = 0; i < count; i++) bv_free(names[i]);
    bv_free(names);
    bv_free(path);
    bv_buffer_free(&header);
    return error;
}

bv_status bv_load_programs_gather(bv_load *l) {
    const char *attacks = bv_flags_string(l->flags, "attacks");
    BV_TRY(add_solutions(l));
    return attacks ? add_attacks(l, attacks) : BV_OK;
}

void bv_load_programs_free(bv_load *l) {
    for (size_t i = 0; i < l->attack_count; i++) bv_buffer_free(&l->attacks[i]);
    bv_free(l->attacks);
    bv_free(l->programs);
}

const bv_load_program *bv_load_choose(const bv_load *l, size_t index) {
    const bv_random4 r = bv_random((uint64_t)bv_flags_int(l->flags, "seed"), BV_RANDOM_TEST, 1,
                                   (uint32_t)index, 0, 0);
    const size_t attacks = l->count - l->attack_first;
    if (attacks && bv_uniform_f32(r.v[0]) < (float)bv_flags_double(l->flags, "attack-share"))
        return &l->programs[l->attack_first + r.v[1] % attacks];
    return &l->programs[r.v[1] % l->attack_first];
}

bv_status bv_load_source(const bv_load *l, const bv_load_program *p, size_t index, bv_buffer *out) {
    bv_buffer_append(out, p->source, p->size);
    if (bv_flags_bool(l->flags, "distinct"))
        bv_buffer_printf(out,
                         strcmp(p->language, "python") && strcmp(p->language, "shell")
                             ? "\n/* %lld %zu */\n"
                             : "\n# %lld %zu\n",
                         (long long)bv_clock_wall_ms(), index);
    return bv_buffer_error(out);
}
