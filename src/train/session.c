#include "train/session.h"

#include "base/memory.h"
#include "base/random.h"
#include "train/counted_text.h"
#include "train/evaluate.h"
#include "train/metrics.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static bv_status create_trainer(bv_session *s) {
    const bv_settings *o = s->settings;
    const bv_gpt_trainer_options options = {.config = o->model,
                                            .numerics = o->numerics,
                                            .kernels = s->options->kernels,
                                            .pool = s->options->pool,
                                            .batch_max = o->batch,
                                            .micro_batch = o->micro_batch,
                                            .grains = o->grains,
                                            .recompute = o->recompute,
                                            .unfused = !o->fuse,
                                            .scratch = s->options->scratch,
                                            .seed = o->seed,
                                            .optimizer = o->optimizer,
                                            .kneser_ney = s->kneser_ney,
                                            .trace = s->options->trace};
    return bv_gpt_trainer_create(&options, &s->trainer);
}

static bv_status define_spans(bv_session *s) {
    bv_trace *trace = s->options->trace;
    if (!trace) return BV_OK;
    BV_TRY(bv_trace_define_phase(trace, "read batch", &s->spans.batch));
    BV_TRY(bv_trace_define_phase(trace, "evaluate", &s->spans.evaluate));
    return bv_trace_define_phase(trace, "save checkpoint", &s->spans.save);
}

/* Without data: random tokens, the same in each step, so that making them costs nothing. */
static void make_tokens(bv_session *s) {
    const size_t rows = s->settings->batch * s->settings->model.context;
    const uint32_t vocab = (uint32_t)s->settings->model.vocab_size;
    for (size_t i = 0; i < rows; i++) {
        const bv_random4 r = bv_random(s->settings->seed, BV_RANDOM_TEST, 0, 0, (uint32_t)i, 0);
        s->inputs[i] = r.v[0] % vocab;
        s->targets[i] = r.v[1] % vocab;
    }
}

static const bv_progress_of_run beginning = {.val_loss = NAN, .due = true};

bv_status bv_session_begin(bv_session *s) {
    const bv_origin *origin = s->options->origin;
    s->progress = beginning;
    bv_gpt_trainer_reset(s->trainer);
    if (!origin) return BV_OK;
    const bv_checkpoint_tensors tensors = bv_session_tensors(s);
    BV_TRY(bv_origin_read(origin, &tensors));
    bv_gpt_trainer_changed(s->trainer);
    return BV_OK;
}

bv_status bv_session_create(const bv_train_options *options, bv_session *s) {
    *s = (bv_session){.options = options, .settings = options->settings, .folder = -1};
    s->progress = beginning;
    s->report = (bv_step_report){
        .loss = NAN, .val_loss = NAN, .grad_norm = NAN, .lr = NAN, .tokens_per_s = NAN};
    const size_t rows = s->settings->batch * s->settings->model.context;
    s->inputs = bv_calloc(rows, sizeof *s->inputs);
    s->targets = bv_calloc(rows, sizeof *s->targets);
    s->visible = bv_calloc(rows, sizeof *s->visible);
    s->sequences = bv_calloc(s->settings->batch, sizeof *s->sequences);
    const bool fine = s->inputs && s->targets && s->visible && s->sequences;
    bv_error *error = fine ? BV_OK : bv_fail_memory("a batch");
    if (!error && options->data)
        error = bv_counted_text_count(options->data, &s->settings->model, &s->kneser_ney);
    if (!error) error = create_trainer(s);
    if (!error) error = define_spans(s);
    if (!error && !options->data) make_tokens(s);
    if (error) bv_session_destroy(s);
    return error;
}

void bv_session_destroy(bv_session *s) {
    bv_error *error = bv_append_close(&s->metrics); /* nothing depends on the sync any more */
    bv_error_free(&error);
    bv_gpt_trainer_destroy(&s->trainer);
    bv_kneser_ney_destroy(&s->kneser_ney);
    bv_free(s->inputs);
    bv_free(s->targets);
    bv_free(s->visible);
    bv_free(s->sequences);
    if (s->folder >= 0) close(s->folder);
    *s = (bv_session){.folder = -1};
}

/* The next sequence that the guard has not left out. */
static uint64_t next_sequence(bv_progress_of_run *p) {
    for (size_t i = 0; i < p->left_out_count; i++)
        if (p->sequence >= p->left_out[i].begin && p->sequence < p->left_out[i].end)
            p->sequence = p->left_out[i].end;
    return p->sequence++;
}

void bv_session_read_batch(bv_session *s) {
    const bv_settings *o = s->settings;
    const size_t context = o->model.context;
    bv_trace_enter(s->options->trace, s->spans.batch);
    s->batch = bv_settings_batch_at(o, s->progress.step);
    for (size_t i = 0; s->options->data && i < s->batch; i++) {
        s->sequences[i] = next_sequence(&s->progress);
        bv_dataset_sequence(s->options->data, o->order, o->seed, s->sequences[i], context,
                            s->inputs + i * context, s->targets + i * context);
    }
    if (o->model.document_mask)
        bv_first_visible(s->inputs, s->batch, context, s->options->end_of_text, s->visible);
    bv_trace_leave(s->options->trace, (bv_cost){0});
}

bool bv_session_gradient(bv_session *s, const volatile sig_atomic_t *signal, double *loss,
                         double *norm) {
    const bv_settings *o = s->settings;
    const size_t context = o->model.context, grain = s->batch / o->grains;
    bv_gpt_trainer_step_begin(s->trainer, (uint32_t)s->progress.step, s->batch * context);
    for (size_t begin = 0; begin < s->batch; begin += grain) {
        bv_gpt_trainer_grain_begin(s->trainer);
        for (size_t i = begin; i < begin + grain; i += o->micro_batch) {
            if (signal && *signal) return false;
            const size_t left = begin + grain - i,
                         n = left < o->micro_batch ? left : o->micro_batch;
            bv_gpt_trainer_micro(s->trainer, s->inputs + i * context, s->targets + i * context,
                                 o->model.document_mask ? s->visible + i * context : NULL, n, i);
        }
        bv_gpt_trainer_grain_end(s->trainer);
    }
    bv_gpt_trainer_gradient(s->trainer, loss, norm);
    const bv_train_events *events = &s->options->events;
    if (events->disturb) events->disturb(events->context, s->trainer, s->progress.step, loss);
    return true;
}

void bv_session_apply(bv_session *s, double norm) {
    const bv_settings *o = s->settings;
    const double factor = bv_settings_schedule(o, s->progress.step);
    const bool clipped = o->grad_clip > 0 && norm > o->grad_clip;
    const bv_optimizer_step step = {.lr = o->lr * factor,
                                    .beta1 = o->beta1,
                                    .beta2 = o->beta2,
                                    .eps = o->eps,
                                    .weight_decay = o->weight_decay,
                                    .muon_lr = o->muon_lr * factor,
                                    .muon_momentum = o->muon_momentum,
                                    .gradient_scale = clipped ? o->grad_clip / norm : 1,
                                    .step = ++s->progress.applied};
    bv_gpt_trainer_apply(s->trainer, &step);
}

static void read_val(const void *context, uint64_t offset, size_t count, uint32_t *tokens) {
    bv_dataset_read(context, BV_SPLIT_VAL, offset, count, tokens);
}

bv_status bv_session_evaluate(bv_session *s, double *loss) {
    const bv_dataset *data = s->options->data;
    const bv_token_source source = {read_val, data, bv_dataset_tokens(data, BV_SPLIT_VAL)};
    *loss = NAN;
    if (source.count < 2) return BV_OK;
    const bv_evaluate_options options = {.context = s->settings->model.context,
                                         .batch = s->settings->micro_batch,
                                         .windows_max = s->settings->eval_windows,
                                         .document_mask = s->settings->model.document_mask,
                                         .end_of_text = s->options->end_of_text,
                                         .signal = s->options->signal};
    bv_evaluation result;
    bv_trace_enter(s->options->trace, s->spans.evaluate);
    bv_error *error = bv_evaluate(bv_gpt_trainer_scorer(s->trainer), &source, &options, &result);
    bv_trace_leave(s->options->trace, (bv_cost){0});
    if (!error) error = bv_dataset_check(data);
    if (error) return error;
    if (!result.interrupted) *loss = result.nats / (double)result.tokens;
    return BV_OK;
}

bv_checkpoint_tensors bv_session_tensors(bv_session *s) {
    bv_checkpoint_tensors t = {0};
    t.parameters = bv_gpt_trainer_parameters(s->trainer, &t.parameter_count);
    t.state = bv_gpt_trainer_optimizer_state(s->trainer, &t.state_count);
    return t;
}

bv_status bv_session_check_folder(const bv_session *s) {
    const char *run = s->options->run;
    if (bv_dir_is(run, s->folder)) return BV_OK;
    return bv_try(bv_fail(BV_CODE_IO, "%s was moved or removed while it was trained", run),
                  "beaver train --out RUN --resume, by its name of now: from its last checkpoint");
}

bv_status bv_session_save(bv_session *s, bool regular) {
    const bv_checkpoint_tensors tensors = bv_session_tensors(s);
    const bv_checkpoint_about about = {.regular = regular,
                                       .seed = s->settings->seed,
                                       .numerics = bv_numerics_name(s->settings->numerics),
                                       .level = s->options->kernels->level,
                                       .version = s->options->version,
                                       .threads = bv_pool_threads(s->options->pool),
                                       .settings = s->settings};
    BV_TRY(bv_session_check_folder(s));
    bv_trace_enter(s->options->trace, s->spans.save);
    /* Where the power fails, too, the metrics tell all steps of the checkpoint. */
    bv_error *error = bv_append_sync(s->metrics);
    if (!error) error = bv_checkpoint_write(s->options->run, &tensors, &s->progress, &about);
    bv_trace_leave(s->options->trace, (bv_cost){0});
    return error;
}

bv_status bv_session_open_metrics(bv_session *s) {
    char path[BV_PATH_SIZE];
    const bv_progress_of_run *p = &s->progress;
    size_t told = 0;
    BV_TRY(bv_path_in(path, s->options->run, "metrics.jsonl"));
    bv_error *error = bv_append_close(&s->metrics);
    if (!error) error = bv_metrics_cut(path, p->step, p->due, &told);
    if (!error) error = bv_append_open(path, &s->metrics);
    for (; !error && told < p->left_out_count; told++)
        error = bv_metrics_write(
            s->metrics, bv_metrics_return(p->step, p->left_out[told].begin, p->left_out[told].end));
    return error;
}

void bv_session_note(const bv_session *s, const char *format, ...) {
    char text[640];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (s->options->events.note) s->options->events.note(s->options->events.context, text);
}
