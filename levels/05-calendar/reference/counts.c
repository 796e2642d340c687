#include <stdio.h>

static long ordinal(long y, int m, int d) {
    static const int before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    const int leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    const long past = y - 1;
    return past * 365 + past / 4 - past / 100 + past / 400 + before[m - 1] + (leap && m > 2) + d;
}

int main(void) {
    static const char *const days[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                       "Thursday", "Friday", "Saturday"};
    long a, b;
    int am, ad, bm, bd;
    while (scanf("%ld-%d-%d %ld-%d-%d", &a, &am, &ad, &b, &bm, &bd) == 6) {
        const long second = ordinal(b, bm, bd);
        printf("%ld %s\n", second - ordinal(a, am, ad), days[second % 7]);
    }
}
