#include "arena/signups.h"

#include "base/memory.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define ROWS 4096
#define HOUR_NS UINT64_C(3600000000000)

typedef struct row {
    char address[46];
    int count;
    uint64_t since_ns;
} row;

struct bv_signups {
    int per_hour;
    pthread_mutex_t lock;
    row rows[ROWS];
};

bv_status bv_signups_create(int per_hour, bv_signups **out) {
    *out = bv_calloc(1, sizeof **out);
    if (!*out) return bv_fail_memory("a table of addresses");
    (*out)->per_hour = per_hour;
    pthread_mutex_init(&(*out)->lock, NULL);
    return BV_OK;
}

void bv_signups_destroy(bv_signups **signups) {
    if (!*signups) return;
    pthread_mutex_destroy(&(*signups)->lock);
    bv_free(*signups);
    *signups = NULL;
}

/* The address's row, or the one that has been there longest. */
static row *find(bv_signups *s, const char *address) {
    row *oldest = s->rows;
    for (row *r = s->rows; r < s->rows + ROWS; r++) {
        if (!strcmp(r->address, address)) return r;
        if (r->since_ns < oldest->since_ns) oldest = r;
    }
    *oldest = (row){0};
    snprintf(oldest->address, sizeof oldest->address, "%s", address);
    return oldest;
}

bool bv_signups_allow(bv_signups *s, const char *address, uint64_t now_ns) {
    if (!s->per_hour) return true;
    pthread_mutex_lock(&s->lock);
    row *r = find(s, address);
    if (!r->count || now_ns - r->since_ns > HOUR_NS) r->count = 0, r->since_ns = now_ns;
    const bool allowed = r->count < s->per_hour;
    r->count += allowed;
    pthread_mutex_unlock(&s->lock);
    return allowed;
}
