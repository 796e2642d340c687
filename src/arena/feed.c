#include "arena/feed.h"

#include "arena/submissions.h"
#include "base/clock.h"
#include "base/memory.h"
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#define PERIOD_MS 50

typedef struct watcher {
    struct watcher *next;
    bv_http_exchange *x;
    int64_t user_id, submission_id, state; /* the state that was told; -1: none */
    _Atomic bool gone;
} watcher;

struct bv_feed {
    bv_store_pool *stores;
    pthread_t thread;
    _Atomic bool closed, ended;
    pthread_mutex_t lock;
    watcher *incoming; /* under the lock */
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
    bv_http_stream_begin(x, NULL);
    if (!bv_http_on_cancel(x, note_gone, w)) w->gone = true;
    pthread_mutex_lock(&feed->lock);
    w->next = feed->incoming;
    feed->incoming = w;
    pthread_mutex_unlock(&feed->lock);
}

/* ---- the thread ---- */

/* Tells what is new; false when the stream has come to its end. */
static bool tell(watcher *w, bv_store *s) {
    int64_t state;
    bv_error *error = bv_submission_state_of(s, w->user_id, w->submission_id, &state);
    json_t *value = NULL;
    bv_buffer text = {0};
    bool on = !w->gone;
    if (!error && state != w->state && on) {
        error = bv_submission_json(s, w->user_id, w->submission_id, false, &value);
        if (!error) error = bv_json_text(value, 0, &text);
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

static void take_incoming(bv_feed *f) {
    pthread_mutex_lock(&f->lock);
    watcher *w = f->incoming;
    f->incoming = NULL;
    pthread_mutex_unlock(&f->lock);
    for (watcher *next; w; w = next) {
        next = w->next;
        w->next = f->watchers;
        f->watchers = w;
    }
}

static void look(bv_feed *f) {
    bv_store *s = NULL;
    if (!f->watchers) return;
    bv_error *error = f->closed ? BV_OK : bv_store_pool_take(f->stores, &s);
    for (watcher **at = &f->watchers; *at;) {
        watcher *w = *at;
        if (!f->closed && !w->gone && (!s || tell(w, s))) {
            at = &w->next;
        } else {
            *at = w->next;
            finish(w);
        }
    }
    if (s) bv_store_pool_give(f->stores, s);
    bv_error_free(&error);
}

/* The more there is to look at, the longer the pause: at most a third of the time is used. */
static void *run(void *context) {
    bv_feed *f = context;
    while (!f->ended) {
        const uint64_t begin = bv_clock_ns();
        take_incoming(f);
        look(f);
        const uint64_t used = bv_clock_ns() - begin;
        const uint64_t pause = f->closed ? 10000000u : PERIOD_MS * 1000000u + 2 * used;
        nanosleep(&(struct timespec){(time_t)(pause / 1000000000u), (long)(pause % 1000000000u)},
                  NULL);
    }
    take_incoming(f);
    look(f);
    return NULL;
}

bv_status bv_feed_create(bv_store_pool *stores, bv_feed **out) {
    bv_feed *f = bv_calloc(1, sizeof *f);
    if (!f) return bv_fail_memory("a feed");
    f->stores = stores;
    pthread_mutex_init(&f->lock, NULL);
    if (pthread_create(&f->thread, NULL, run, f) != 0) {
        pthread_mutex_destroy(&f->lock);
        bv_free(f);
        return bv_fail(BV_CODE_MEMORY, "no thread for a feed");
    }
    *out = f;
    return BV_OK;
}

void bv_feed_close(bv_feed *f) {
    f->closed = true;
}

void bv_feed_destroy(bv_feed **feed) {
    bv_feed *f = *feed;
    if (!f) return;
    f->closed = true;
    f->ended = true;
    pthread_join(f->thread, NULL);
    pthread_mutex_destroy(&f->lock);
    bv_free(f);
    *feed = NULL;
}
