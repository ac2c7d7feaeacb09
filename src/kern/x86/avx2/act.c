/* Elementwise kernels for AVX2. */
#include "kern/levels.h"
#include "kern/x86/avx2/simd.h"

#define SPREAD_WIDTH 8
#include "kern/generic/spread_body.h"

void kern_gelu_avx2(float *x, size_t n)
{
    for (size_t i = 0; i < n; i += W)
        store8(x + i, n - i, gelu256(load8(x + i, n - i)));
}

void kern_add_avx2(float *out, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i += W)
        store8(out + i, n - i, _mm256_add_ps(load8(a + i, n - i), load8(b + i, n - i)));
}

void kern_spread_avx2(float *out, const float *x, size_t n)
{
    spread_row(out, x, n);
}
