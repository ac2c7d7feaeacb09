/* Arithmetic roof of NEON: fused multiply-adds in sixteen independent registers. */
#include <arm_neon.h>

#include "kern/levels.h"

double kern_peak_neon(enum kern_type type, size_t rounds)
{
    enum { CHAINS = 16 };
    float32x4_t acc[CHAINS];
    const float32x4_t half = vdupq_n_f32(0.5f);
    if (type != KERN_F32)
        return 0.0;
    for (size_t i = 0; i < CHAINS; i++)
        acc[i] = vdupq_n_f32((float)i);
    for (size_t round = 0; round < rounds; round++) {
        for (size_t i = 0; i < CHAINS; i++) {
            float32x4_t next = vfmaq_f32(acc[i], half, half);
            __asm__ volatile("" : "+w"(next)); /* the chain is the point: keep it */
            acc[i] = next;
        }
    }
    return 2.0 * 4.0 * CHAINS * (double)rounds;
}
