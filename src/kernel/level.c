#include "kernel/kernel.h"

#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#include <xmmintrin.h>
#endif

extern const bv_kernels bv_kernels_c, bv_kernels_f64;
#ifdef BV_HAVE_AVX2
extern const bv_kernels bv_kernels_avx2;
#endif
#ifdef BV_HAVE_AVX512
extern const bv_kernels bv_kernels_avx512;
#endif
#ifdef BV_HAVE_NEON
extern const bv_kernels bv_kernels_neon;
#endif

static const bv_kernels *const all[] = {
    &bv_kernels_c,
#ifdef BV_HAVE_AVX2
    &bv_kernels_avx2,
#endif
#ifdef BV_HAVE_AVX512
    &bv_kernels_avx512,
#endif
#ifdef BV_HAVE_NEON
    &bv_kernels_neon,
#endif
};

const bv_kernels *const *bv_kernels_all(size_t *count) {
    *count = sizeof all / sizeof *all;
    return all;
}

const bv_kernels *bv_kernels_reference(void) {
    return &bv_kernels_f64;
}

#if defined(__x86_64__)
/* The compiler's run-time check asks cpuid and, by xgetbv, whether the system saves the registers.
 * Two features are not known to every compiler's check by name. */
static bool has_avx2(void) {
    unsigned a, b, c, d;
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __get_cpuid(1, &a, &b, &c, &d) && c & 1u << 29; /* F16C */
}

static bool has_avx512(void) {
#ifdef BV_EMULATE_AVX512 /* a build for tests: tests/emulated/avx512.h */
    return has_avx2();
#else
    unsigned a, b, c, d;
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vnni") && __get_cpuid_count(7, 1, &a, &b, &c, &d) &&
           a & 1u << 5; /* AVX512_BF16 */
#endif
}
#endif

bool bv_kernels_usable(const bv_kernels *kernels) {
#if defined(__x86_64__)
    if (!strcmp(kernels->level, "avx2")) return has_avx2();
    if (!strcmp(kernels->level, "avx512")) return has_avx512();
#else
    (void)kernels;
#endif
    return true;
}

static bv_status pick_named(const char *name, const bv_kernels **out) {
    size_t count;
    const bv_kernels *const *list = bv_kernels_all(&count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(list[i]->level, name)) continue;
        if (!bv_kernels_usable(list[i]))
            return bv_try(bv_fail(BV_CODE_USAGE, "BEAVER_CPU=%s: this CPU lacks it", name),
                          "BEAVER_CPU=c, or unset it");
        *out = list[i];
        return BV_OK;
    }
    return bv_try(bv_fail(BV_CODE_USAGE, "BEAVER_CPU=%s: no such level in this program", name),
                  "c, avx2, avx512 or neon");
}

bv_status bv_kernels_pick(const bv_kernels **out) {
    const char *name = getenv("BEAVER_CPU");
    if (name && *name) return pick_named(name, out);
    size_t count;
    const bv_kernels *const *list = bv_kernels_all(&count);
    for (size_t i = 0; i < count; i++)
        if (bv_kernels_usable(list[i])) *out = list[i];
    return BV_OK;
}

/* The default state: round to nearest, all exceptions masked, denormals kept. */
unsigned bv_float_enter(void) {
#if defined(__x86_64__)
    const unsigned saved = _mm_getcsr();
    _mm_setcsr(0x1f80);
    return saved;
#elif defined(__aarch64__)
    uint64_t saved;
    __asm__ volatile("mrs %0, fpcr" : "=r"(saved));
    __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)0));
    return (unsigned)saved;
#else
    return 0;
#endif
}

void bv_float_leave(unsigned saved) {
#if defined(__x86_64__)
    _mm_setcsr(saved);
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)saved));
#else
    (void)saved;
#endif
}
