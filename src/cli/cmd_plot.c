#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "report/curves.h"
#include "report/figure.h"
#include "report/svg.h"
#include "train/run_folder.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const bv_flag flag_table[] = {
    BV_STRING_FLAG("out", "FILE", NULL,
                   "where to draw the picture (default: RUN/loss.svg, or FIGURE with .svg at its "
                   "end; of several runs none)"),
};

static const bv_argument arguments[] = {
    {.name = "RUN",
     .help = "a run's folder, several to compare them, or a FIGURE: a JSON file that describes a "
             "plot",
     .repeated = true}};

static bv_status run(const bv_flags *flags);
const bv_command bv_cmd_plot = {
    .name = "plot",
    .brief = "draw the loss curve of a run",
    .summary = "Draws the loss curve of a run, those of several together, or any figure, as SVG "
               "and on the terminal.",
    .example = "beaver plot run --out loss.svg\n"
               "beaver plot run another --out both.svg\n"
               "beaver plot scaling.json",
    BV_ARGUMENTS(arguments),
    BV_FLAGS(flag_table),
    .run = run,
};

/* Does the terminal show Unicode? As the C library decides: LC_ALL, LC_CTYPE, LANG. */
static bool shows_unicode(void) {
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (int i = 0; i < 3; i++) {
        const char *value = getenv(names[i]);
        if (value && *value) return strcasestr(value, "UTF-8") || strcasestr(value, "UTF8");
    }
    return false;
}

/* What is drawn: runs, or a figure. */
typedef struct drawing {
    const bv_flags *flags;
    const bv_curves *runs;
    size_t count;
    const bv_figure *figure;
} drawing;

static bv_status show(const drawing *d) {
    const size_t terminal = bv_cli_columns(), columns = terminal ? terminal : 80;
    const char *plain = getenv("NO_COLOR"); /* as no-color.org has it: set, and not empty */
    const bool color = terminal && !(plain && *plain);
    /* Dots of several runs differ by colour alone; letters differ without it. */
    const bool differ = d->count < 2 || (color && d->count <= BV_TERMINAL_COLORS);
    const bv_terminal_plot_options options = {.columns = columns < 100 ? columns : 100,
                                              .rows = 18,
                                              .unicode = shows_unicode() && differ,
                                              .color = color};
    bv_buffer text = {0};
    bv_error *error = d->figure ? bv_terminal_plot(&d->figure->plot, &options, &text)
                                : bv_curves_text(d->runs, d->count, &options, &text);
    if (!error) bv_cli_say("%s", text.data);
    bv_buffer_free(&text);
    return error;
}

static bv_status draw(const drawing *d, const char *out) {
    bv_buffer svg = {0};
    bv_error *error =
        d->figure ? bv_svg_plot(&d->figure->plot, &svg) : bv_curves_svg(d->runs, d->count, &svg);
    if (!error) error = bv_file_write(out, svg.data, svg.size);
    bv_buffer_free(&svg);
    if (!error) bv_cli_say("drawn as %s\n", out);
    return bv_flags_given(d->flags, "out") ? error : bv_try(error, "--out FILE");
}

static bv_status plot_figure(const bv_flags *flags, const char *path, const char *out) {
    bv_figure figure;
    BV_TRY(bv_file_check_apart(out, path));
    BV_TRY(bv_figure_read(path, &figure));
    const drawing d = {.flags = flags, .figure = &figure};
    bv_error *error = show(&d);
    if (!error) error = draw(&d, out);
    if (!error && bv_flags_bool(flags, "json"))
        error = bv_cli_json(
            json_pack("{so sI}", "out", bv_cli_path(out), "points", (json_int_t)figure.points));
    bv_figure_free(&figure);
    return error;
}

/* ---- runs ---- */

/* out: NULL for no picture. */
static bv_status read_run(const char *run, const char *out, bv_curves *curves) {
    char metrics[BV_PATH_SIZE];
    BV_TRY(bv_path_in(metrics, run, "metrics.jsonl"));
    if (!bv_file_exists(metrics)) {
        BV_TRY(bv_run_folder_check(run));
        return bv_try(bv_fail(BV_CODE_INPUT, "%s has no losses yet", run),
                      "beaver train --out %s --resume", run);
    }
    BV_TRY(bv_curves_read(metrics, curves));
    curves->name = run;
    return out ? bv_run_folder_check_apart(out, run) : BV_OK;
}

static void tell_run(const bv_curves *c) {
    double step, loss;
    if (c->train.count)
        bv_cli_say("%s: step %.0f", c->name, c->train.step[c->train.count - 1]);
    else
        bv_cli_say("%s: no step yet", c->name);
    if (bv_curves_best(c, &step, &loss))
        bv_cli_say(", least validation loss %.4f at step %.0f", loss, step);
    bv_cli_say("\n");
}

static json_t *run_json(const bv_curves *c) {
    double step = NAN, loss = NAN;
    const bool any = bv_curves_best(c, &step, &loss);
    return json_pack("{so sI sI so so}", "run", bv_cli_path(c->name), "train_points",
                     (json_int_t)c->train.count, "val_points", (json_int_t)c->val.count,
                     "best_val_loss", any ? json_real(loss) : json_null(), "best_val_step",
                     any ? json_integer((json_int_t)step) : json_null());
}

static bv_status print_runs(const drawing *d, const char *out) {
    if (d->count == 1)
        return bv_cli_json(json_pack("{so sI sI}", "out", bv_cli_path(out), "train_points",
                                     (json_int_t)d->runs->train.count, "val_points",
                                     (json_int_t)d->runs->val.count));
    json_t *list = json_array();
    for (size_t i = 0; list && i < d->count; i++)
        json_array_append_new(list, run_json(&d->runs[i]));
    return bv_cli_json(
        json_pack("{so so}", "out", out ? bv_cli_path(out) : json_null(), "runs", list));
}

static bv_status plot_runs(const bv_flags *flags, const char *const *runs, size_t count,
                           const char *out) {
    bv_curves *curves = bv_calloc(count, sizeof *curves);
    const drawing d = {.flags = flags, .runs = curves, .count = count};
    bv_error *error = curves ? BV_OK : bv_fail_memory("curves");
    for (size_t i = 0; !error && i < count; i++) error = read_run(runs[i], out, &curves[i]);
    if (!error) error = show(&d);
    for (size_t i = 0; !error && i < count; i++) tell_run(&curves[i]);
    if (!error && out) error = draw(&d, out);
    if (!error && bv_flags_bool(flags, "json")) error = print_runs(&d, out);
    for (size_t i = 0; curves && i < count; i++) bv_curves_free(&curves[i]);
    bv_free(curves);
    return error;
}

/* Where a picture goes that was given no name: in a run's folder, beside a figure. */
static char *default_out(const char *path, bool figure) {
    if (!figure) return bv_path_join(path, "loss.svg");
    bv_buffer out = {0};
    const size_t size = strlen(path), cut = bv_ends_with(path, ".json") ? 5 : 0;
    bv_buffer_printf(&out, "%.*s.svg", (int)(size - cut), path);
    return out.data;
}

static bv_status plot_one(const bv_flags *flags, const char *path, const char *given) {
    const bool figure = bv_file_exists(path);
    char *out = given ? bv_strdup(given) : default_out(path, figure);
    bv_error *error = !out     ? bv_fail_memory("a path")
                      : figure ? plot_figure(flags, path, out)
                               : plot_runs(flags, &path, 1, out);
    bv_free(out);
    return error;
}

static bv_status run(const bv_flags *flags) {
    size_t count;
    const char *const *paths = bv_flags_arguments(flags, &count);
    const char *given = bv_flags_string(flags, "out");
    bv_error *error =
        count == 1 ? plot_one(flags, paths[0], given)
        : count > BV_CURVES_MAX
            ? bv_fail(BV_CODE_USAGE, "%zu runs in one drawing; at most %d", count, BV_CURVES_MAX)
            : plot_runs(flags, paths, count, given);
    return error;
}
