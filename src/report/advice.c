#include "report/advice.h"

#include "base/cgroup.h"
#include "base/file.h"
#include "report/units.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The first word of a small file of the kernel's, or the one that it marks with [brackets]. */
static void read_word(const char *path, bool marked, char *out, size_t size) {
    bv_buffer text = {0};
    bv_error *error = bv_file_read(path, &text);
    const char *from = error || !text.data ? "" : text.data;
    if (marked) from = strchr(from, '[') ? strchr(from, '[') + 1 : "";
    snprintf(out, size, "%.*s", (int)strcspn(from, "] \n"), from);
    bv_error_free(&error);
    bv_buffer_free(&text);
}

void bv_surroundings_read(bv_surroundings *out) {
    *out = (bv_surroundings){.free_disk_bytes = -1};
    bv_machine_read(&out->machine);
    read_word("/sys/kernel/mm/transparent_hugepage/enabled", true, out->huge_pages,
              sizeof out->huge_pages);
    read_word("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", false, out->governor,
              sizeof out->governor);
    double load;
    if (getloadavg(&load, 1) == 1) out->load = load;
    uint64_t bytes;
    bv_error *error = bv_file_free_space(".", &bytes);
    if (!error) out->free_disk_bytes = (double)bytes;
    bv_error_free(&error);
}

static void add(bv_advice_list *list, const char *remedy, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void add(bv_advice_list *list, const char *remedy, const char *format, ...) {
    if (list->count == BV_ADVICE_MAX) return;
    bv_advice *item = &list->items[list->count++];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(item->what, sizeof item->what, format, arguments);
    va_end(arguments);
    snprintf(item->remedy, sizeof item->remedy, "%s", remedy);
}

static void advise_cores(const bv_surroundings *s, bv_advice_list *out) {
    const bv_machine *m = &s->machine;
    char remedy[100];
    if (m->cores_quota > 0 && bv_cgroup_threads(m->cores_quota) < s->threads) {
        snprintf(remedy, sizeof remedy, "--threads %d, or a larger CPU limit of the container",
                 bv_cgroup_threads(m->cores_quota));
        add(out, remedy, "the cgroup gives %.1f cores of time to %d threads: they will be halted",
            m->cores_quota, s->threads);
    }
    if (m->cores_usable < m->cores_online)
        add(out, "start without taskset, or with a larger set of CPUs",
            "this process may run on %d of %d cores only", m->cores_usable, m->cores_online);
    if (s->threads > m->cores_usable) {
        snprintf(remedy, sizeof remedy, "--threads %d", m->cores_usable);
        add(out, remedy, "%d threads share %d cores and wait for each other", s->threads,
            m->cores_usable);
    }
    if (m->cores_usable == 1)
        add(out, "a machine with more cores, or presets tiny and demo",
            "one core only: training is slow");
    if (s->load > 0.5 * m->cores_online)
        add(out, "wait for the other programs, or end them, before measuring",
            "the machine is busy: load %.1f on %d cores", s->load, m->cores_online);
}

static void advise_memory(const bv_surroundings *s, bv_advice_list *out) {
    const bv_machine *m = &s->machine;
    if (m->memory_available > 0 && m->memory_available < 2e9)
        add(out, "close other programs; --set micro_batch=1 and recompute=all need less",
            "only %s of memory are available (GPT-2 124M trains in about 3 GB)",
            bv_human_bytes((double)m->memory_available).text);
    if (!strcmp(s->huge_pages, "never"))
        add(out, "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled",
            "transparent huge pages are off: large matrices miss the address cache");
    if (s->free_disk_bytes >= 0 && s->free_disk_bytes < 1e9)
        add(out, "make room, or write runs elsewhere with --out", "only %s of disk are free here",
            bv_human_bytes(s->free_disk_bytes).text);
}

static void advise_speed(const bv_surroundings *s, bv_advice_list *out) {
    if (strcmp(s->level, s->best_level) != 0) {
        char remedy[100];
        snprintf(remedy, sizeof remedy, "unset BEAVER_CPU (%.16s is the best of this CPU)",
                 s->best_level);
        add(out, remedy, "BEAVER_CPU holds the kernels at level %s", s->level);
    } else if (!strcmp(s->level, "c")) {
        add(out, "a CPU with AVX2 (2013 and later), AVX-512 or NEON",
            "no vector instructions that Beaver knows: plain C is many times slower");
    } else if (!strcmp(s->level, "avx2")) {
        add(out, "--dtype f32 is as fast here",
            "no AVX-512 with bf16: bf16 gives the same bits, but is emulated");
    }
    if (!strcmp(s->governor, "powersave") || !strcmp(s->governor, "conservative"))
        add(out, "sudo cpupower frequency-set -g performance",
            "the CPU's frequency governor is \"%s\"", s->governor);
    if (s->share_of_best < 0.8)
        add(out,
            "again while nothing else runs; removing limits.json in the cache forgets the best",
            "a limit is %.0f %% of the best seen here, which stays remembered",
            100 * s->share_of_best);
    if (!s->limits_kept)
        add(out, "set HOME or XDG_CACHE_HOME to a folder that can be written",
            "measured limits cannot be remembered");
}

void bv_advise(const bv_surroundings *surroundings, bv_advice_list *out) {
    out->count = 0;
    advise_cores(surroundings, out);
    advise_memory(surroundings, out);
    advise_speed(surroundings, out);
}
