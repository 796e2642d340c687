#include "train/rehearsal.h"

#include "base/clock.h"
#include "base/memory.h"
#include "train/session.h"

struct bv_rehearsal {
    bv_train_options options;
    bv_settings settings;
    bv_session session;
};

void bv_rehearsal_shorten(bv_settings *s) {
    if (s->batch > 64) s->batch = (4 + s->grains - 1) / s->grains * s->grains;
}

bv_status bv_rehearsal_create(const bv_train_options *options, bv_rehearsal **out) {
    *out = NULL;
    const size_t context = options->settings->model.context;
    if (options->data) BV_TRY(bv_dataset_check_context(options->data, context));
    bv_rehearsal *r = bv_calloc(1, sizeof *r);
    if (!r) return bv_fail_memory("a rehearsal");
    r->options = *options;
    r->options.events = (bv_train_events){0};
    r->options.scratch = true;
    r->settings = *options->settings;
    r->settings.batch_ramp = 0; /* each step is a full one */
    r->options.settings = &r->settings;
    bv_error *error = bv_session_create(&r->options, &r->session);
    if (error) {
        bv_free(r);
        return error;
    }
    *out = r;
    return BV_OK;
}

void bv_rehearsal_destroy(bv_rehearsal **rehearsal) {
    bv_rehearsal *r = *rehearsal;
    if (!r) return;
    bv_session_destroy(&r->session);
    bv_free(r);
    *rehearsal = NULL;
}

double bv_rehearsal_step(bv_rehearsal *r, size_t *tokens) {
    double loss, norm;
    const double begin = bv_clock_seconds();
    bv_session_read_batch(&r->session);
    bv_session_gradient(&r->session, NULL, &loss, &norm);
    bv_session_apply(&r->session, norm);
    r->session.progress.step++;
    *tokens = r->session.batch * r->settings.model.context;
    return bv_clock_seconds() - begin;
}
