/* Conversions between f32 and the 16-bit storage types, one value at a time, used when weights are
 * read and packed. Round to nearest, ties to even; infinities and NaN survive. Thread: any.      */
#include "kern/kern.h"

union bits {
    float f;
    uint32_t u;
};

float kern_f16_to_f32(uint16_t half)
{
    const uint32_t sign = (uint32_t)(half & 0x8000U) << 16;
    const uint32_t exponent = (half >> 10) & 0x1fU;
    const uint32_t mantissa = half & 0x3ffU;
    if (exponent == 0) { /* zero or subnormal: mantissa * 2^-24 is exact in f32 */
        const float magnitude = (float)mantissa * 0x1p-24f;
        return sign ? -magnitude : magnitude;
    }
    const uint32_t wide = exponent == 31 ? 255U : exponent + 112U;
    const union bits v = {.u = sign | wide << 23 | mantissa << 13};
    return v.f;
}

/* Shift right by `shift` (1 to 31), rounding to nearest with ties to even. */
static uint32_t shift_round(uint32_t value, unsigned shift)
{
    const uint32_t half = 1U << (shift - 1);
    const uint32_t odd = (value >> shift) & 1U;
    return (value + half - 1U + odd) >> shift;
}

uint16_t kern_f32_to_f16(float value)
{
    const union bits v = {.f = value};
    const uint32_t sign = (v.u >> 16) & 0x8000U;
    const uint32_t magnitude = v.u & 0x7fffffffU;
    if (magnitude > 0x7f800000U) /* NaN: quiet, keep the high payload bits */
        return (uint16_t)(sign | 0x7e00U | ((magnitude >> 13) & 0x1ffU));
    if (magnitude >= 0x477ff000U) /* 65520 and above round to infinity */
        return (uint16_t)(sign | 0x7c00U);
    if (magnitude < 0x33000000U) /* below 2^-25 */
        return (uint16_t)sign;
    const uint32_t exponent = magnitude >> 23;
    if (exponent < 113U) { /* subnormal half: the unit is 2^-24 */
        const uint32_t mantissa = (magnitude & 0x7fffffU) | 0x800000U;
        return (uint16_t)(sign | shift_round(mantissa, 126U - exponent));
    }
    return (uint16_t)(sign | shift_round(magnitude - (112U << 23), 13));
}

uint16_t kern_f32_to_bf16(float value)
{
    const union bits v = {.f = value};
    if ((v.u & 0x7fffffffU) > 0x7f800000U)
        return (uint16_t)(v.u >> 16 | 0x40U);
    return (uint16_t)((v.u + 0x7fffU + ((v.u >> 16) & 1U)) >> 16);
}
