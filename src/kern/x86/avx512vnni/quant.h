/* Numbers to int8 in AVX-512, sixteen at a time: what preparing rows and softening scores share.
 * The operations are those of generic/pack.c.                                                    */
#ifndef KERN_X86_AVX512_QUANT_H
#define KERN_X86_AVX512_QUANT_H

#include "kern/pack.h"
#include "kern/x86/avx512vnni/simd.h"

/* The larger magnitude of each pair; a NaN never wins. */
static inline __m512 larger_magnitude(__m512 a, __m512 b)
{
    return _mm512_range_ps(a, b, 2 << 2 | 3); /* sign cleared, largest magnitude */
}

static inline float max_magnitude(const float *x, size_t n)
{
    __m512 lane[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(),
                      _mm512_setzero_ps()};
    size_t i = 0;
    for (; i + 4 * W <= n; i += 4 * W)
        for (size_t j = 0; j < 4; j++)
            lane[j] = larger_magnitude(lane[j], _mm512_loadu_ps(x + i + j * W));
    for (; i < n; i += W)
        lane[0] = larger_magnitude(lane[0], _mm512_maskz_loadu_ps(mask16(n - i), x + i));
    return _mm512_reduce_max_ps(
        _mm512_max_ps(_mm512_max_ps(lane[0], lane[1]), _mm512_max_ps(lane[2], lane[3])));
}

/* Rounded, at most 127; at least -127 but for a NaN, which becomes the smallest integer. (A number
 * times 127 / max rounds to 127 at most, except where that quotient is beyond every f32.)       */
static inline __m512i round_to_int(__m512 x, __m512 inverse)
{
    const __m512 most = _mm512_set1_ps(127.0f);
    return _mm512_cvtps_epi32(_mm512_min_ps(most, _mm512_mul_ps(x, inverse)));
}

/* Four times 16 integers to 64 bytes in order, -127 at least. */
static inline __m512i pack_bytes(const __m512i *part)
{
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512i low = _mm512_packs_epi32(part[0], part[1]);
    const __m512i high = _mm512_packs_epi32(part[2], part[3]);
    const __m512i bytes = _mm512_max_epi8(_mm512_packs_epi16(low, high), _mm512_set1_epi8(-127));
    return _mm512_permutexvar_epi32(order, bytes); /* packing goes by lanes of 128 bits */
}

/* 64 columns of a row, quantised; those from `left` on are zero. */
static inline __m512i quantise_chunk(const float *x, size_t left, __m512 inverse)
{
    __m512i part[4];
    if (left >= KERN_CHUNK_INT8) {
        for (size_t i = 0; i < 4; i++)
            part[i] = round_to_int(_mm512_loadu_ps(x + i * W), inverse);
    } else {
        for (size_t i = 0; i < 4; i++) {
            const __mmask16 mask = i * W < left ? mask16(left - i * W) : 0;
            part[i] = _mm512_maskz_mov_epi32(
                mask, round_to_int(_mm512_maskz_loadu_ps(mask, x + i * W), inverse));
        }
    }
    return pack_bytes(part);
}

#endif
