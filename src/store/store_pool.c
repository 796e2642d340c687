#include "store/store_pool.h"

#include "base/memory.h"
#include <pthread.h>

#define STORES_MAX 64

struct bv_store_pool {
    char *url;
    pthread_mutex_t lock;
    pthread_cond_t given;
    bv_store *idle[STORES_MAX];
    int idle_count, open, max;
};

bv_status bv_store_pool_create(const char *url, int max, bv_store_pool **out) {
    BV_ASSERT(max > 0 && max <= STORES_MAX);
    bv_store_pool *p = bv_calloc(1, sizeof *p);
    if (!p) return bv_fail_memory("a pool of connections");
    p->url = bv_strdup(url);
    p->max = max;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->given, NULL);
    *out = p;
    bv_error *error = p->url ? bv_store_open(url, true, p->idle) : bv_fail_memory("a pool");
    if (error)
        bv_store_pool_destroy(out);
    else
        p->idle_count = p->open = 1;
    return error;
}

void bv_store_pool_destroy(bv_store_pool **pool) {
    bv_store_pool *p = *pool;
    if (!p) return;
    BV_ASSERT(p->open == p->idle_count);
    for (int i = 0; i < p->idle_count; i++) bv_store_close(&p->idle[i]);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->given);
    bv_free(p->url);
    bv_free(p);
    *pool = NULL;
}

bv_status bv_store_pool_take(bv_store_pool *p, bv_store **out) {
    *out = NULL;
    pthread_mutex_lock(&p->lock);
    while (!p->idle_count && p->open == p->max) pthread_cond_wait(&p->given, &p->lock);
    if (p->idle_count)
        *out = p->idle[--p->idle_count];
    else
        p->open++;
    pthread_mutex_unlock(&p->lock);
    if (*out) return BV_OK;
    /* A file that has gone meanwhile is not made anew: all would be missing in it. */
    bv_error *error = bv_store_open_present(p->url, true, out);
    if (!error) return BV_OK;
    pthread_mutex_lock(&p->lock);
    p->open--;
    pthread_cond_signal(&p->given);
    pthread_mutex_unlock(&p->lock);
    return error;
}

void bv_store_pool_give(bv_store_pool *p, bv_store *store) {
    pthread_mutex_lock(&p->lock);
    p->idle[p->idle_count++] = store;
    pthread_cond_signal(&p->given);
    pthread_mutex_unlock(&p->lock);
}
