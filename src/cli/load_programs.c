#include "cli/load.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/random.h"
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

bv_status bv_load_programs_gather(bv_load *l) {
    const char *attacks = bv_flags_string(l->flags, "attacks");
    BV_TRY(add_solutions(l));
    return attacks ? bv_load_attacks_add(l, attacks) : BV_OK;
}

void bv_load_programs_free(bv_load *l) {
    for (size_t i = 0; i < l->attack_count; i++) bv_buffer_free(&l->attacks[i]);
    bv_free(l->attacks);
    bv_free(l->programs);
    bv_canaries_remove(&l->canaries);
}

static uint32_t random_of(const bv_load *l, size_t index) {
    const uint64_t seed = (uint64_t)bv_flags_int(l->flags, "seed");
    return bv_random(seed, BV_RANDOM_TEST, 1, (uint32_t)index, 0, 0).v[1];
}

const bv_load_program *bv_load_choose_solution(const bv_load *l, size_t index) {
    return &l->programs[random_of(l, index) % l->attack_first];
}

const bv_load_program *bv_load_choose(const bv_load *l, size_t index) {
    const size_t attacks = l->count - l->attack_first;
    const double share = attacks ? bv_flags_double(l->flags, "attack-share") : 0;
    const size_t before = (size_t)((double)index * share); /* attacks among the first `index` */
    if ((size_t)((double)(index + 1) * share) == before) return bv_load_choose_solution(l, index);
    return &l->programs[l->attack_first + before % attacks];
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
