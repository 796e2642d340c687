#include "arena/feed.h"

#include "arena/submissions.h"
#include "base/bell.h"
#include "base/clock.h"
#include "base/memory.h"
#include <pthread.h>
#include <stdatomic.h>

#define MILLISECOND UINT64_C(1000000)
#define NEWS_MAX 64 /* between two looks; more are found a period later */

typedef struct watcher {
    struct watcher *next;
    bv_http_exchange *x;
    int64_t user_id, submission_id, state; /* the state that was told; -1: none */
    _Atomic bool gone;
} watcher;

/* Submissions of which there is news. */
typedef struct news {
    int64_t ids[NEWS_MAX];
    size_t count;
} news;

struct bv_feed {
    bv_store_pool *stores;
    uint64_t period_ns;
    pthread_t thread;
    _Atomic bool closed, ended;
    bv_bell bell;
    pthread_mutex_t lock;
    watcher *incoming; /* under the lock, as is */
    news told;
    watcher *watchers; /* of the thread */
};

static void finish(watcher *w) {
    bv_http_stream_end(w->x);
    bv_free(w);
}

static void note_gone(void *context) {
    ((watcher *)context)->gone = true;
}

void bv_feed_watch(bv_feed *feed, bv_http_exchange *x, int64_t user_id, int64_t submission_id) {
    watcher *w = bv_calloc(1, sizeof *w);
    if (!w) {
        bv_http_reply_error(x, 503, "out of memory");
        return;
    }
    w->x = x;
    w->user_id = user_id;
    w->submission_id = submission_id;
    w->state = -1;
    bv_http_stream_begin(x);
    if (!bv_http_on_cancel(x, note_gone, w)) w->gone = true;
    pthread_mutex_lock(&feed->lock);
    w->next = feed->incoming;
    feed->incoming = w;
    pthread_mutex_unlock(&feed->lock);
    bv_bell_ring(&feed->bell);
}

void bv_feed_tell(bv_feed *feed, int64_t submission_id) {
    pthread_mutex_lock(&feed->lock);
    if (feed->told.count < NEWS_MAX) feed->told.ids[feed->told.count++] = submission_id;
    pthread_mutex_unlock(&feed->lock);
    bv_bell_ring(&feed->bell);
}

/* ---- the thread ---- */

/* The submission, when it may have changed: of whom there is no news only the state is asked. */
static bv_status read_change(const watcher *w, bv_store *s, bool news, json_t **out,
                             int64_t *state) {
    *out = NULL;
    if (!news) BV_TRY(bv_submission_state_of(s, w->user_id, w->submission_id, state));
    if (!news && *state == w->state) return BV_OK;
    return bv_submission_json(s, w->user_id, w->submission_id, false, out, state);
}

/* Tells what is new; false when the stream has come to its end. */
static bool tell(watcher *w, bv_store *s, bool news) {
    int64_t state;
    json_t *value = NULL;
    bv_buffer text = {0};
    if (w->gone) return false;
    bool on = true;
    bv_error *error = read_change(w, s, news, &value, &state);
    if (!error && value && state != w->state) {
        error = bv_json_text(value, 0, &text);
        if (!error) {
            w->state = state;
            const char *event = state == BV_SUBMISSION_DONE ? "verdict" : "state";
            on = bv_http_stream_event(w->x, event, text.data) && state != BV_SUBMISSION_DONE;
        }
    }
    bv_error_free(&error); /* a store in trouble: the next round tries again */
    bv_buffer_free(&text);
    json_decref(value);
    return on;
}

static void take_incoming(bv_feed *f, news *told) {
    pthread_mutex_lock(&f->lock);
    watcher *w = f->incoming;
    f->incoming = NULL;
    *told = f->told;
    f->told.count = 0;
    pthread_mutex_unlock(&f->lock);
    for (watcher *next; w; w = next) {
        next = w->next;
        w->next = f->watchers;
        f->watchers = w;
    }
}

/* What was never told, or was told of; everything without news. */
static bool is_due(const watcher *w, const news *told) {
    if (!told || w->state < 0 || w->gone) return true;
    for (size_t i = 0; i < told->count; i++)
        if (told->ids[i] == w->submission_id) return true;
    return false;
}

static bool any_due(const bv_feed *f, const news *told) {
    const watcher *w = f->watchers;
    while (w && !is_due(w, told)) w = w->next;
    return w != NULL;
}

static void look(bv_feed *f, const news *told) {
    bv_store *s = NULL;
    if (!any_due(f, told)) return;
    bv_error *error = f->closed ? BV_OK : bv_store_pool_take(f->stores, &s);
    for (watcher **at = &f->watchers; *at;) {
        watcher *w = *at;
        if (!f->closed && !w->gone && (!s || !is_due(w, told) || tell(w, s, told != NULL))) {
            at = &w->next;
        } else {
            *at = w->next;
            finish(w);
        }
    }
    if (s) bv_store_pool_give(f->stores, s);
    bv_error_free(&error);
}

/* The more there is to look at, the longer the pause: at most a third of the time goes into looking
 * at everything. */
static void *run(void *context) {
    bv_feed *f = context;
    uint64_t next = 0; /* when everything is looked at */
    while (!f->ended) {
        news told;
        const uint64_t heard = bv_bell_count(&f->bell);
        const uint64_t begin = bv_clock_ns();
        const bool all = f->closed || begin >= next;
        take_incoming(f, &told);
        look(f, all ? NULL : &told);
        if (all) next = bv_clock_ns() + f->period_ns + 2 * (bv_clock_ns() - begin);
        if (!f->ended) bv_bell_wait(&f->bell, heard, next);
    }
    news unused;
    take_incoming(f, &unused);
    look(f, NULL);
    return NULL;
}

static void free_feed(bv_feed *f) {
    bv_bell_destroy(&f->bell);
    pthread_mutex_destroy(&f->lock);
    bv_free(f);
}

bv_status bv_feed_create(bv_store_pool *stores, int period_ms, bv_feed **out) {
    bv_feed *f = bv_calloc(1, sizeof *f);
    if (!f) return bv_fail_memory("a feed");
    f->stores = stores;
    f->period_ns = (uint64_t)period_ms * MILLISECOND;
    pthread_mutex_init(&f->lock, NULL);
    bv_bell_init(&f->bell);
    if (pthread_create(&f->thread, NULL, run, f) != 0) {
        free_feed(f);
        return bv_fail(BV_CODE_MEMORY, "no thread for a feed");
    }
    *out = f;
    return BV_OK;
}

void bv_feed_close(bv_feed *f) {
    f->closed = true;
    bv_bell_ring(&f->bell);
}

void bv_feed_destroy(bv_feed **feed) {
    bv_feed *f = *feed;
    if (!f) return;
    f->closed = true;
    f->ended = true;
    bv_bell_ring(&f->bell);
    pthread_join(f->thread, NULL);
    free_feed(f);
    *feed = NULL;
}
