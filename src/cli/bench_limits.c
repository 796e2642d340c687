#include "cli/bench.h"
#include "cli/cli.h"
#include "cli/compute.h"
#include "report/machine.h"

static const bv_flag flag_table[] = {
    {.name = "seconds",
     .value = "S",
     .type = BV_FLAG_DOUBLE,
     .min = 0.03,
     .max = 600,
     .fallback = "1.5",
     .help = "how long to measure, for each number of threads"},
    BV_FLAG_THREADS,
    BV_FLAG_JSON,
};

static const bv_command command = {
    .name = "bench limits",
    .summary = "Measures what this machine can reach at most: multiply-adds from registers alone "
               "(f32 and bf16) and reads of memory, with one thread and with all. Remembers them: "
               "they are what the shares of other benchmarks and of training are shares of.",
    .example = "beaver bench limits --json",
    .flags = flag_table,
    .flag_count = sizeof flag_table / sizeof *flag_table,
};

/* Measures with that many threads; appends to `list`, or says it when that is NULL. */
static bv_status measure(int64_t threads, double seconds, json_t *list) {
    bv_compute compute;
    BV_TRY(bv_compute_open(threads, &compute));
    bv_limits limits;
    bv_error *error = bv_compute_measure(&compute, seconds, &limits);
    if (!error && !list)
        bv_cli_say("%7d  %8.1f GFLOP/s  %8.1f GFLOP/s  %6.1f GB/s\n", compute.threads,
                   limits.f32_gflops, limits.bf16_gflops, limits.read_gbps);
    if (!error && list)
        json_array_append_new(list, json_pack("{sisfsfsf}", "threads", compute.threads,
                                              "f32_gflops", limits.f32_gflops, "bf16_gflops",
                                              limits.bf16_gflops, "read_gbps", limits.read_gbps));
    bv_compute_close(&compute);
    return error;
}

bv_status bv_bench_limits(int argc, char **argv) {
    bv_flags *flags;
    BV_TRY(bv_flags_parse(&command, argc, argv, &flags));
    if (!flags) return BV_OK;
    const bool as_json = bv_flags_bool(flags, "json");
    const double seconds = bv_flags_double(flags, "seconds");
    int64_t threads = bv_flags_int(flags, "threads");
    bv_flags_free(&flags);
    bv_compute compute; /* only to learn the level, and what 0 threads mean */
    BV_TRY(bv_compute_open(threads, &compute));
    threads = compute.threads;
    const char *level = compute.kernels->level;
    bv_compute_close(&compute);

    bv_machine machine;
    bv_machine_read(&machine);
    json_t *list = as_json ? json_array() : NULL;
    if (as_json && !list) return bv_fail_memory("JSON");
    if (!as_json) {
        bv_cli_say("%s, level %s\n", machine.cpu, level);
        bv_cli_say("threads  %16s  %16s  %11s\n", "f32", "bf16", "reads");
    }
    bv_error *error = measure(1, seconds, list);
    if (!error && threads != 1) error = measure(threads, seconds, list);
    if (error || !as_json) {
        json_decref(list);
        return error;
    }
    return bv_cli_json(json_pack("{ss ss so}", "cpu", machine.cpu, "level", level, "limits", list));
}
