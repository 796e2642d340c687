#include "base/quantity.h"

#include <stdlib.h>
#include <string.h>

typedef struct unit {
    const char *name;
    double size;
} unit;

static const unit times[] = {{"", 1e9},  {"ns", 1},   {"us", 1e3},  {"ms", 1e6},
                             {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}};
static const unit sizes[] = {
    {"", 1},      {"B", 1},        {"k", 1e3},      {"K", 1e3},      {"kB", 1e3},
    {"M", 1e6},   {"MB", 1e6},     {"G", 1e9},      {"GB", 1e9},     {"T", 1e12},
    {"TB", 1e12}, {"KiB", 0x1p10}, {"MiB", 0x1p20}, {"GiB", 0x1p30}, {"TiB", 0x1p40},
};

/* Digits with at most one point inside, then a unit of the table. */
static bool parse(const char *text, const unit *units, size_t count, uint64_t *out) {
    const size_t digits = strspn(text, "0123456789.");
    if (digits == 0 || digits > 18 || *text == '.' || text[digits - 1] == '.') return false;
    char number[24], *end;
    memcpy(number, text, digits);
    number[digits] = 0;
    const double value = strtod(number, &end);
    if (*end) return false;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(units[i].name, text + digits) != 0) continue;
        if (value * units[i].size >= 0x1p63) return false;
        *out = (uint64_t)(value * units[i].size + 0.5);
        return true;
    }
    return false;
}

bool bv_parse_duration(const char *text, uint64_t *ns) {
    return parse(text, times, sizeof times / sizeof *times, ns);
}

bool bv_parse_bytes(const char *text, uint64_t *bytes) {
    return parse(text, sizes, sizeof sizes / sizeof *sizes, bytes);
}
