/* Row statistics for AVX2: the sums of generic/norm.c, 64 lanes in eight registers. */
#include <math.h>

#include "kern/levels.h"
#include "kern/x86/avx2/simd.h"

#define N_LANES 8 /* registers that make 64 lanes */

static inline void clear(__m256 *lane)
{
    for (size_t j = 0; j < N_LANES; j++)
        lane[j] = _mm256_setzero_ps();
}

static float sum(const float *x, size_t n)
{
    __m256 lane[N_LANES];
    clear(lane);
    size_t i = 0;
    for (; i + 64 <= n; i += 64)
        for (size_t j = 0; j < N_LANES; j++)
            lane[j] = _mm256_add_ps(lane[j], _mm256_loadu_ps(x + i + j * W));
    for (size_t j = 0; i < n; i += W, j++)
        lane[j] = _mm256_add_ps(lane[j], load8(x + i, n - i));
    return fold64(lane);
}

static float squares(const float *x, float mean, size_t n)
{
    const __m256 m = _mm256_set1_ps(mean);
    __m256 lane[N_LANES];
    clear(lane);
    size_t i = 0;
    for (; i + 64 <= n; i += 64) {
        for (size_t j = 0; j < N_LANES; j++) {
            const __m256 centred = _mm256_sub_ps(_mm256_loadu_ps(x + i + j * W), m);
            lane[j] = _mm256_fmadd_ps(centred, centred, lane[j]);
        }
    }
    for (size_t j = 0; i < n; i += W, j++) {
        const __m256 inside = _mm256_castsi256_ps(mask8(n - i));
        const __m256 centred = _mm256_and_ps(inside, _mm256_sub_ps(load8(x + i, n - i), m));
        lane[j] = _mm256_fmadd_ps(centred, centred, lane[j]);
    }
    return fold64(lane);
}

void kern_layer_norm_avx2(float *out, const float *x, const float *gamma, const float *beta,
                          size_t d, float eps)
{
    const float mean = sum(x, d) / (float)d;
    const float inverse = 1.0f / sqrtf(squares(x, mean, d) / (float)d + eps);
    const __m256 m = _mm256_set1_ps(mean), s = _mm256_set1_ps(inverse);
    for (size_t i = 0; i < d; i += W) {
        const size_t left = d - i;
        const __m256 unit = _mm256_mul_ps(_mm256_sub_ps(load8(x + i, left), m), s);
        store8(out + i, left, _mm256_fmadd_ps(unit, load8(gamma + i, left), load8(beta + i, left)));
    }
}

static float largest_of(const float *x, size_t n)
{
    const __m256 none = _mm256_set1_ps(-INFINITY);
    __m256 a = none, b = none;
    size_t i = 0;
    for (; i + 2 * W <= n; i += 2 * W) { /* a NaN as first operand leaves the second */
        a = _mm256_max_ps(_mm256_loadu_ps(x + i), a);
        b = _mm256_max_ps(_mm256_loadu_ps(x + i + W), b);
    }
    for (; i < n; i += W) {
        const __m256 inside = _mm256_castsi256_ps(mask8(n - i));
        a = _mm256_max_ps(_mm256_blendv_ps(none, load8(x + i, n - i), inside), a);
    }
    return max256(_mm256_max_ps(a, b));
}

float kern_max_avx2(const float *x, size_t n, size_t *index)
{
    const float largest = largest_of(x, n);
    if (!index)
        return largest;
    const __m256 wanted = _mm256_set1_ps(largest);
    *index = 0;
    if (!(largest > -INFINITY))
        return largest;
    for (size_t i = 0; i < n; i += W) {
        const __m256 inside = _mm256_castsi256_ps(mask8(n - i));
        const __m256 equal = _mm256_cmp_ps(load8(x + i, n - i), wanted, _CMP_EQ_OQ);
        const int found = _mm256_movemask_ps(_mm256_and_ps(equal, inside));
        if (found) {
            *index = i + (size_t)__builtin_ctz((unsigned)found);
            break;
        }
    }
    return largest;
}

/* Sum of exp(x - largest) in 64 lanes; the exponentials go to `out` unless it is NULL. */
static float exp_sum(float *out, const float *x, size_t n, float largest)
{
    const __m256 m = _mm256_set1_ps(largest);
    __m256 lane[N_LANES];
    clear(lane);
    for (size_t i = 0; i < n; i += N_LANES * W) {
        for (size_t j = 0; j < N_LANES && i + j * W < n; j++) {
            const size_t at = i + j * W;
            const __m256 inside = _mm256_castsi256_ps(mask8(n - at));
            const __m256 e = exp256(_mm256_sub_ps(load8(x + at, n - at), m));
            lane[j] = _mm256_add_ps(lane[j], _mm256_and_ps(inside, e));
            if (out)
                store8(out + at, n - at, e);
        }
    }
    return fold64(lane);
}

void kern_softmax_avx2(float *x, size_t n)
{
    const float largest = largest_of(x, n);
    const bool possible = largest > -INFINITY;
    const __m256 inverse = _mm256_set1_ps(possible ? 1.0f / exp_sum(x, x, n, largest) : 0.0f);
    for (size_t i = 0; i < n; i += W) {
        const __m256 e = load8(x + i, n - i);
        store8(x + i, n - i, possible ? _mm256_mul_ps(e, inverse) : inverse);
    }
}

float kern_log_sum_exp_avx2(const float *x, size_t n)
{
    const float largest = largest_of(x, n);
    if (!(largest > -INFINITY))
        return -INFINITY;
    return largest + logf(exp_sum(NULL, x, n, largest));
}

float kern_dot_avx2(const float *a, const float *b, size_t n)
{
    __m256 lane[N_LANES];
    clear(lane);
    size_t i = 0;
    for (; i + 64 <= n; i += 64)
        for (size_t j = 0; j < N_LANES; j++)
            lane[j] = _mm256_fmadd_ps(_mm256_loadu_ps(a + i + j * W),
                                      _mm256_loadu_ps(b + i + j * W), lane[j]);
    for (size_t j = 0; i < n; i += W, j++)
        lane[j] = _mm256_fmadd_ps(load8(a + i, n - i), load8(b + i, n - i), lane[j]);
    return fold64(lane);
}
