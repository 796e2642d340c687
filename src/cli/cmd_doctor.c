#include "base/file.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/machine_flags.h"
#include "report/limits_cache.h"
#include "report/machine.h"
#include "report/units.h"

#include <stdio.h>
#include <string.h>

#define MEASURE_SECONDS 1.5
#define LITTLE_MEMORY ((uint64_t)1 << 30)

static const bv_flag flag_table[] = {BV_THREADS_FLAG, BV_JSON_FLAG};

static const bv_command command = {
    .name = "doctor",
    .summary = "Says what this machine is, measures its limits (about two seconds; they are kept "
               "for the shares of the limit that training shows), what Beaver will use, and what "
               "could be better.",
    .example = "beaver doctor\nbeaver doctor --threads 1 --json",
    .flags = flag_table,
    .flag_count = sizeof flag_table / sizeof *flag_table,
};

/* ---- advice ---- */

/* Something that costs speed, and its remedy. */
typedef struct advice {
    char texts[6][256];
    size_t count;
} advice;

#define ADVISE(list, ...)                                                                          \
    snprintf((list)->texts[(list)->count++], sizeof *(list)->texts, __VA_ARGS__)

static bool file_has(const char *path, const char *word) {
    bv_buffer text = {0};
    bv_error *error = bv_file_read(path, &text);
    const bool found = !error && text.data && strstr(text.data, word);
    bv_error_free(&error);
    bv_buffer_free(&text);
    return found;
}

static void look_for_trouble(const bv_machine *m, const bv_machine_use *use, advice *list) {
    const int threads = bv_pool_threads(use->pool);
    if (threads > m->cores_usable)
        ADVISE(list, "%d threads on %d usable cores wait for each other; try: --threads %d",
               threads, m->cores_usable, m->cores_usable);
    if (m->cores_quota > 0 && m->cores_quota < threads)
        ADVISE(list, "this container may use %.1f cores, fewer than %d threads; try: --threads %d",
               m->cores_quota, threads, m->cores_quota < 1 ? 1 : (int)m->cores_quota);
    if (!strcmp(use->kernels->level, "c"))
        ADVISE(list, "plain C kernels: the CPU has no AVX2, AVX-512 or NEON that this program "
                     "knows, or BEAVER_CPU=c is set");
    if (file_has("/sys/kernel/mm/transparent_hugepage/enabled", "[never]"))
        ADVISE(list, "huge pages are off; try: echo madvise > "
                     "/sys/kernel/mm/transparent_hugepage/enabled");
    if (file_has("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave"))
        ADVISE(list, "the CPU saves power; try: cpupower frequency-set -g performance");
    if (m->memory_available && m->memory_available < LITTLE_MEMORY)
        ADVISE(list, "only %s of memory are free",
               bv_human_bytes((double)m->memory_available).text);
}

/* ---- telling ---- */

static void list_levels(char *text, size_t size) {
    size_t count, used = 0;
    const bv_kernels *const *all = bv_kernels_all(&count);
    for (size_t i = 0; i < count && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s%s", i ? ", " : "", all[i]->level,
                                 bv_kernels_usable(all[i]) ? "" : " (not on this CPU)");
}

static void tell_machine(const bv_machine *m) {
    bv_cli_say("machine   %s, %s, Linux %s\n", m->cpu, m->architecture, m->kernel);
    bv_cli_say("cores     %d usable of %d", m->cores_usable, m->cores_online);
    if (m->cores_quota > 0) bv_cli_say(", limited to %.1f", m->cores_quota);
    bv_cli_say("\ncaches    ");
    for (int i = 0; i < 3; i++)
        if (m->cache_bytes[i])
            bv_cli_say("%sL%d %zu KiB%s", i ? ", " : "", i + 1, (size_t)m->cache_bytes[i] / 1024,
                       m->cache_sharing[i] > 1 ? " shared" : "");
    bv_cli_say("\nmemory    %s, %s free\n", bv_human_bytes((double)m->memory_total).text,
               bv_human_bytes((double)m->memory_available).text);
    if (*m->features) bv_cli_say("features  %s\n", m->features);
}

static void tell(const bv_machine *m, const bv_machine_use *use, const bv_limits *l,
                 const advice *list) {
    char levels[160] = "";
    list_levels(levels, sizeof levels);
    tell_machine(m);
    bv_cli_say("measured  f32 %.0f GFLOP/s, bf16 %.0f GFLOP/s, memory %.1f GB/s (%d threads)\n",
               l->f32_gflops, l->bf16_gflops, l->read_gbps, bv_pool_threads(use->pool));
    bv_cli_say("kernels   %s of %s\n", use->kernels->level, levels);
    for (size_t i = 0; i < list->count; i++) bv_cli_say("advice    %s\n", list->texts[i]);
    if (list->count == 0) bv_cli_say("advice    none: all is well\n");
}

static bv_status print_json(const bv_machine *m, const bv_machine_use *use, const bv_limits *l,
                            const advice *list) {
    json_t *texts = json_array(), *levels = json_array(), *caches = json_array();
    size_t count;
    const bv_kernels *const *all = bv_kernels_all(&count);
    for (size_t i = 0; i < count; i++)
        if (bv_kernels_usable(all[i])) json_array_append_new(levels, json_string(all[i]->level));
    for (size_t i = 0; i < list->count; i++)
        json_array_append_new(texts, json_string(list->texts[i]));
    for (int i = 0; i < 3; i++)
        json_array_append_new(caches, json_integer((json_int_t)m->cache_bytes[i]));
    return bv_cli_json(json_pack(
        "{ss ss ss ss si si sf so sI sI sf sf sf si ss so so}", "cpu", m->cpu, "architecture",
        m->architecture, "kernel", m->kernel, "features", m->features, "cores_usable",
        m->cores_usable, "cores_online", m->cores_online, "cores_quota", m->cores_quota,
        "cache_bytes", caches, "memory_total", (json_int_t)m->memory_total, "memory_available",
        (json_int_t)m->memory_available, "f32_gflops", l->f32_gflops, "bf16_gflops", l->bf16_gflops,
        "read_gbps", l->read_gbps, "threads", bv_pool_threads(use->pool), "level",
        use->kernels->level, "levels", levels, "advice", texts));
}

static bv_status examine(const bv_flags *flags) {
    bv_machine_use use;
    bv_machine machine;
    bv_limits limits;
    advice list = {0};
    BV_TRY(bv_machine_begin(flags, &use));
    bv_machine_read(&machine);
    look_for_trouble(&machine, &use, &list);
    bv_error *error = bv_limits_measure(use.kernels, use.pool, MEASURE_SECONDS, &limits);
    if (!error) {
        /* Without a place to keep them the figures are still worth telling. */
        bv_error *kept = bv_limits_remember(bv_pool_threads(use.pool), use.kernels->level, &limits);
        if (kept) ADVISE(&list, "the measured limits cannot be kept: set XDG_CACHE_HOME");
        bv_error_free(&kept);
        tell(&machine, &use, &limits, &list);
        if (bv_flags_bool(flags, "json")) error = print_json(&machine, &use, &limits, &list);
    }
    bv_machine_end(&use);
    return error;
}

bv_status bv_cmd_doctor(int argc, char **argv) {
    bv_flags *flags;
    BV_TRY(bv_flags_parse(&command, argc, argv, &flags));
    if (!flags) return BV_OK;
    bv_error *error = examine(flags);
    bv_flags_free(&flags);
    return error;
}
