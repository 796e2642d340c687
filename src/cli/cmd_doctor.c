#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/machine_flags.h"
#include "report/advice.h"
#include "report/limits_cache.h"
#include "report/units.h"
#include "version.h"

#include <stdlib.h>
#include <string.h>

#define MEASURE_SECONDS 1.5

static bv_status run(const bv_flags *flags);
const bv_command bv_cmd_doctor = {
    .name = "doctor",
    .brief = "what this machine is, and what Beaver will use",
    .summary = "Says what this machine is, measures its limits (1.5 s; the best that was ever "
               "measured is remembered for `explain` and for the shares that training prints), "
               "says which kernels will be "
               "used, and what slows it down, each with a remedy.",
    .example = "beaver doctor\n"
               "BEAVER_CPU=avx2 beaver doctor --threads 1 --json",
    .threads = BV_THREADS_COMPUTE,
    .run = run,
};

static const char *best_level(void) {
    size_t count;
    const bv_kernels *const *all = bv_kernels_all(&count);
    const char *best = "c";
    for (size_t i = 0; i < count; i++)
        if (bv_kernels_usable(all[i])) best = all[i]->level;
    return best;
}

static bool forced(void) {
    const char *name = getenv("BEAVER_CPU");
    return name && *name;
}

/* ---- for people ---- */

static void say_machine(const bv_machine *m) {
    bv_cli_say("beaver     %s (%s)\n", BV_VERSION, BV_REVISION);
    bv_cli_say("CPU        %s (%s, Linux %s)\n", m->cpu, m->architecture, m->kernel);
    bv_cli_say("cores      %d usable of %d online", m->cores_usable, m->cores_online);
    if (m->cores_quota > 0) bv_cli_say(", the cgroup gives %.1f", m->cores_quota);
    bv_cli_say("\ncaches     ");
    bool any = false;
    for (int i = 0; i < 3; i++) {
        if (!m->cache_bytes[i]) continue;
        bv_cli_say("%sL%d %llu KiB", any ? ", " : "", i + 1,
                   (unsigned long long)(m->cache_bytes[i] >> 10));
        if (m->cache_sharing[i] > 1) bv_cli_say(" shared by %d", m->cache_sharing[i]);
        any = true;
    }
    bv_cli_say("%s\n", any ? "" : "not told");
    bv_cli_say("features   %s\n", m->features[0] ? m->features : "none that matter");
    bv_cli_say("memory     %s, %s available\n", bv_human_bytes((double)m->memory_total).text,
               bv_human_bytes((double)m->memory_available).text);
}

static void say_kernels(const bv_machine_use *use) {
    size_t count;
    const bv_kernels *const *all = bv_kernels_all(&count);
    bv_cli_say("kernels    ");
    for (size_t i = 0; i < count; i++)
        bv_cli_say("%s%s%s", i ? ", " : "", all[i]->level,
                   bv_kernels_usable(all[i]) ? "" : " (not on this CPU)");
    bv_cli_say("; will use %s%s with %s\n", use->kernels->level, forced() ? " (BEAVER_CPU)" : "",
               bv_human_number((size_t)bv_pool_threads(use->pool), "thread").text);
}

static void say_limits(const bv_limits *limits) {
    bv_cli_say("limits     %s\n", bv_limits_text(limits).text);
}

static void say_advice(const bv_advice_list *advice) {
    if (advice->count == 0) bv_cli_say("nothing to complain about\n");
    for (size_t i = 0; i < advice->count; i++)
        bv_cli_say("! %s\n  try: %s\n", advice->items[i].what, advice->items[i].remedy);
}

/* ---- for programs ---- */

static json_t *features_json(const bv_machine *m) {
    json_t *list = json_array();
    for (const char *p = m->features; *p;) {
        const size_t length = strcspn(p, " ");
        json_array_append_new(list, json_stringn(p, length));
        p += length + strspn(p + length, " ");
    }
    return list;
}

static json_t *caches_json(const bv_machine *m) {
    json_t *list = json_array();
    for (int i = 0; i < 3; i++)
        if (m->cache_bytes[i])
            json_array_append_new(list, json_pack("{sisIsi}", "level", i + 1, "bytes",
                                                  (json_int_t)m->cache_bytes[i], "cores",
                                                  m->cache_sharing[i]));
    return list;
}

static json_t *levels_json(void) {
    size_t count;
    const bv_kernels *const *all = bv_kernels_all(&count);
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_pack("{sssb}", "name", all[i]->level, "usable",
                                              (int)bv_kernels_usable(all[i])));
    return list;
}

static json_t *advice_json(const bv_advice_list *advice) {
    json_t *list = json_array();
    for (size_t i = 0; i < advice->count; i++)
        json_array_append_new(list, json_pack("{ssss}", "what", advice->items[i].what, "remedy",
                                              advice->items[i].remedy));
    return list;
}

static json_t *report_json(const bv_machine *m, const bv_machine_use *use, const bv_limits *limits,
                           const bv_advice_list *advice) {
    return json_pack(
        "{ssssss ss so sisisf so sIsI ss sb si so s{sfsfsfsf} so}", "version", BV_VERSION,
        "revision", BV_REVISION, "cpu", m->cpu, "architecture", m->architecture, "features",
        features_json(m), "cores_online", m->cores_online, "cores_usable", m->cores_usable,
        "cores_quota", m->cores_quota, "caches", caches_json(m), "memory_total",
        (json_int_t)m->memory_total, "memory_available", (json_int_t)m->memory_available, "level",
        use->kernels->level, "forced", (int)forced(), "threads", bv_pool_threads(use->pool),
        "levels", levels_json(), "limits", "f32_gflops", limits->f32_gflops, "bf16_gflops",
        limits->bf16_gflops, "int8_gops", limits->int8_gops, "read_gbps", limits->read_gbps,
        "warnings", advice_json(advice));
}

static bv_status examine(const bv_machine_use *use, bool as_json) {
    bv_surroundings around;
    bv_surroundings_read(&around); /* before measuring, which is load itself */
    around.threads = bv_pool_threads(use->pool);
    around.level = use->kernels->level;
    around.best_level = best_level();
    if (!as_json) {
        say_machine(&around.machine);
        say_kernels(use);
    }
    bv_limits limits, best;
    BV_TRY(bv_limits_measure(use->kernels, use->pool, MEASURE_SECONDS, &limits));
    bv_error *error = bv_limits_remember(bv_pool_threads(use->pool), around.level, &limits, &best);
    around.limits_kept = error == BV_OK;
    around.share_of_best = bv_limits_share(&limits, &best);
    bv_error_free(&error);
    bv_advice_list advice;
    bv_advise(&around, &advice);
    if (as_json) return bv_cli_json(report_json(&around.machine, use, &limits, &advice));
    say_limits(&limits);
    say_advice(&advice);
    return BV_OK;
}

static bv_status run(const bv_flags *flags) {
    bv_machine_use use;
    bv_error *error = bv_machine_begin(flags, &use);
    if (!error) error = examine(&use, bv_flags_bool(flags, "json"));
    bv_machine_end(&use);
    return error;
}
