#include "arena/sandbox.h"
#include "arena/sandbox_selftest.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/quantity.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/policy_flag.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define INPUT_MAX (1u << 30)
#define QUANTITY_MAX 1000000000000000u

/* ---- quantities ---- */

/* More than nothing, and so little that deadlines don't overflow: 11 days, or 1 PB. */
static bv_status check_quantity(const char *flag, const char *text, bool good,
                                const uint64_t *value, const char *example) {
    if (!good)
        return bv_try(bv_fail(BV_CODE_USAGE, "--%s: \"%s\" is no quantity", flag, text), "--%s %s",
                      flag, example);
    if (*value == 0) return bv_fail(BV_CODE_USAGE, "--%s must be more than 0", flag);
    if (*value <= QUANTITY_MAX) return BV_OK;
    return bv_try(bv_fail(BV_CODE_USAGE, "--%s: \"%s\" is too much", flag, text), "--%s %s", flag,
                  example);
}

static bv_status read_time(const bv_flags *flags, const char *name, uint64_t *out) {
    const char *text = bv_flags_string(flags, name);
    return check_quantity(name, text, bv_parse_duration(text, out), out, "2s");
}

static bv_status read_size(const bv_flags *flags, const char *name, uint64_t *out) {
    const char *text = bv_flags_string(flags, name);
    return check_quantity(name, text, bv_parse_bytes(text, out), out, "64M");
}

/* ---- run ---- */

static const bv_flag run_flags[] = {
    BV_STRING_FLAG("cpu", "TIME", "2s", "CPU time of all its processes together"),
    BV_STRING_FLAG("wall", "TIME", "4s", "time on the clock"),
    BV_STRING_FLAG("memory", "SIZE", "256M",
                   "memory of all its processes, its files included (M is 10^6 bytes)"),
    BV_INT_FLAG("pids", "N", 1, 32768, "16", "processes and threads at once"),
    BV_STRING_FLAG("output", "SIZE", "1M", "bytes on standard output and standard error together"),
    BV_STRING_FLAG("files", "SIZE", "64M", "bytes in its files"),
    BV_STRING_FLAG("net", "NET", "none", "none is all there is: not even loopback"),
    BV_POLICY_FLAG,
    BV_STRING_FLAG("root", "NAME", "system",
                   "what it sees, read-only: system (/usr), or static (nothing)"),
    BV_LIST_FLAG("place", "FILE", "a file that is copied into its work folder before"),
    BV_LIST_FLAG("fetch", "NAME",
                 "a file of its work folder that is copied here after (regular files only)"),
    BV_STRING_FLAG("verdict", "FILE", NULL, "where the verdict goes, instead of standard error"),
};
static const bv_argument run_arguments[] = {
    {.name = "PROGRAM",
     .help = "a file, which is copied into the work folder, or a command of /usr"},
    {.name = "ARGS", .help = "its arguments", .optional = true, .repeated = true},
};
static bv_status run_run(const bv_flags *flags);
static const bv_command run_command = {
    .name = "sandbox run",
    .brief = "run one program in a box",
    .summary =
        "Runs a program in a box, its input and output ours, and says how it ended: one line "
        "of JSON on standard error, in a file, or with --json on standard output, what the program "
        "wrote in it. The exit code is 0 when it was run, whatever its verdict; 1 when the sandbox "
        "failed.",
    .example = "beaver sandbox run --cpu 1s --memory 64M -- ./a.out < input\n"
               "beaver sandbox run --place main.py --verdict verdict.json -- python3 main.py",
    BV_ARGUMENTS(run_arguments),
    BV_FLAGS(run_flags),
    .run = run_run,
};

/* What a run owns. */
typedef struct single_run {
    bv_sandbox_job job;
    bv_sandbox_options options;
    bv_sandbox_file *files;
    bv_buffer *contents;
    bv_sandbox_wanted *wanted;
    const char **argv;
    bv_buffer input;
    bv_sandbox_result result;
} single_run;

static bv_status read_limits(const bv_flags *flags, bv_sandbox_limits *l) {
    bv_sandbox_limits_default(l);
    BV_TRY(read_time(flags, "cpu", &l->cpu_ns));
    BV_TRY(read_time(flags, "wall", &l->wall_ns));
    BV_TRY(read_size(flags, "memory", &l->memory_bytes));
    BV_TRY(read_size(flags, "output", &l->output_bytes));
    BV_TRY(read_size(flags, "files", &l->files_bytes));
    l->pids = (uint32_t)bv_flags_int(flags, "pids");
    return BV_OK;
}

static bv_status read_choices(const bv_flags *flags, single_run *r) {
    const char *root = bv_flags_string(flags, "root"), *net = bv_flags_string(flags, "net");
    r->options.boxes = 1;
    BV_TRY(bv_policy_flag_read(flags, &r->options.policy));
    if (strcmp(net, "none"))
        return bv_try(bv_fail(BV_CODE_USAGE, "--net: a box has no network"), "--net none");
    if (!strcmp(root, "static"))
        r->options.root = &bv_sandbox_root_static;
    else if (!strcmp(root, "system"))
        r->options.root = &bv_sandbox_root_system;
    else
        return bv_try(bv_fail(BV_CODE_USAGE, "--root: there is no root \"%s\"", root),
                      "--root system, or --root static");
    r->job.root = r->options.root;
    return BV_OK;
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool of_the_system(const char *path) {
    const char *const seen[] = {"/usr/", "/bin/", "/sbin/"};
    for (size_t i = 0; i < sizeof seen / sizeof *seen; i++)
        if (!strncmp(path, seen[i], strlen(seen[i]))) return true;
    return false;
}

/* Before it is read: a device may have no end, and a pipe no writer. */
static bv_status check_file(const single_run *r, const char *path) {
    struct stat s;
    if (stat(path, &s)) return bv_fail_errno("cannot open %s", path);
    if (S_ISDIR(s.st_mode)) return bv_fail(BV_CODE_INPUT, "%s is a folder, not a file", path);
    if (!S_ISREG(s.st_mode))
        return bv_fail(BV_CODE_INPUT, "%s is a pipe or a device, not a file", path);
    if ((uint64_t)s.st_size <= r->job.limits.files_bytes) return BV_OK;
    return bv_try(bv_fail(BV_CODE_INPUT, "%s has %lld bytes, which do not fit into a box", path,
                          (long long)s.st_size),
                  "a higher --files");
}

static bv_status add_file(single_run *r, const char *path, bool executable) {
    const size_t i = r->job.file_count;
    BV_TRY(check_file(r, path));
    BV_TRY(bv_file_read(path, &r->contents[i]));
    r->files[i] = (bv_sandbox_file){.name = base_name(path),
                                    .bytes = r->contents[i].data,
                                    .size = r->contents[i].size,
                                    .executable = executable};
    r->job.file_count++;
    return BV_OK;
}

static bv_status collect(const bv_flags *flags, single_run *r) {
    size_t places, fetches, words;
    const char *const *place = bv_flags_list(flags, "place", &places);
    const char *const *fetch = bv_flags_list(flags, "fetch", &fetches);
    const char *const *word = bv_flags_arguments(flags, &words);
    r->files = bv_calloc(places + 2, sizeof *r->files);
    r->contents = bv_calloc(places + 2, sizeof *r->contents);
    r->wanted = bv_calloc(fetches + 1, sizeof *r->wanted);
    r->argv = bv_calloc(words + 1, sizeof *r->argv);
    if (!r->files || !r->contents || !r->wanted || !r->argv) return bv_fail_memory("a job");
    for (size_t i = 0; i < words; i++) r->argv[i] = word[i];
    r->job.argv = r->argv, r->job.files = r->files, r->job.wanted = r->wanted;
    const char *verdict = bv_flags_string(flags, "verdict");
    for (size_t i = 0; i < places; i++) {
        if (verdict) BV_TRY(bv_file_check_apart(verdict, place[i]));
        BV_TRY(add_file(r, place[i], access(place[i], X_OK) == 0));
    }
    for (size_t i = 0; i < fetches; i++)
        r->wanted[i] = (bv_sandbox_wanted){fetch[i], (size_t)r->job.limits.files_bytes};
    r->job.wanted_count = fetches;
    if (!strchr(r->argv[0], '/') || of_the_system(r->argv[0])) return BV_OK;
    if (verdict) BV_TRY(bv_file_check_apart(verdict, r->argv[0]));
    BV_TRY(add_file(r, r->argv[0], true));
    r->argv[0] = base_name(r->argv[0]);
    return BV_OK;
}

/* Standard input is read to its end before: a file, a pipe, but no terminal. None is empty. */
static bv_status read_input(bv_buffer *out) {
    if (isatty(0)) return BV_OK;
    for (;;) {
        if (!bv_buffer_reserve(out, 65536)) return bv_fail_memory("the input");
        const ssize_t n = read(0, out->data + out->size, 65536);
        if (n < 0 && bv_cli_again(0, POLLIN)) continue;
        if (n < 0 && errno == EBADF) return BV_OK;
        if (n < 0) return bv_fail_errno("cannot read standard input");
        if (n == 0) return BV_OK;
        out->size += (size_t)n;
        if (out->size > INPUT_MAX)
            return bv_fail(BV_CODE_INPUT, "the input has more than %u bytes", INPUT_MAX);
    }
}

static json_t *verdict_json(const bv_sandbox_result *r) {
    return json_pack("{ss si si sf sf sI ss ss*}", "verdict", bv_sandbox_verdict_name(r->verdict),
                     "exit_code", r->exit_code, "signal", r->signal, "cpu_ms",
                     (double)(r->cpu_ns / 1000) / 1e3, "wall_ms", (double)(r->wall_ns / 1000) / 1e3,
                     "peak_memory_bytes", (json_int_t)r->peak_memory_bytes, "policy",
                     bv_sandbox_policy_name(r->policy), "reason", r->reason[0] ? r->reason : NULL);
}

/* A verdict that its file does not take is at least said. */
static bv_status write_verdict(const char *path, const bv_sandbox_result *result) {
    json_t *value = verdict_json(result);
    bv_buffer line = {0};
    bv_error *error = bv_json_text(value, 0, &line);
    bv_buffer_text(&line, "\n");
    if (!error) error = bv_buffer_error(&line);
    if (!error && path) error = bv_file_write(path, line.data, line.size);
    if (error && line.data)
        bv_cli_say("%s", line.data);
    else if (!error && !path)
        error = bv_cli_print_error(line.data, line.size);
    bv_buffer_free(&line);
    json_decref(value);
    return error;
}

/* Before the run, which may take long. */
static bv_status check_verdict_place(const char *path) {
    const char *slash = path ? strrchr(path, '/') : NULL;
    bv_buffer folder = {0};
    if (!path) return BV_OK;
    if (!*path || bv_dir_exists(path))
        return bv_fail(BV_CODE_USAGE, "--verdict: \"%s\" cannot be the name of a file", path);
    bv_buffer_printf(&folder, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
    bv_error *error = bv_buffer_error(&folder);
    if (!error && access(path, W_OK) && access(folder.data, W_OK | X_OK))
        error = bv_fail_errno("cannot write %s", path);
    bv_buffer_free(&folder);
    return error;
}

/* --json: verdict and output in one line. */
static bv_status print_result(const bv_sandbox_result *r) {
    json_t *value = verdict_json(r);
    json_object_set_new(value, "output", bv_json_string(r->output.data, r->output.size));
    json_object_set_new(value, "error", bv_json_string(r->error.data, r->error.size));
    return bv_cli_json(value);
}

static bool are_one_file(int a, int b) {
    struct stat s, t;
    return !fstat(a, &s) && !fstat(b, &t) && s.st_dev == t.st_dev && s.st_ino == t.st_ino;
}

/* What the program wrote, where it would have gone. `verdict` follows there on a line of its own.
 */
static bv_status pass_on(const bv_sandbox_result *result, bool verdict) {
    const bv_buffer *out = &result->output, *err = &result->error;
    bv_error *error = bv_cli_print(out->data, out->size);
    bv_error *second = bv_cli_print_error(err->data, err->size);
    const bv_buffer *last = err->size || !are_one_file(1, 2) ? err : out;
    if (!second && verdict && last->size && last->data[last->size - 1] != '\n')
        second = bv_cli_print_error("\n", 1);
    return bv_first_error(error, second);
}

static bv_status write_fetched(const bv_sandbox_result *result) {
    for (size_t i = 0; i < result->fetched_count; i++) {
        const bv_sandbox_fetched *f = &result->fetched[i];
        if (!f->found)
            bv_cli_say("there is no regular file %s to fetch\n", f->name);
        else if (f->too_large)
            bv_cli_say("%s is too large to fetch\n", f->name);
        else
            BV_TRY(bv_file_write(f->name, f->bytes.data ? f->bytes.data : "", f->bytes.size));
    }
    return BV_OK;
}

/* What one part of a result could not be written does not keep the others back. */
static bv_status tell(const bv_flags *flags, const bv_sandbox_result *result) {
    const bool as_json = bv_flags_bool(flags, "json");
    const char *path = bv_flags_string(flags, "verdict");
    bv_error *error = as_json ? BV_OK : pass_on(result, !path);
    error = bv_first_error(error, write_fetched(result));
    if (path || !as_json) error = bv_first_error(error, write_verdict(path, result));
    if (as_json) error = bv_first_error(error, print_result(result));
    return error;
}

static bv_status run_once(const bv_flags *flags, single_run *r) {
    bv_sandbox_pool *pool;
    r->job.input = r->input.data, r->job.input_size = r->input.size;
    BV_TRY(bv_sandbox_pool_create(&r->options, &pool));
    bv_error *error = bv_sandbox_run(pool, &r->job, &r->result);
    bv_sandbox_pool_destroy(&pool);
    if (!error) error = tell(flags, &r->result);
    if (!error && r->result.verdict == BV_VERDICT_FAULT)
        error = bv_try(bv_fail(BV_CODE_FAULT, "the sandbox failed: %s", r->result.reason),
                       "beaver sandbox selftest");
    return error;
}

static bv_status run_run(const bv_flags *flags) {
    single_run r = {0};
    bv_error *error = read_limits(flags, &r.job.limits);
    if (!error) error = read_choices(flags, &r);
    if (!error) error = check_verdict_place(bv_flags_string(flags, "verdict"));
    if (!error) error = collect(flags, &r);
    if (!error) error = read_input(&r.input);
    if (!error) error = run_once(flags, &r);
    for (size_t i = 0; r.contents && i < r.job.file_count + 1; i++) bv_buffer_free(&r.contents[i]);
    bv_free(r.files);
    bv_free(r.contents);
    bv_free(r.wanted);
    bv_free(r.argv);
    bv_buffer_free(&r.input);
    bv_sandbox_result_free(&r.result);
    return error;
}

/* ---- selftest ---- */

static bv_status run_selftest(const bv_flags *flags);
static const bv_command selftest_command = {
    .name = "sandbox selftest",
    .brief = "which walls hold on this machine",
    .summary =
        "Tries every wall of the sandbox on this machine and says which hold, which policies "
        "can be used, and what to change. The exit code is 0 when one of them can.",
    .example = "beaver sandbox selftest --json",
    .run = run_selftest,
};

static json_t *selftest_json(const bv_selftest *report) {
    json_t *walls = json_array();
    for (size_t i = 0; i < report->count; i++) {
        const bv_wall *w = &report->walls[i];
        json_array_append_new(walls, json_pack("{ss ss sb sb ss ss?}", "name", w->name, "grade",
                                               bv_wall_grade_name(w->grade), "full", (int)w->full,
                                               "nested", (int)w->nested, "found", w->found,
                                               "remedy", w->remedy));
    }
    return json_pack("{sb sb so}", "full", (int)report->full, "nested", (int)report->nested,
                     "walls", walls);
}

static void say_selftest(const bv_selftest *report) {
    for (size_t i = 0; i < report->count; i++) {
        const bv_wall *w = &report->walls[i];
        bv_cli_say("%-8s %-22s%s%s\n", bv_wall_grade_name(w->grade), w->name,
                   w->found[0] ? " " : "", w->found);
        /* of neighbours that have the same one, behind the last */
        const char *next = i + 1 < report->count ? w[1].remedy : NULL;
        if (w->remedy && !(next && !strcmp(next, w->remedy)))
            bv_cli_say("         try: %s\n", w->remedy);
    }
    bv_cli_say("policy full %s, nested %s\n", report->full ? "can be used" : "CANNOT be used",
               report->nested ? "can be used" : "CANNOT be used");
}

static bv_status run_selftest(const bv_flags *flags) {
    bv_selftest report;
    bv_selftest_run(&report);
    bv_error *error = BV_OK;
    if (bv_flags_bool(flags, "json"))
        error = bv_cli_json(selftest_json(&report));
    else
        say_selftest(&report);
    if (!error && !report.full && !report.nested)
        error = bv_fail(BV_CODE_FAULT, "no policy of the sandbox can be used on this machine");
    return error;
}

static const bv_command *const subcommands[] = {&run_command, &selftest_command};

const bv_command bv_cmd_sandbox = {
    .name = "sandbox",
    .brief = "run a program where it can hurt nobody",
    .example = "beaver sandbox selftest\nbeaver sandbox run --cpu 1s -- python3 -c 'print(1)'",
    BV_SUBCOMMANDS(subcommands),
};
