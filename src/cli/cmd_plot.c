#include "base/file.h"
#include "base/memory.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/compute.h"
#include "report/curves.h"
#include "report/terminal_plot.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const bv_argument argument_table[] = {{.name = "RUN", .help = "the run's folder"}};
static const bv_flag flag_table[] = {
    {.name = "out",
     .value = "FILE.svg",
     .type = BV_FLAG_STRING,
     .help = "where the picture goes; else RUN/loss.svg"},
    BV_FLAG_THREADS,
    BV_FLAG_JSON,
};

static const bv_command command = {
    .name = "plot",
    .summary = "Draws the training and validation loss of a run from its metrics.jsonl: as an SVG "
               "picture, and on the terminal. A run that is still training can be drawn too.",
    .example = "beaver plot runs/demo\n"
               "beaver plot runs/demo --out loss.svg --json",
    .arguments = argument_table,
    .argument_count = 1,
    .flags = flag_table,
    .flag_count = sizeof flag_table / sizeof *flag_table,
};

/* As large as the terminal, or 80 x 20. */
static bv_terminal_plot_options terminal_options(void) {
    bv_terminal_plot_options options = {.columns = 80, .rows = 20, .unicode = bv_locale_is_utf8()};
    struct winsize size;
    if (!isatty(STDERR_FILENO)) return options;
    options.color = true;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return options;
    options.columns = size.ws_col < 120 ? size.ws_col : 120;
    options.rows = size.ws_row > 30 ? 24 : size.ws_row > 12 ? size.ws_row - 4u : 8;
    return options;
}

static bv_status say_json(const char *run, const char *path) {
    char *metrics = bv_path_join(run, "metrics.jsonl");
    bv_curves curves = {0};
    bv_error *error = metrics ? bv_curves_read(metrics, &curves) : bv_fail_memory("a path");
    bv_free(metrics);
    if (error) return error;
    const bv_curve *loss = &curves.loss, *val = &curves.val_loss;
    json_t *value = json_pack("{ss sI sI}", "svg", path, "loss_points", (json_int_t)loss->count,
                              "val_loss_points", (json_int_t)val->count);
    /* json_real refuses what is not finite: then the member is absent. */
    if (loss->count) json_object_set_new(value, "loss", json_real(loss->y[loss->count - 1]));
    if (val->count) json_object_set_new(value, "val_loss", json_real(val->y[val->count - 1]));
    bv_curves_free(&curves);
    return bv_cli_json(value);
}

static bv_status draw(const char *run, const char *path, bool as_json) {
    const bv_terminal_plot_options options = terminal_options();
    bv_buffer text = {0};
    bv_error *error = BV_OK;
    if (!bv_dir_exists(run))
        error =
            bv_try(bv_fail(BV_CODE_INPUT, "%s: no such folder", run), "beaver train --out %s", run);
    if (!error) error = bv_curves_report(run, path, &options, &text);
    if (!error && as_json) error = say_json(run, path);
    if (!error && !as_json) bv_cli_say("%s%s\n", text.data, path);
    bv_buffer_free(&text);
    return error;
}

bv_status bv_cmd_plot(int argc, char **argv) {
    bv_flags *flags;
    BV_TRY(bv_flags_parse(&command, argc, argv, &flags));
    if (!flags) return BV_OK;
    const char *run = bv_flags_argument(flags, 0), *out = bv_flags_string(flags, "out");
    const bool as_json = bv_flags_bool(flags, "json");
    bv_flags_free(&flags);
    char *own = bv_path_join(run, "loss.svg");
    if (!own) return bv_fail_memory("a path");
    bv_error *error = draw(run, out ? out : own, as_json);
    bv_free(own);
    return error;
}
