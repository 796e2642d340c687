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

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const bv_flag flag_table[] = {
    {.name = "out",
     .value = "FILE",
     .type = BV_FLAG_STRING,
     .help = "where to draw the picture (default: RUN/loss.svg, or FIGURE with .svg at its end)"},
};

static const bv_argument arguments[] = {
    {.name = "RUN", .help = "a run's folder, or a FIGURE: a JSON file that describes a plot"}};

static const bv_command command = {
    .name = "plot",
    .summary = "Draws the loss curve of a run, or any figure, as SVG and on the terminal.",
    .example = "beaver plot run --out loss.svg\n"
               "beaver plot scaling.json",
    .arguments = arguments,
    .argument_count = 1,
    .flags = flag_table,
    .flag_count = sizeof flag_table / sizeof *flag_table,
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

/* What is drawn: one of them. */
typedef struct drawing {
    const bv_curves *curves;
    const bv_figure *figure;
    const char *title; /* of curves */
} drawing;

static bv_status show(const drawing *d) {
    struct winsize size = {0};
    const bool terminal = isatty(STDERR_FILENO);
    if (!terminal || ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || !size.ws_col)
        size.ws_col = 80; /* a terminal need not know its size */
    const bv_terminal_plot_options options = {.columns = size.ws_col < 100 ? size.ws_col : 100,
                                              .rows = 18,
                                              .unicode = shows_unicode(),
                                              .color = terminal && !getenv("NO_COLOR")};
    bv_buffer text = {0};
    bv_error *error = d->curves ? bv_curves_text(d->curves, d->title, &options, &text)
                                : bv_terminal_plot(&d->figure->plot, &options, &text);
    if (!error) bv_cli_say("%s", text.data);
    bv_buffer_free(&text);
    return error;
}

static bv_status draw(const drawing *d, const char *out) {
    bv_buffer svg = {0};
    bv_error *error =
        d->curves ? bv_curves_svg(d->curves, d->title, &svg) : bv_svg_plot(&d->figure->plot, &svg);
    if (!error) error = bv_file_write(out, svg.data, svg.size);
    bv_buffer_free(&svg);
    return error;
}

static bv_status show_and_draw(const drawing *d, const char *out) {
    BV_TRY(show(d));
    BV_TRY(draw(d, out));
    bv_cli_say("drawn as %s\n", out);
    return BV_OK;
}

static bv_status plot_figure(const bv_flags *flags, const char *path, const char *out) {
    bv_figure figure;
    BV_TRY(bv_file_check_apart(out, path));
    BV_TRY(bv_figure_read(path, &figure));
    bv_error *error = show_and_draw(&(drawing){.figure = &figure}, out);
    if (!error && bv_flags_bool(flags, "json"))
        error = bv_cli_json(
            json_pack("{so sI}", "out", bv_cli_path(out), "points", (json_int_t)figure.points));
    bv_figure_free(&figure);
    return error;
}

static bv_status plot_run(const bv_flags *flags, const char *metrics, const char *out) {
    const char *run = bv_flags_argument(flags, 0);
    bv_curves curves;
    if (bv_path_hidden(metrics)) return bv_fail_errno("cannot look into %s", run);
    if (!bv_dir_exists(run) || !bv_file_exists(metrics))
        return bv_try(bv_fail(BV_CODE_USAGE, "%s is no run: it has no metrics.jsonl", run),
                      "beaver train --data DIR --out %s", run);
    BV_TRY(bv_run_folder_check_apart(out, run));
    BV_TRY(bv_curves_read(metrics, &curves));
    bv_error *error = show_and_draw(&(drawing){.curves = &curves, .title = run}, out);
    if (!error && bv_flags_bool(flags, "json"))
        error = bv_cli_json(json_pack("{so sI sI}", "out", bv_cli_path(out), "train_points",
                                      (json_int_t)curves.train.count, "val_points",
                                      (json_int_t)curves.val.count));
    bv_curves_free(&curves);
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

bv_status bv_cmd_plot(int argc, char **argv) {
    bv_flags *flags;
    BV_TRY(bv_flags_parse(&command, argc, argv, &flags));
    if (!flags) return BV_OK;
    const char *path = bv_flags_argument(flags, 0), *given = bv_flags_string(flags, "out");
    const bool figure = bv_file_exists(path);
    char *metrics = bv_path_join(path, "metrics.jsonl");
    char *out = given ? bv_strdup(given) : default_out(path, figure);
    bv_error *error = !metrics || !out ? bv_fail_memory("a path")
                      : figure         ? plot_figure(flags, path, out)
                                       : plot_run(flags, metrics, out);
    bv_free(metrics);
    bv_free(out);
    bv_flags_free(&flags);
    return error;
}
