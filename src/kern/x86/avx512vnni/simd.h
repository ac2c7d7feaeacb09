/* Sixteen-lane helpers shared by the AVX-512 kernels: masks for tails, elementary functions, folds.
 * The operations and their order are those of generic/approx.h and generic/norm.c.               */
#ifndef KERN_X86_AVX512_SIMD_H
#define KERN_X86_AVX512_SIMD_H

#include <immintrin.h>
#include <stddef.h>

#include "kern/approx.h"

#define W 16 /* floats per register */

/* Mask of the first n lanes; all of them from 16 on. */
static inline __mmask16 mask16(size_t n)
{
    return n >= W ? (__mmask16)0xffff : (__mmask16)((1U << n) - 1U);
}

/* e^x, 0 below KERN_EXP_MIN, for x not above KERN_EXP_MAX and not NaN. */
static inline __m512 exp512(__m512 x)
{
    const __mmask16 alive = _mm512_cmp_ps_mask(x, _mm512_set1_ps(KERN_EXP_MIN), _CMP_GE_OQ);
    const __m512 magic = _mm512_set1_ps(KERN_ROUND);
    const __m512 n = _mm512_sub_ps(_mm512_fmadd_ps(x, _mm512_set1_ps(KERN_EXP_LOG2E), magic),
                                   magic);
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(KERN_EXP_LN2_HI), x);
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(KERN_EXP_LN2_LO), r);
    __m512 p = _mm512_fmadd_ps(_mm512_set1_ps(KERN_EXP_C6), r, _mm512_set1_ps(KERN_EXP_C5));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(KERN_EXP_C4));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(KERN_EXP_C3));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(KERN_EXP_C2));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(KERN_EXP_C1));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(KERN_EXP_C0));
    return _mm512_maskz_scalef_ps(alive, p, n);
}

/* x * Phi(x); the twelve table registers are loaded by the compiler outside of loops. */
static inline __m512 gelu512(__m512 x)
{
    const __m512 magic = _mm512_set1_ps(KERN_ROUND);
    const __m512 scaled = _mm512_mul_ps(_mm512_abs_ps(x), _mm512_set1_ps(KERN_GELU_PER_UNIT));
    const __m512 z = _mm512_min_ps(scaled, _mm512_set1_ps(KERN_GELU_LAST));
    const __m512 rounded = _mm512_add_ps(z, magic);
    const __m512i piece = _mm512_castps_si512(rounded);
    const __m512 u = _mm512_sub_ps(z, _mm512_sub_ps(rounded, magic));
    __m512 b = _mm512_permutexvar_ps(piece, _mm512_loadu_ps(kern_gelu_c[5]));
    b = _mm512_fmadd_ps(b, u, _mm512_permutexvar_ps(piece, _mm512_loadu_ps(kern_gelu_c[4])));
    b = _mm512_fmadd_ps(b, u, _mm512_permutexvar_ps(piece, _mm512_loadu_ps(kern_gelu_c[3])));
    b = _mm512_fmadd_ps(b, u, _mm512_permutexvar_ps(piece, _mm512_loadu_ps(kern_gelu_c[2])));
    b = _mm512_fmadd_ps(b, u, _mm512_permutexvar_ps(piece, _mm512_loadu_ps(kern_gelu_c[1])));
    b = _mm512_fmadd_ps(b, u, _mm512_permutexvar_ps(piece, _mm512_loadu_ps(kern_gelu_c[0])));
    return _mm512_sub_ps(_mm512_max_ps(_mm512_setzero_ps(), x), b);
}

/* Lanes i and i + 8, then 4, 2, 1: the last four steps of fold() in generic/norm.c. */
static inline float fold512(__m512 v)
{
    const __m256 v8 = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    const __m128 v4 = _mm_add_ps(_mm256_castps256_ps128(v8), _mm256_extractf128_ps(v8, 1));
    const __m128 v2 = _mm_add_ps(v4, _mm_movehl_ps(v4, v4));
    return _mm_cvtss_f32(_mm_add_ss(v2, _mm_shuffle_ps(v2, v2, 1)));
}

/* The whole fold of 64 lanes held in four registers. */
static inline float fold64(const __m512 *lane)
{
    return fold512(_mm512_add_ps(_mm512_add_ps(lane[0], lane[2]), _mm512_add_ps(lane[1], lane[3])));
}

/* Sixteen rows of sixteen 32-bit elements become columns. */
static inline void transpose_16(__m512i r[16])
{
    __m512i t[16];
    for (size_t i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    for (size_t i = 0; i < 16; i += 4) {
        for (size_t j = 0; j < 2; j++) {
            r[i + 2 * j] = _mm512_unpacklo_epi64(t[i + j], t[i + j + 2]);
            r[i + 2 * j + 1] = _mm512_unpackhi_epi64(t[i + j], t[i + j + 2]);
        }
    }
    for (size_t i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
        t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
    }
    for (size_t i = 0; i < 4; i++) {
        r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
        r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
        r[i + 4] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
        r[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd);
    }
}

#endif
