#include "tensor/normal.h"

#include "kernel/real_host.h"
#include <math.h>
#include <string.h>

#define TURN 6.283185307179586

/* The definition. */
static double define(bv_random4 r) {
    const double u = 1.0 - bv_uniform_f64(r.v[0], r.v[1]); /* (0, 1] */
    const double angle = TURN * bv_uniform_f64(r.v[2], r.v[3]);
    return sqrt(-2.0 * bv_log(u)) * bv_cos(angle);
}

void bv_normal_tables_make(bv_normal_tables *t) {
    for (int i = 0; i < 128; i++) {
        t->reciprocal[i] = 1.0 / (1.0 + (i + 0.5) / 128);
        t->log[i] = -bv_log(t->reciprocal[i]);
    }
    for (int i = 0; i < 256; i++) {
        t->cosine[i] = bv_cos(TURN * (i + 0.5) / 256);
        t->sine[i] = bv_sin(TURN * (i + 0.5) / 256);
    }
}

/* log u for u > 0, to within 1e-15 and an ulp: u = 2^e m, m = (1 + z) / reciprocal, |z| < 0.004. */
static double near_log(const bv_normal_tables *t, double u) {
    uint64_t bits;
    memcpy(&bits, &u, 8);
    const int e = (int)(bits >> 52) - 1023, part = (int)(bits >> 45 & 127);
    bits = (bits & 0xfffffffffffffu) | (uint64_t)1023 << 52;
    double m;
    memcpy(&m, &bits, 8);
    const double z = m * t->reciprocal[part] - 1.0;
    const double p = z * (1.0 / 3 + z * (-1.0 / 4 + z * (1.0 / 5 - z * (1.0 / 6))));
    return e * 0.6931471805599453 + (t->log[part] + (z + z * z * (p - 0.5)));
}

/* The cosine of a part of a turn, 0 to 1, to within 1e-15; `word` holds its first 32 bits. */
static double near_cosine(const bv_normal_tables *t, double turn, uint32_t word) {
    const unsigned part = word >> 24;
    const double a = TURN * (turn - (part + 0.5) / 256), z = a * a;
    const double sine = a * (1.0 + z * (-1.0 / 6 + z * (1.0 / 120)));
    const double cosine = 1.0 + z * (-0.5 + z * (1.0 / 24 - z * (1.0 / 720)));
    return t->cosine[part] * cosine - t->sine[part] * sine;
}

/* Below this -2 log u, a root makes too much of the logarithm's error. */
#define SQUARE_MIN 0x1p-10
#define BLOCK 64

/* A loop a step, each over independent numbers: so the processor works on many at a time. */
static void from_words(const bv_normal_tables *t, const bv_random4 *words, size_t count, double std,
                       float *out) {
    double square[BLOCK], near[BLOCK];
    for (size_t i = 0; i < count; i++)
        square[i] = -2.0 * near_log(t, 1.0 - bv_uniform_f64(words[i].v[0], words[i].v[1]));
    for (size_t i = 0; i < count; i++)
        near[i] = near_cosine(t, bv_uniform_f64(words[i].v[2], words[i].v[3]), words[i].v[2]);
    for (size_t i = 0; i < count; i++) near[i] *= sqrt(square[i]);
    for (size_t i = 0; i < count; i++) {
        const float low = (float)(std * (near[i] - BV_NORMAL_ERROR)),
                    high = (float)(std * (near[i] + BV_NORMAL_ERROR));
        out[i] = square[i] >= SQUARE_MIN && low == high ? low : (float)(std * define(words[i]));
    }
}

float bv_normal_from_words(const bv_normal_tables *tables, bv_random4 words, double std) {
    float x;
    from_words(tables, &words, 1, std, &x);
    return x;
}

void bv_normal_fill(const bv_normal_tables *tables, uint64_t seed, uint32_t parameter,
                    uint64_t begin, size_t count, double std, float *out) {
    bv_random4 words[BLOCK];
    for (size_t done = 0; done < count; done += BLOCK) {
        const size_t n = count - done < BLOCK ? count - done : BLOCK;
        for (size_t k = 0; k < n; k++) {
            const uint64_t i = begin + done + k;
            words[k] =
                bv_random(seed, BV_RANDOM_INIT, parameter, 0, (uint32_t)(i >> 32), (uint32_t)i);
        }
        from_words(tables, words, n, std, out + done);
    }
}
