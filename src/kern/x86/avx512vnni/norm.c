/* Row statistics for AVX-512: the sums of generic/norm.c, 64 lanes in four registers. */
#include <math.h>

#include "kern/levels.h"
#include "kern/x86/avx512vnni/simd.h"

static float sum(const float *x, size_t n)
{
    __m512 lane[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(),
                      _mm512_setzero_ps()};
    size_t i = 0;
    for (; i + 64 <= n; i += 64)
        for (size_t j = 0; j < 4; j++)
            lane[j] = _mm512_add_ps(lane[j], _mm512_loadu_ps(x + i + j * W));
    for (size_t j = 0; i < n; i += W, j++)
        lane[j] = _mm512_add_ps(lane[j], _mm512_maskz_loadu_ps(mask16(n - i), x + i));
    return fold64(lane);
}

static float squares(const float *x, float mean, size_t n)
{
    const __m512 m = _mm512_set1_ps(mean);
    __m512 lane[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(),
                      _mm512_setzero_ps()};
    size_t i = 0;
    for (; i + 64 <= n; i += 64) {
        for (size_t j = 0; j < 4; j++) {
            const __m512 centred = _mm512_sub_ps(_mm512_loadu_ps(x + i + j * W), m);
            lane[j] = _mm512_fmadd_ps(centred, centred, lane[j]);
        }
    }
    for (size_t j = 0; i < n; i += W, j++) {
        const __mmask16 mask = mask16(n - i);
        const __m512 centred = _mm512_maskz_sub_ps(mask, _mm512_maskz_loadu_ps(mask, x + i), m);
        lane[j] = _mm512_fmadd_ps(centred, centred, lane[j]);
    }
    return fold64(lane);
}

void kern_layer_norm_avx512vnni(float *out, const float *x, const float *gamma, const float *beta,
                                size_t d, float eps)
{
    const float mean = sum(x, d) / (float)d;
    const float inverse = 1.0f / sqrtf(squares(x, mean, d) / (float)d + eps);
    const __m512 m = _mm512_set1_ps(mean), s = _mm512_set1_ps(inverse);
    for (size_t i = 0; i < d; i += W) {
        const __mmask16 mask = mask16(d - i);
        const __m512 unit = _mm512_mul_ps(_mm512_sub_ps(_mm512_maskz_loadu_ps(mask, x + i), m), s);
        const __m512 scaled = _mm512_fmadd_ps(unit, _mm512_maskz_loadu_ps(mask, gamma + i),
                                              _mm512_maskz_loadu_ps(mask, beta + i));
        _mm512_mask_storeu_ps(out + i, mask, scaled);
    }
}

static float largest_of(const float *x, size_t n)
{
    const __m512 none = _mm512_set1_ps(-INFINITY);
    __m512 a = none, b = none;
    size_t i = 0;
    for (; i + 2 * W <= n; i += 2 * W) { /* a NaN as first operand leaves the second */
        a = _mm512_max_ps(_mm512_loadu_ps(x + i), a);
        b = _mm512_max_ps(_mm512_loadu_ps(x + i + W), b);
    }
    for (; i < n; i += W)
        a = _mm512_max_ps(_mm512_mask_loadu_ps(none, mask16(n - i), x + i), a);
    return _mm512_reduce_max_ps(_mm512_max_ps(a, b));
}

float kern_max_avx512vnni(const float *x, size_t n, size_t *index)
{
    const float largest = largest_of(x, n);
    if (!index)
        return largest;
    const __m512 wanted = _mm512_set1_ps(largest);
    *index = 0;
    for (size_t i = 0; i < n; i += W) {
        const __mmask16 mask = mask16(n - i);
        const __mmask16 equal = _mm512_mask_cmp_ps_mask(mask, _mm512_maskz_loadu_ps(mask, x + i),
                                                        wanted, _CMP_EQ_OQ);
        if (equal) {
            *index = largest > -INFINITY ? i + (size_t)__builtin_ctz(equal) : 0;
            break;
        }
    }
    return largest;
}

/* Sum of exp(x - largest) in 64 lanes; the exponentials go to `out` unless it is NULL. */
static float exp_sum(float *out, const float *x, size_t n, float largest)
{
    const __m512 m = _mm512_set1_ps(largest);
    __m512 lane[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(),
                      _mm512_setzero_ps()};
    for (size_t i = 0; i < n; i += 4 * W) {
        for (size_t j = 0; j < 4 && i + j * W < n; j++) {
            const size_t at = i + j * W;
            const __mmask16 mask = mask16(n - at);
            const __m512 e = exp512(_mm512_sub_ps(_mm512_maskz_loadu_ps(mask, x + at), m));
            lane[j] = _mm512_mask_add_ps(lane[j], mask, lane[j], e);
            if (out)
                _mm512_mask_storeu_ps(out + at, mask, e);
        }
    }
    return fold64(lane);
}

void kern_softmax_avx512vnni(float *x, size_t n)
{
    const float largest = largest_of(x, n);
    __m512 inverse = _mm512_setzero_ps();
    if (largest > -INFINITY)
        inverse = _mm512_set1_ps(1.0f / exp_sum(x, x, n, largest));
    for (size_t i = 0; i < n; i += W) {
        const __mmask16 mask = mask16(n - i);
        const __m512 e = _mm512_maskz_loadu_ps(mask, x + i);
        const __m512 weight = largest > -INFINITY ? _mm512_mul_ps(e, inverse) : inverse;
        _mm512_mask_storeu_ps(x + i, mask, weight);
    }
}

float kern_log_sum_exp_avx512vnni(const float *x, size_t n)
{
    const float largest = largest_of(x, n);
    if (!(largest > -INFINITY))
        return -INFINITY;
    return largest + logf(exp_sum(NULL, x, n, largest));
}

float kern_dot_avx512vnni(const float *a, const float *b, size_t n)
{
    __m512 lane[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(),
                      _mm512_setzero_ps()};
    size_t i = 0;
    for (; i + 64 <= n; i += 64)
        for (size_t j = 0; j < 4; j++)
            lane[j] = _mm512_fmadd_ps(_mm512_loadu_ps(a + i + j * W),
                                      _mm512_loadu_ps(b + i + j * W), lane[j]);
    for (size_t j = 0; i < n; i += W, j++) {
        const __mmask16 mask = mask16(n - i);
        lane[j] = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(mask, a + i),
                                  _mm512_maskz_loadu_ps(mask, b + i), lane[j]);
    }
    return fold64(lane);
}
