#include "report/units.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>

static bv_human not_finite(double value) {
    bv_human h;
    snprintf(h.text, sizeof h.text, "%s", isnan(value) ? "nan" : value < 0 ? "-inf" : "inf");
    return h;
}

/* Two digits below ten, else none, and the unit that leaves less than a thousand. What would be
 * rounded up to a thousand takes the next unit. */
static bv_human scaled(double value, const char *const *units, size_t count) {
    bv_human h;
    if (!isfinite(value)) return not_finite(value);
    size_t unit = 0;
    while (unit + 1 < count && fabs(value) >= 999.5) {
        value /= 1000;
        unit++;
    }
    const double digits = fabs(value);
    if (digits >= 1e6) { /* beyond the last unit */
        snprintf(h.text, sizeof h.text, "%.1e%s", value, units[unit]);
        return h;
    }
    const int whole = digits >= 9.95 || (unit == 0 && floor(value) == value);
    snprintf(h.text, sizeof h.text, "%.*f%s", whole ? 0 : 1, value, units[unit]);
    return h;
}

bv_human bv_human_count(double count) {
    static const char *const units[] = {"", "k", "M", "B", "T"};
    return scaled(count, units, sizeof units / sizeof *units);
}

bv_human bv_human_bytes(double bytes) {
    static const char *const units[] = {" B", " kB", " MB", " GB", " TB", " PB"};
    return scaled(bytes, units, sizeof units / sizeof *units);
}

static bv_human pair(double large, const char *large_unit, double small, const char *small_unit) {
    bv_human h;
    snprintf(h.text, sizeof h.text, "%.0f%s %02.0f%s", large, large_unit, small, small_unit);
    return h;
}

bv_human bv_human_time(double seconds) {
    bv_human h;
    if (!isfinite(seconds)) return not_finite(seconds);
    if (seconds < 0) seconds = 0;
    if (seconds < 59.5) {
        const int digits = seconds < 0.995 ? 2 : seconds < 9.95 ? 1 : 0;
        snprintf(h.text, sizeof h.text, "%.*fs", digits, seconds);
        return h;
    }
    const double whole = rint(seconds), minutes = rint(seconds / 60), hours = rint(seconds / 3600);
    if (whole < 3600) return pair(floor(whole / 60), "m", whole - 60 * floor(whole / 60), "s");
    if (minutes < 1440)
        return pair(floor(minutes / 60), "h", minutes - 60 * floor(minutes / 60), "m");
    if (hours < 1e5) return pair(floor(hours / 24), "d", hours - 24 * floor(hours / 24), "h");
    bv_human years = scaled(hours / 8766, (const char *const[]){"y", "ky", "My", "By"}, 4);
    return years;
}

bv_human bv_human_number(size_t number, const char *thing) {
    bv_human h;
    snprintf(h.text, sizeof h.text, "%zu %s%s", number, thing, number == 1 ? "" : "s");
    return h;
}

bv_human bv_human_share(double share) {
    bv_human h;
    if (!isfinite(share)) return not_finite(share);
    const double percent = 100 * share;
    snprintf(h.text, sizeof h.text, "%.*f%%", fabs(percent) < 9.95 ? 1 : 0, percent);
    return h;
}
