/* Arithmetic roof of AVX2: fused multiply-adds in twelve independent registers. */
#include <immintrin.h>

#include "kern/levels.h"

double kern_peak_avx2(enum kern_type type, size_t rounds)
{
    enum { CHAINS = 12 };
    __m256 acc[CHAINS];
    const __m256 half = _mm256_set1_ps(0.5f);
    if (type != KERN_F32)
        return 0.0;
    for (size_t i = 0; i < CHAINS; i++)
        acc[i] = _mm256_set1_ps((float)i);
    for (size_t round = 0; round < rounds; round++) {
        for (size_t i = 0; i < CHAINS; i++) {
            acc[i] = _mm256_fmadd_ps(acc[i], half, half);
            __asm__ volatile("" : "+x"(acc[i])); /* the chain is the point: keep it */
        }
    }
    return 2.0 * 8.0 * CHAINS * (double)rounds;
}
