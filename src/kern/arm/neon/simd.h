/* Four-lane helpers shared by the kernels of 64-bit ARM: tails, elementary functions, folds.
 * The operations and their order are those of generic/approx.h and generic/norm.c.               */
#ifndef KERN_ARM_NEON_SIMD_H
#define KERN_ARM_NEON_SIMD_H

#include <arm_neon.h>
#include <stddef.h>
#include <string.h>

#include "kern/approx.h"

#define W 4 /* floats per register */

/* The first n (1 or more) of four floats; zeros behind them. */
static inline float32x4_t load4(const float *x, size_t n)
{
    float part[W] = {0};
    if (n >= W)
        return vld1q_f32(x);
    for (size_t i = 0; i < n; i++)
        part[i] = x[i];
    return vld1q_f32(part);
}

static inline void store4(float *x, size_t n, float32x4_t v)
{
    float part[W];
    if (n >= W) {
        vst1q_f32(x, v);
        return;
    }
    vst1q_f32(part, v);
    for (size_t i = 0; i < n; i++)
        x[i] = part[i];
}

/* Ones in the first n lanes; in all of them from 4 on. */
static inline uint32x4_t mask4(size_t n)
{
    static const uint32_t lane[W] = {0, 1, 2, 3};
    return vcltq_u32(vld1q_u32(lane), vdupq_n_u32(n < W ? (uint32_t)n : W));
}

static inline float32x4_t keep4(uint32x4_t mask, float32x4_t v)
{
    return vreinterpretq_f32_u32(vandq_u32(mask, vreinterpretq_u32_f32(v)));
}

/* x where it is larger, else the maximum so far: a NaN never wins, which FMAX would let it. */
static inline float32x4_t larger4(float32x4_t x, float32x4_t largest)
{
    return vbslq_f32(vcgtq_f32(x, largest), x, largest);
}

/* e^x, 0 below KERN_EXP_MIN, for x not above KERN_EXP_MAX. */
static inline float32x4_t exp128(float32x4_t x)
{
    const uint32x4_t gone = vcltq_f32(x, vdupq_n_f32(KERN_EXP_MIN));
    const float32x4_t magic = vdupq_n_f32(KERN_ROUND);
    const float32x4_t n = vsubq_f32(vfmaq_f32(magic, x, vdupq_n_f32(KERN_EXP_LOG2E)), magic);
    float32x4_t r = vfmsq_f32(x, n, vdupq_n_f32(KERN_EXP_LN2_HI));
    r = vfmsq_f32(r, n, vdupq_n_f32(KERN_EXP_LN2_LO));
    float32x4_t p = vfmaq_f32(vdupq_n_f32(KERN_EXP_C5), vdupq_n_f32(KERN_EXP_C6), r);
    p = vfmaq_f32(vdupq_n_f32(KERN_EXP_C4), p, r);
    p = vfmaq_f32(vdupq_n_f32(KERN_EXP_C3), p, r);
    p = vfmaq_f32(vdupq_n_f32(KERN_EXP_C2), p, r);
    p = vfmaq_f32(vdupq_n_f32(KERN_EXP_C1), p, r);
    p = vfmaq_f32(vdupq_n_f32(KERN_EXP_C0), p, r);
    const int32x4_t exponent = vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127));
    const float32x4_t scale = vreinterpretq_f32_s32(vshlq_n_s32(exponent, 23));
    return keep4(vmvnq_u32(gone), vmulq_f32(p, scale));
}

/* Four of sixteen floats: a table of 64 bytes is what one TBL of four registers looks up. */
static inline float32x4_t pick4(const float table[16], uint8x16_t bytes)
{
    return vreinterpretq_f32_u8(vqtbl4q_u8(vld1q_u8_x4((const uint8_t *)table), bytes));
}

/* x * Phi(x). */
static inline float32x4_t gelu128(float32x4_t x)
{
    const float32x4_t magic = vdupq_n_f32(KERN_ROUND);
    const float32x4_t scaled = vmulq_f32(vabsq_f32(x), vdupq_n_f32(KERN_GELU_PER_UNIT));
    const float32x4_t z = vminq_f32(scaled, vdupq_n_f32(KERN_GELU_LAST)); /* NaN stays */
    const float32x4_t rounded = vaddq_f32(z, magic);
    const uint32x4_t piece = vandq_u32(vreinterpretq_u32_f32(rounded), vdupq_n_u32(15));
    const float32x4_t u = vsubq_f32(z, vsubq_f32(rounded, magic));
    const uint32x4_t four = vmulq_u32(piece, vdupq_n_u32(0x04040404U));
    const uint8x16_t bytes = vreinterpretq_u8_u32(vaddq_u32(four, vdupq_n_u32(0x03020100U)));
    float32x4_t b = pick4(kern_gelu_c[5], bytes);
    for (int power = 4; power >= 0; power--)
        b = vfmaq_f32(pick4(kern_gelu_c[power], bytes), b, u);
    return vsubq_f32(vmaxq_f32(x, vdupq_n_f32(0.0f)), b);
}

/* Lanes i and i + 2, then both: the last two steps of fold() in generic/norm.c. */
static inline float fold128(float32x4_t v4)
{
    const float32x2_t v2 = vadd_f32(vget_low_f32(v4), vget_high_f32(v4));
    return vget_lane_f32(v2, 0) + vget_lane_f32(v2, 1);
}

/* The whole fold of 64 lanes held in sixteen registers, which it uses up. */
static inline float fold64(float32x4_t *lane)
{
    for (size_t j = 0; j < 8; j++)
        lane[j] = vaddq_f32(lane[j], lane[j + 8]);
    for (size_t j = 0; j < 4; j++)
        lane[j] = vaddq_f32(lane[j], lane[j + 4]);
    const float32x4_t even = vaddq_f32(lane[0], lane[2]), odd = vaddq_f32(lane[1], lane[3]);
    return fold128(vaddq_f32(even, odd));
}

#endif
