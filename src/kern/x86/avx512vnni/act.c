/* Elementwise kernels for AVX-512. */
#include "kern/levels.h"
#include "kern/x86/avx512vnni/simd.h"

#define SPREAD_WIDTH 16
#include "kern/generic/spread_body.h"

void kern_gelu_avx512vnni(float *x, size_t n)
{
    for (size_t i = 0; i < n; i += W) {
        const __mmask16 mask = mask16(n - i);
        _mm512_mask_storeu_ps(x + i, mask, gelu512(_mm512_maskz_loadu_ps(mask, x + i)));
    }
}

void kern_add_avx512vnni(float *out, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i += W) {
        const __mmask16 mask = mask16(n - i);
        _mm512_mask_storeu_ps(
            out + i, mask,
            _mm512_add_ps(_mm512_maskz_loadu_ps(mask, a + i), _mm512_maskz_loadu_ps(mask, b + i)));
    }
}

void kern_spread_avx512vnni(float *out, const float *x, size_t n)
{
    spread_row(out, x, n);
}
