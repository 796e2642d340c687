#include "report/machine.h"

#include "base/buffer.h"
#include "base/cgroup.h"
#include "base/file.h"
#include "base/pool.h"
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

/* The text of a small file of the kernel's; false when there is none. */
static bool read_text(const char *path, bv_buffer *text) {
    bv_buffer_clear(text);
    bv_error *error = bv_file_read(path, text);
    const bool fine = !error && text->size > 0;
    bv_error_free(&error);
    return fine;
}

/* Copies the value of "key : value" of a line that begins with `key`. */
static bool find_value(const char *text, const char *key, char *out, size_t size) {
    const size_t length = strlen(key);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        if (*line == '\n') line++;
        if (strncmp(line, key, length) != 0) continue;
        const char *value = line + length;
        while (*value == ' ' || *value == '\t' || *value == ':') value++;
        const size_t n = strcspn(value, "\n");
        snprintf(out, size, "%.*s", (int)n, value);
        return true;
    }
    return false;
}

static void pick_features(const char *all, bv_machine *m) {
    static const char *const wanted[] = {
        "avx",      "avx2",        "fma",         "f16c",        "avx512f",  "avx512bw", "avx512vl",
        "avx512dq", "avx512_bf16", "avx512_vnni", "avx512_fp16", "amx_tile", "amx_bf16", "amx_int8",
        "asimd",    "asimddp",     "bf16",        "i8mm",        "sve",      "sve2",
    };
    size_t used = 0;
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        const size_t length = strlen(wanted[i]);
        for (const char *p = all; (p = strstr(p, wanted[i])); p += length) {
            const bool whole = (p == all || p[-1] == ' ') && (!p[length] || p[length] == ' ');
            if (!whole || used + length + 2 > sizeof m->features) continue;
            used += (size_t)snprintf(m->features + used, sizeof m->features - used, "%s%s",
                                     used ? " " : "", wanted[i]);
            break;
        }
    }
}

static void read_cpu(bv_machine *m, bv_buffer *text) {
    struct utsname name;
    if (uname(&name) == 0) {
        snprintf(m->architecture, sizeof m->architecture, "%.31s", name.machine);
        snprintf(m->kernel, sizeof m->kernel, "%.95s", name.release);
    }
    snprintf(m->cpu, sizeof m->cpu, "%s", m->architecture);
    if (!read_text("/proc/cpuinfo", text)) return;
    char flags[8192];
    find_value(text->data, "model name", m->cpu, sizeof m->cpu);
    if (find_value(text->data, "flags", flags, sizeof flags) ||
        find_value(text->data, "Features", flags, sizeof flags))
        pick_features(flags, m);
}

static void read_cores(bv_machine *m) {
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    m->cores_online = online > 0 ? (int)online : 1;
    m->cores_usable = bv_usable_cores();
}

/* Number of cores in a list like 0-3,8. */
static int count_list(const char *list) {
    int count = 0;
    for (const char *p = list; isdigit((unsigned char)*p);) {
        char *end;
        const long first = strtol(p, &end, 10);
        const long last = *end == '-' ? strtol(end + 1, &end, 10) : first;
        if (last >= first && last - first < 65536) count += (int)(last - first) + 1;
        p = *end == ',' ? end + 1 : end;
    }
    return count;
}

static void read_caches(bv_machine *m, bv_buffer *text) {
    for (int i = 0; i < 8; i++) {
        char path[96];
        const char *folder = "/sys/devices/system/cpu/cpu0/cache/index";
        snprintf(path, sizeof path, "%s%d/level", folder, i);
        if (!read_text(path, text)) break;
        const long level = strtol(text->data, NULL, 10);
        snprintf(path, sizeof path, "%s%d/type", folder, i);
        if (level < 1 || level > 3 || !read_text(path, text)) continue;
        if (!strncmp(text->data, "Instruction", 11)) continue;
        snprintf(path, sizeof path, "%s%d/size", folder, i);
        if (!read_text(path, text)) continue;
        char *unit;
        const uint64_t size = strtoull(text->data, &unit, 10);
        m->cache_bytes[level - 1] = size * (*unit == 'K' ? 1024 : *unit == 'M' ? 1024 * 1024 : 1);
        snprintf(path, sizeof path, "%s%d/shared_cpu_list", folder, i);
        if (read_text(path, text)) m->cache_sharing[level - 1] = count_list(text->data);
    }
}

static void read_memory(bv_machine *m, bv_buffer *text) {
    char value[64];
    if (read_text("/proc/meminfo", text)) {
        if (find_value(text->data, "MemTotal", value, sizeof value))
            m->memory_total = strtoull(value, NULL, 10) * 1024;
        if (find_value(text->data, "MemAvailable", value, sizeof value))
            m->memory_available = strtoull(value, NULL, 10) * 1024;
    }
}

static void read_groups(bv_machine *m) {
    bv_cgroup_limits limits;
    bv_cgroup_limits_read(&limits);
    m->cores_quota = limits.cores;
    if (!limits.memory_bytes) return;
    if (limits.memory_bytes < m->memory_total) m->memory_total = limits.memory_bytes;
    if (limits.memory_left < m->memory_available) m->memory_available = limits.memory_left;
}

void bv_machine_read(bv_machine *machine) {
    *machine = (bv_machine){0};
    bv_buffer text = {0};
    read_cpu(machine, &text);
    read_cores(machine);
    read_caches(machine, &text);
    read_memory(machine, &text);
    read_groups(machine);
    bv_buffer_free(&text);
}

uint64_t bv_machine_peak_memory(void) {
    char value[64] = "";
    bv_buffer text = {0};
    if (read_text("/proc/self/status", &text))
        find_value(text.data, "VmHWM", value, sizeof value); /* in kB */
    bv_buffer_free(&text);
    return strtoull(value, NULL, 10) * 1024;
}
