#include "arena/signups.h"

#include "base/memory.h"
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define ROWS 4096
#define ADDRESS_SIZE 46 /* as text */
#define HOUR_NS UINT64_C(3600000000000)

typedef struct row {
    char network[ADDRESS_SIZE];
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

/* What one household or machine has: an IPv4 address, or 2^64 of IPv6, of which it may use each. */
static void network_of(const char *address, char out[ADDRESS_SIZE]) {
    struct in6_addr six;
    snprintf(out, ADDRESS_SIZE, "%s", address);
    if (inet_pton(AF_INET6, address, &six) != 1 || IN6_IS_ADDR_V4MAPPED(&six)) return;
    memset(six.s6_addr + 8, 0, 8);
    inet_ntop(AF_INET6, &six, out, ADDRESS_SIZE);
}

/* The network's row, or the one that has been there longest. */
static row *find(bv_signups *s, const char *network) {
    row *oldest = s->rows;
    for (row *r = s->rows; r < s->rows + ROWS; r++) {
        if (!strcmp(r->network, network)) return r;
        if (r->since_ns < oldest->since_ns) oldest = r;
    }
    *oldest = (row){0};
    snprintf(oldest->network, sizeof oldest->network, "%s", network);
    return oldest;
}

uint64_t bv_signups_wait(bv_signups *s, const char *address, uint64_t now_ns) {
    char network[ADDRESS_SIZE];
    if (!s->per_hour) return 0;
    network_of(address, network);
    pthread_mutex_lock(&s->lock);
    row *r = find(s, network);
    if (!r->count || now_ns - r->since_ns >= HOUR_NS) r->count = 0, r->since_ns = now_ns;
    const uint64_t wait = r->count < s->per_hour ? 0 : r->since_ns + HOUR_NS - now_ns;
    r->count += !wait;
    pthread_mutex_unlock(&s->lock);
    return wait;
}
