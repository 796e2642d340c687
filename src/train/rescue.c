#include "train/rescue.h"

#include "base/hash.h"
#include "model/gpt_probe.h"
#include "train/metrics.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- explaining ---- */

/* The sequence of the batch with the highest loss; a loss that is not finite is the highest. */
static size_t worst_sequence(const bv_session *s) {
    const size_t context = s->settings->model.context;
    const float *losses = bv_gpt_trainer_row_losses(s->trainer);
    size_t worst = 0;
    double highest = -HUGE_VAL;
    for (size_t i = 0; i < s->batch; i++) {
        double sum = 0;
        for (size_t r = 0; r < context; r++) sum += (double)losses[i * context + r];
        if (!isfinite(sum)) return i;
        if (sum > highest) worst = i, highest = sum;
    }
    return worst;
}

/* The first parameter, in the order of the model, that holds a value that is not finite. */
static const char *first_bad_weight(bv_session *s) {
    size_t count;
    const bv_named_tensor *list = bv_gpt_trainer_parameters(s->trainer, &count);
    for (size_t i = 0; i < count; i++) {
        const size_t n = bv_named_tensor_elements(&list[i]);
        for (size_t k = 0; k < n; k++)
            if (!isfinite(((const float *)list[i].data)[k])) return list[i].name;
    }
    return NULL;
}

/* What went out of range first: weights, else a block's output, else a gradient. */
static bv_status explain_range(bv_session *s, char text[160]) {
    const char *weight = first_bad_weight(s);
    const bv_gpt_scorer_options options = {.config = s->settings->model,
                                           .numerics = s->settings->numerics,
                                           .kernels = s->options->kernels,
                                           .pool = s->options->pool,
                                           .weights = bv_gpt_trainer_weights(s->trainer),
                                           .kneser_ney = s->kneser_ney,
                                           .context = s->settings->model.context};
    int layer;
    double largest;
    text[0] = 0;
    BV_TRY(bv_gpt_probe(&options, s->inputs, s->targets,
                        s->settings->model.document_mask ? s->visible : NULL, s->batch, &layer,
                        &largest));
    const char *gradient = bv_gpt_trainer_first_nonfinite(s->trainer);
    if (weight)
        snprintf(text, 160, "; first out of range: the weights %s", weight);
    else if (layer == (int)s->settings->model.layers)
        snprintf(text, 160, "; first out of range: the head, after values up to %.3g", largest);
    else if (layer != BV_PROBE_NONE)
        snprintf(text, 160, "; first out of range: layer %d, after values up to %.3g", layer,
                 largest);
    else if (gradient)
        snprintf(text, 160, "; first out of range: the gradient of %s", gradient);
    else
        snprintf(text, 160, "; all layers are in range, values up to %.3g", largest);
    return BV_OK;
}

static bv_status write_skip(bv_session *s, const bv_verdict *verdict, double loss, double norm) {
    char range[160];
    BV_TRY(explain_range(s, range));
    const size_t worst = worst_sequence(s);
    const uint64_t first = s->sequences[0], last = s->sequences[s->batch - 1];
    const uint64_t at = bv_dataset_offset(s->options->data, s->settings->order, s->settings->seed,
                                          s->sequences[worst], s->settings->model.context);
    bv_session_note(s,
                    "step %llu skipped: %s%s; sequences %llu..%llu of the data, the worst begins "
                    "at token %llu of the training text",
                    (unsigned long long)s->progress.step + 1, verdict->why, range,
                    (unsigned long long)first, (unsigned long long)last, (unsigned long long)at);
    json_t *line = json_pack("{sI ss ss so so s[II] sI}", "step", (json_int_t)s->progress.step + 1,
                             "event", "skipped", "why", verdict->why, "loss", bv_json_number(loss),
                             "grad_norm", bv_json_number(norm), "sequences", (json_int_t)first,
                             (json_int_t)last, "worst_token", (json_int_t)at);
    return bv_metrics_write(s->metrics, line);
}

/* ---- replaying ---- */

/* A hash of the gradient's bits, the loss among them. */
static bv_status fingerprint(bv_session *s, double loss, char text[BV_SHA256_TEXT_SIZE]) {
    bv_sha256 *hash;
    size_t count;
    const bv_named_tensor *list = bv_gpt_trainer_parameters(s->trainer, &count);
    BV_TRY(bv_sha256_begin(&hash));
    bv_sha256_add(hash, &loss, sizeof loss);
    for (size_t i = 0; i < count; i++) {
        const size_t n = bv_named_tensor_elements(&list[i]);
        bv_sha256_add(hash, bv_gpt_trainer_parameter_gradient(s->trainer, i), n * sizeof(float));
    }
    bv_sha256_end(&hash, text);
    return BV_OK;
}

static bv_status replay(bv_session *s, double loss) {
    char first[BV_SHA256_TEXT_SIZE], second[BV_SHA256_TEXT_SIZE];
    double again, norm;
    BV_TRY(fingerprint(s, loss, first));
    bv_session_gradient(s, NULL, &again, &norm);
    BV_TRY(fingerprint(s, again, second));
    if (!strcmp(first, second)) return BV_OK;
    return bv_try(bv_fail(BV_CODE_FAULT,
                          "faulty hardware: step %llu computed twice from the same weights and "
                          "data gave different bits (loss %.17g, then %.17g)",
                          (unsigned long long)s->progress.step + 1, loss, again),
                  "test this machine's memory and CPU, then go on elsewhere with --resume");
}

/* ---- returning ---- */

static bv_status go_back(bv_session *s, int64_t step) {
    const bv_checkpoint_tensors tensors = bv_session_tensors(s);
    const bv_guard guard = s->progress.guard;
    bv_left_out left_out[BV_GUARD_RETURNS];
    const size_t count = s->progress.left_out_count;
    memcpy(left_out, s->progress.left_out, sizeof left_out);
    if (step >= 0) {
        BV_TRY(bv_checkpoint_read(s->options->run, (uint64_t)step, &tensors, &s->progress));
        bv_gpt_trainer_changed(s->trainer);
    } else {
        BV_TRY(bv_session_begin(s));
    }
    s->progress.guard.returns = guard.returns + 1;
    s->progress.guard.skipped = guard.skipped;
    s->progress.guard.in_a_row = 0;
    s->progress.left_out_count = count;
    memcpy(s->progress.left_out, left_out, sizeof left_out);
    return BV_OK;
}

/* Writes the decision down: in the manifest, and in the metrics, which go back too. */
static bv_status remember(bv_session *s, int64_t step) {
    const char *run = s->options->run;
    if (step < 0) BV_TRY(bv_session_save(s, true)); /* there was none: the beginning is one */
    BV_TRY(bv_checkpoint_forget_after(run, s->progress.step));
    BV_TRY(bv_checkpoint_amend(run, s->progress.step, &s->progress));
    return bv_session_open_metrics(s);
}

static bv_status return_to_checkpoint(bv_session *s, bv_left_out stretch) {
    bv_progress_of_run *p = &s->progress;
    if (p->guard.returns >= BV_GUARD_RETURNS)
        return bv_try(bv_fail(BV_CODE_FAULT,
                              "trouble again after %d returns to a checkpoint: it is not the data",
                              BV_GUARD_RETURNS),
                      "a lower --set lr, a longer --set warmup, or a lower --set grad_clip");
    int64_t step;
    BV_TRY(bv_session_check_folder(s));
    BV_TRY(bv_checkpoint_find(s->options->run, BV_CHECKPOINT_REGULAR, &step));
    p->left_out[p->left_out_count++] = stretch;
    BV_TRY(go_back(s, step));
    BV_TRY(remember(s, step));
    bv_session_note(s,
                    "the same bits again: it is the data or the settings. Back to step %llu; "
                    "sequences %llu..%llu of the data are left out from now on (return %zu of %d)",
                    (unsigned long long)p->step, (unsigned long long)stretch.begin,
                    (unsigned long long)stretch.end - 1, p->guard.returns, BV_GUARD_RETURNS);
    return BV_OK;
}

bv_status bv_rescue(bv_session *s, const bv_verdict *verdict, double loss, double norm) {
    bv_guard *g = &s->progress.guard;
    g->skipped++;
    if (g->in_a_row++ == 0) s->progress.trouble_began = s->sequences[0];
    BV_TRY(write_skip(s, verdict, loss, norm));
    if (g->in_a_row < BV_GUARD_PATIENCE) {
        s->progress.step++;
        s->progress.due = true;
        return BV_OK;
    }
    BV_TRY(replay(s, loss));
    return return_to_checkpoint(
        s, (bv_left_out){s->progress.trouble_began, s->sequences[s->batch - 1] + 1});
}
