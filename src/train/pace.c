#include "train/pace.h"

#include "base/clock.h"
#include "model/gpt.h"
#include "train/session.h"

#define FIRST_CONTEXT 64 /* tokens of the first guess */
#define STEPS_MAX ((size_t)1e9)
#define SCRATCH_PARAMETERS ((size_t)48 << 20)

/* Seconds of a round, and of making the scratch copy. */
typedef struct round_times {
    double gradient, evaluation, rest, making;
} round_times;

/* The second of two gradients of the same weights finds them prepared for the kernels, as all
 * micro-batches of a step but the first do. */
static bv_status time_round(bv_session *s, round_times *out) {
    double loss, norm;
    bv_session_read_batch(s);
    const double begin = bv_clock_seconds();
    bv_session_gradient(s, NULL, &loss, &norm);
    const double prepared = bv_clock_seconds();
    bv_session_gradient(s, NULL, &loss, &norm);
    const double again = bv_clock_seconds();
    BV_TRY(bv_session_evaluate(s, &loss));
    const double evaluated = bv_clock_seconds();
    bv_session_apply(s, norm);
    const double applied = bv_clock_seconds();
    const double preparing = (prepared - begin) - (again - prepared);
    out->gradient = again - prepared;
    out->evaluation = evaluated - again;
    out->rest = applied - evaluated + (preparing > 0 ? preparing : 0);
    return BV_OK;
}

size_t bv_pace_layers(const bv_settings *s) {
    bv_gpt_config few = s->model;
    const size_t least = few.band ? 2 : 1; /* banded ones are every second */
    while (few.layers > least && bv_gpt_parameter_count(&few) > SCRATCH_PARAMETERS) few.layers--;
    return few.layers;
}

/* The mean round of `batch` sequences of `context` tokens, until a time; the first one warms up and
 * counts only if it took that long already. */
static bv_status time_rounds(const bv_train_options *options, size_t batch, size_t context,
                             double until, round_times *out) {
    bv_settings few = *options->settings;
    few.model.context = context;
    few.batch = few.eval_windows = batch;
    if (few.micro_batch > batch) few.micro_batch = batch;
    bv_train_options scratch = *options;
    scratch.settings = &few;
    scratch.events = (bv_train_events){0};
    scratch.signal = NULL;
    scratch.scratch = true;
    bv_session s;
    round_times now;
    const double begin = bv_clock_seconds();
    BV_TRY(bv_session_create(&scratch, &s));
    out->making = bv_clock_seconds() - begin;
    bv_error *error = time_round(&s, out);
    double rounds = 0;
    while (!error && bv_clock_seconds() < until) {
        error = time_round(&s, &now);
        if (error) break;
        const double share = 1 / ++rounds;
        out->gradient += (now.gradient - out->gradient) * share;
        out->evaluation += (now.evaluation - out->evaluation) * share;
        out->rest += (now.rest - out->rest) * share;
    }
    bv_session_destroy(&s);
    return error;
}

static double flops_of(bv_gpt_config config, size_t context) {
    config.context = context;
    return bv_gpt_forward_flops(&config);
}

/* What is done once a step: Muon works on the layers' matrices, AdamW on all parameters. */
static double rest_scale(const bv_settings *s, const bv_settings *few) {
    if (s->optimizer == BV_OPTIMIZER_MUON)
        return (double)s->model.layers / (double)few->model.layers;
    return (double)bv_gpt_parameter_count(&s->model) / (double)bv_gpt_parameter_count(&few->model);
}

bv_status bv_pace_measure(const bv_train_options *options, double seconds, bv_pace *pace) {
    const double begin = bv_clock_seconds();
    const bv_settings *s = options->settings;
    bv_settings few = *s;
    few.model.layers = bv_pace_layers(s);
    few.grains = 1;
    few.batch_ramp = 0;
    bv_train_options scratch = *options;
    scratch.settings = &few;
    const size_t full = s->model.context;
    size_t batch = 1, context = full < FIRST_CONTEXT ? full : FIRST_CONTEXT;
    round_times times;
    BV_TRY(bv_dataset_check_context(options->data, full));
    BV_TRY(time_rounds(&scratch, batch, context, 0, &times));
    /* Three rounds of that many tokens fill the time, beside making a copy again. What else a round
     * does is much shorter than it was in the first, which touched all memory. */
    const double left = begin + seconds - bv_clock_seconds() - times.making;
    const double token = (2 * times.gradient + times.evaluation) / (double)context;
    const double tokens = left / 3 / token;
    if (tokens > 2 * (double)context) {
        const double sequences = tokens / (double)full;
        batch = sequences < 1 ? 1 : sequences < (double)s->batch ? (size_t)sequences : s->batch;
        context = tokens < (double)full ? (size_t)tokens / 2 * 2 : full;
        BV_TRY(time_rounds(&scratch, batch, context, begin + seconds, &times));
    }
    const uint64_t all = bv_dataset_tokens(options->data, BV_SPLIT_VAL) / context + 1;
    const double windows = (double)(batch < all ? batch : all);
    const double scale =
        flops_of(s->model, full) * (double)full / (flops_of(few.model, context) * (double)context);
    pace->seconds_per_sequence = times.gradient * scale / (double)batch;
    pace->seconds_per_window = times.evaluation * scale / windows;
    pace->seconds_per_step = times.rest * rest_scale(s, &few);
    return BV_OK;
}

static double evaluation_seconds(const bv_settings *s, const bv_dataset *data,
                                 const bv_pace *pace) {
    const uint64_t all = bv_dataset_tokens(data, BV_SPLIT_VAL) / s->model.context + 1;
    const uint64_t windows = s->eval_windows && s->eval_windows < all ? s->eval_windows : all;
    return s->eval_every ? (double)windows * pace->seconds_per_window : 0;
}

/* `steps` steps, the evaluations between the first and the last among them. */
static double seconds_of(const bv_settings *s, const bv_dataset *data, const bv_pace *pace,
                         size_t steps) {
    const double evaluation = evaluation_seconds(s, data, pace);
    const double share = s->eval_every ? evaluation / (double)s->eval_every : 0;
    return 2 * evaluation + (double)steps * (pace->seconds_per_step + share) +
           (double)bv_settings_sequences_before(s, steps) * pace->seconds_per_sequence;
}

size_t bv_pace_steps(const bv_settings *s, const bv_dataset *data, const bv_pace *pace,
                     double seconds) {
    size_t least = 1, most = STEPS_MAX;
    while (least < most) {
        const size_t middle = least + (most - least) / 2;
        if (seconds_of(s, data, pace, middle) < seconds)
            least = middle + 1;
        else
            most = middle;
    }
    return least;
}

double bv_pace_seconds(const bv_settings *s, const bv_dataset *data, const bv_pace *pace) {
    return seconds_of(s, data, pace, s->steps);
}
