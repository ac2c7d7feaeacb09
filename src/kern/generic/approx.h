/* The elementary functions in scalar form: what every level computes, lane by lane. */
#ifndef KERN_GENERIC_APPROX_H
#define KERN_GENERIC_APPROX_H

#include <math.h>
#include <stdint.h>

#include "kern/approx.h"

/* e^x for x up to 88; 0 below -87, NaN for NaN. */
static inline float kern_exp1(float x)
{
    if (x < KERN_EXP_MIN)
        return 0.0f;
    if (x > KERN_EXP_MAX)
        x = KERN_EXP_MAX;
    if (x != x)
        return x;
    const float n = fmaf(x, KERN_EXP_LOG2E, KERN_ROUND) - KERN_ROUND;
    const float r = fmaf(-n, KERN_EXP_LN2_LO, fmaf(-n, KERN_EXP_LN2_HI, x));
    float p = fmaf(KERN_EXP_C6, r, KERN_EXP_C5);
    p = fmaf(p, r, KERN_EXP_C4);
    p = fmaf(p, r, KERN_EXP_C3);
    p = fmaf(p, r, KERN_EXP_C2);
    p = fmaf(p, r, KERN_EXP_C1);
    p = fmaf(p, r, KERN_EXP_C0);
    const union {
        uint32_t u;
        float f;
    } scale = {.u = (uint32_t)((int32_t)n + 127) << 23};
    return p * scale.f;
}

/* x * Phi(x), Phi the normal distribution function. */
static inline float kern_gelu1(float x)
{
    if (x != x)
        return x;
    float z = fabsf(x) * KERN_GELU_PER_UNIT;
    if (z > KERN_GELU_LAST)
        z = KERN_GELU_LAST;
    const union {
        float f;
        uint32_t u;
    } rounded = {.f = z + KERN_ROUND};
    const float u = z - (rounded.f - KERN_ROUND);
    const unsigned piece = rounded.u & 15U;
    float b = kern_gelu_c[5][piece];
    for (int power = 4; power >= 0; power--)
        b = fmaf(b, u, kern_gelu_c[power][piece]);
    return (x > 0.0f ? x : 0.0f) - b;
}

#endif
