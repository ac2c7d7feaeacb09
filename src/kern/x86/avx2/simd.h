/* Eight-lane helpers shared by the AVX2 kernels: masks for tails, elementary functions, folds.
 * The operations and their order are those of generic/approx.h and generic/norm.c.               */
#ifndef KERN_X86_AVX2_SIMD_H
#define KERN_X86_AVX2_SIMD_H

#include <immintrin.h>
#include <stddef.h>

#include "kern/approx.h"

#define W 8 /* floats per register */

/* Mask of the first n lanes; all of them from 8 on. */
static inline __m256i mask8(size_t n)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n < W ? (int)n : W), lane);
}

static inline __m256 load8(const float *x, size_t n)
{
    return n >= W ? _mm256_loadu_ps(x) : _mm256_maskload_ps(x, mask8(n));
}

static inline void store8(float *x, size_t n, __m256 v)
{
    if (n >= W)
        _mm256_storeu_ps(x, v);
    else
        _mm256_maskstore_ps(x, mask8(n), v);
}

/* e^x, 0 below KERN_EXP_MIN, for x not above KERN_EXP_MAX and not NaN. */
static inline __m256 exp256(__m256 x)
{
    const __m256 alive = _mm256_cmp_ps(x, _mm256_set1_ps(KERN_EXP_MIN), _CMP_GE_OQ);
    const __m256 magic = _mm256_set1_ps(KERN_ROUND);
    const __m256 n = _mm256_sub_ps(_mm256_fmadd_ps(x, _mm256_set1_ps(KERN_EXP_LOG2E), magic),
                                   magic);
    __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(KERN_EXP_LN2_HI), x);
    r = _mm256_fnmadd_ps(n, _mm256_set1_ps(KERN_EXP_LN2_LO), r);
    __m256 p = _mm256_fmadd_ps(_mm256_set1_ps(KERN_EXP_C6), r, _mm256_set1_ps(KERN_EXP_C5));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(KERN_EXP_C4));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(KERN_EXP_C3));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(KERN_EXP_C2));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(KERN_EXP_C1));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(KERN_EXP_C0));
    const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    const __m256 scale = _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23));
    return _mm256_and_ps(alive, _mm256_mul_ps(p, scale));
}

/* x * Phi(x). */
static inline __m256 gelu256(__m256 x)
{
    const __m256 magic = _mm256_set1_ps(KERN_ROUND);
    const __m256 magnitude = _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x);
    const __m256 scaled = _mm256_mul_ps(magnitude, _mm256_set1_ps(KERN_GELU_PER_UNIT));
    const __m256 z = _mm256_min_ps(scaled, _mm256_set1_ps(KERN_GELU_LAST));
    const __m256 rounded = _mm256_add_ps(z, magic);
    const __m256i piece = _mm256_and_si256(_mm256_castps_si256(rounded), _mm256_set1_epi32(15));
    const __m256 u = _mm256_sub_ps(z, _mm256_sub_ps(rounded, magic));
    __m256 b = _mm256_i32gather_ps(kern_gelu_c[5], piece, 4);
    for (int power = 4; power >= 0; power--)
        b = _mm256_fmadd_ps(b, u, _mm256_i32gather_ps(kern_gelu_c[power], piece, 4));
    return _mm256_sub_ps(_mm256_max_ps(_mm256_setzero_ps(), x), b);
}

/* Lanes i and i + 4, then 2, 1: the last three steps of fold() in generic/norm.c. */
static inline float fold256(__m256 v8)
{
    const __m128 v4 = _mm_add_ps(_mm256_castps256_ps128(v8), _mm256_extractf128_ps(v8, 1));
    const __m128 v2 = _mm_add_ps(v4, _mm_movehl_ps(v4, v4));
    return _mm_cvtss_f32(_mm_add_ss(v2, _mm_shuffle_ps(v2, v2, 1)));
}

/* The whole fold of 64 lanes held in eight registers. */
static inline float fold64(const __m256 *lane)
{
    const __m256 a = _mm256_add_ps(_mm256_add_ps(lane[0], lane[4]),
                                   _mm256_add_ps(lane[2], lane[6]));
    const __m256 b = _mm256_add_ps(_mm256_add_ps(lane[1], lane[5]),
                                   _mm256_add_ps(lane[3], lane[7]));
    return fold256(_mm256_add_ps(a, b));
}

/* Largest of eight lanes. */
static inline float max256(__m256 v8)
{
    const __m128 v4 = _mm_max_ps(_mm256_castps256_ps128(v8), _mm256_extractf128_ps(v8, 1));
    const __m128 v2 = _mm_max_ps(v4, _mm_movehl_ps(v4, v4));
    return _mm_cvtss_f32(_mm_max_ss(v2, _mm_shuffle_ps(v2, v2, 1)));
}

#endif
