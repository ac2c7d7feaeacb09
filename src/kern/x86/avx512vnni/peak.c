/* Arithmetic roofs of AVX-512: fused multiply-adds, and VNNI's products of bytes, in sixteen
 * independent registers.                                                                         */
#include <immintrin.h>

#include "kern/levels.h"

#define CHAINS 16

static double peak_f32(size_t rounds)
{
    __m512 acc[CHAINS];
    const __m512 half = _mm512_set1_ps(0.5f);
    for (size_t i = 0; i < CHAINS; i++)
        acc[i] = _mm512_set1_ps((float)i);
    for (size_t round = 0; round < rounds; round++) {
        for (size_t i = 0; i < CHAINS; i++) {
            acc[i] = _mm512_fmadd_ps(acc[i], half, half);
            __asm__ volatile("" : "+v"(acc[i])); /* the chain is the point: keep it */
        }
    }
    return 2.0 * 16.0 * CHAINS * (double)rounds;
}

static double peak_int8(size_t rounds)
{
    __m512i acc[CHAINS];
    const __m512i ones = _mm512_set1_epi8(1);
    for (size_t i = 0; i < CHAINS; i++)
        acc[i] = _mm512_setzero_si512();
    for (size_t round = 0; round < rounds; round++) {
        for (size_t i = 0; i < CHAINS; i++) {
            acc[i] = _mm512_dpbusd_epi32(acc[i], ones, ones);
            __asm__ volatile("" : "+v"(acc[i]));
        }
    }
    return 2.0 * 64.0 * CHAINS * (double)rounds;
}

double kern_peak_avx512vnni(enum kern_type type, size_t rounds)
{
    if (type == KERN_BF16)
        return 0.0;
    return type == KERN_F32 ? peak_f32(rounds) : peak_int8(rounds);
}
