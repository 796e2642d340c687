#include "base/tasks.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

typedef struct tasks {
    size_t count;
    bv_task *task;
    void *context;
    _Atomic size_t next;
    _Atomic bool failed;
    pthread_mutex_t lock;
    bv_error *error; /* the first, under the lock */
} tasks;

static void keep_error(tasks *t, bv_error *error) {
    pthread_mutex_lock(&t->lock);
    t->error = bv_first_error(t->error, error);
    pthread_mutex_unlock(&t->lock);
    t->failed = true;
}

static void run_some(void *context, int part, int parts) {
    tasks *t = context;
    (void)part;
    (void)parts;
    for (size_t i; !t->failed && (i = t->next++) < t->count;) {
        bv_error *error = t->task(t->context, i);
        if (error) keep_error(t, error);
    }
}

bv_status bv_tasks_run(bv_pool *pool, size_t count, bv_task *task, void *context) {
    tasks t = {.count = count, .task = task, .context = context, .lock = PTHREAD_MUTEX_INITIALIZER};
    bv_pool_run(pool, run_some, &t);
    pthread_mutex_destroy(&t.lock);
    return t.error;
}
