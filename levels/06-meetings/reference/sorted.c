#include <stdio.h>
#include <stdlib.h>

typedef struct meeting {
    long begin, end;
} meeting;

static int by_begin(const void *a, const void *b) {
    const meeting *x = a, *y = b;
    return (x->begin > y->begin) - (x->begin < y->begin);
}

int main(void) {
    size_t n;
    long sum = 0;
    if (scanf("%zu", &n) != 1) return 1;
    meeting *all = malloc(n * sizeof *all);
    for (size_t i = 0; i < n; i++)
        if (scanf("%ld %ld", &all[i].begin, &all[i].end) != 2) return 1;
    qsort(all, n, sizeof *all, by_begin);
    meeting now = all[0];
    for (size_t i = 1; i <= n; i++) {
        if (i < n && all[i].begin <= now.end) {
            if (all[i].end > now.end) now.end = all[i].end;
            continue;
        }
        printf("%ld %ld\n", now.begin, now.end);
        sum += now.end - now.begin;
        if (i < n) now = all[i];
    }
    printf("%ld\n", sum);
}
