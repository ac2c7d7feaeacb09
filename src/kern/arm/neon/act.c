/* Elementwise kernels for NEON. */
#include "kern/arm/neon/simd.h"
#include "kern/levels.h"

#define SPREAD_WIDTH 4
#include "kern/generic/spread_body.h"

void kern_gelu_neon(float *x, size_t n)
{
    for (size_t i = 0; i < n; i += W)
        store4(x + i, n - i, gelu128(load4(x + i, n - i)));
}

void kern_add_neon(float *out, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i += W)
        store4(out + i, n - i, vaddq_f32(load4(a + i, n - i), load4(b + i, n - i)));
}

void kern_spread_neon(float *out, const float *x, size_t n)
{
    spread_row(out, x, n);
}
