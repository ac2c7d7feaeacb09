/* Arithmetic roof of the matrix instructions: products in sixteen independent registers. */
#include <arm_neon.h>

#include "kern/levels.h"

enum { CHAINS = 16 };

static double peak_int8(size_t rounds)
{
    int32x4_t acc[CHAINS];
    const int8x16_t one = vdupq_n_s8(1);
    for (size_t i = 0; i < CHAINS; i++)
        acc[i] = vdupq_n_s32(0);
    for (size_t round = 0; round < rounds; round++) {
        for (size_t i = 0; i < CHAINS; i++) {
            int32x4_t next = vmmlaq_s32(acc[i], one, one);
            __asm__ volatile("" : "+w"(next)); /* the chain is the point: keep it */
            acc[i] = next;
        }
    }
    return 2.0 * 32.0 * CHAINS * (double)rounds;
}

static double peak_bf16(size_t rounds)
{
    float32x4_t acc[CHAINS];
    const bfloat16x8_t zero = vreinterpretq_bf16_u16(vdupq_n_u16(0));
    for (size_t i = 0; i < CHAINS; i++)
        acc[i] = vdupq_n_f32(0.0f);
    for (size_t round = 0; round < rounds; round++) {
        for (size_t i = 0; i < CHAINS; i++) {
            float32x4_t next = vbfmmlaq_f32(acc[i], zero, zero);
            __asm__ volatile("" : "+w"(next));
            acc[i] = next;
        }
    }
    return 2.0 * 16.0 * CHAINS * (double)rounds;
}

double kern_peak_i8mm(enum kern_type type, size_t rounds)
{
    switch (type) {
    case KERN_INT8: return peak_int8(rounds);
    case KERN_BF16: return peak_bf16(rounds);
    default: return kern_peak_neon(type, rounds);
    }
}
