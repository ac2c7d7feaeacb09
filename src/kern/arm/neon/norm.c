/* Row statistics for NEON: the sums of generic/norm.c, 64 lanes in sixteen registers. */
#include <math.h>

#include "kern/arm/neon/simd.h"
#include "kern/levels.h"

#define N_LANES 16 /* registers that make 64 lanes */

static inline void clear(float32x4_t *lane)
{
    for (size_t j = 0; j < N_LANES; j++)
        lane[j] = vdupq_n_f32(0.0f);
}

static float sum(const float *x, size_t n)
{
    float32x4_t lane[N_LANES];
    clear(lane);
    size_t i = 0;
    for (; i + 64 <= n; i += 64)
        for (size_t j = 0; j < N_LANES; j++)
            lane[j] = vaddq_f32(lane[j], vld1q_f32(x + i + j * W));
    for (size_t j = 0; i < n; i += W, j++)
        lane[j] = vaddq_f32(lane[j], load4(x + i, n - i));
    return fold64(lane);
}

static float squares(const float *x, float mean, size_t n)
{
    const float32x4_t m = vdupq_n_f32(mean);
    float32x4_t lane[N_LANES];
    clear(lane);
    size_t i = 0;
    for (; i + 64 <= n; i += 64) {
        for (size_t j = 0; j < N_LANES; j++) {
            const float32x4_t centred = vsubq_f32(vld1q_f32(x + i + j * W), m);
            lane[j] = vfmaq_f32(lane[j], centred, centred);
        }
    }
    for (size_t j = 0; i < n; i += W, j++) {
        const float32x4_t centred = keep4(mask4(n - i), vsubq_f32(load4(x + i, n - i), m));
        lane[j] = vfmaq_f32(lane[j], centred, centred);
    }
    return fold64(lane);
}

void kern_layer_norm_neon(float *out, const float *x, const float *gamma, const float *beta,
                          size_t d, float eps)
{
    const float mean = sum(x, d) / (float)d;
    const float inverse = 1.0f / sqrtf(squares(x, mean, d) / (float)d + eps);
    const float32x4_t m = vdupq_n_f32(mean);
    for (size_t i = 0; i < d; i += W) {
        const size_t left = d - i;
        const float32x4_t unit = vmulq_n_f32(vsubq_f32(load4(x + i, left), m), inverse);
        store4(out + i, left, vfmaq_f32(load4(beta + i, left), unit, load4(gamma + i, left)));
    }
}

static float largest_of(const float *x, size_t n)
{
    const float32x4_t none = vdupq_n_f32(-INFINITY);
    float32x4_t a = none, b = none;
    size_t i = 0;
    for (; i + 2 * W <= n; i += 2 * W) {
        a = larger4(vld1q_f32(x + i), a);
        b = larger4(vld1q_f32(x + i + W), b);
    }
    for (; i < n; i += W)
        a = larger4(vbslq_f32(mask4(n - i), load4(x + i, n - i), none), a);
    return vmaxvq_f32(larger4(a, b));
}

float kern_max_neon(const float *x, size_t n, size_t *index)
{
    const float largest = largest_of(x, n);
    if (!index)
        return largest;
    *index = 0;
    if (!(largest > -INFINITY))
        return largest;
    size_t i = 0;
    const float32x4_t wanted = vdupq_n_f32(largest);
    while (i + W <= n && vmaxvq_u32(vceqq_f32(vld1q_f32(x + i), wanted)) == 0)
        i += W;
    while (x[i] != largest)
        i++;
    *index = i;
    return largest;
}

/* Sum of exp(x - largest) in 64 lanes; the exponentials go to `out` unless it is NULL. */
static float exp_sum(float *out, const float *x, size_t n, float largest)
{
    const float32x4_t m = vdupq_n_f32(largest);
    float32x4_t lane[N_LANES];
    clear(lane);
    for (size_t i = 0; i < n; i += N_LANES * W) {
        for (size_t j = 0; j < N_LANES && i + j * W < n; j++) {
            const size_t at = i + j * W;
            const float32x4_t e = exp128(vsubq_f32(load4(x + at, n - at), m));
            lane[j] = vaddq_f32(lane[j], keep4(mask4(n - at), e));
            if (out)
                store4(out + at, n - at, e);
        }
    }
    return fold64(lane);
}

void kern_softmax_neon(float *x, size_t n)
{
    const float largest = largest_of(x, n);
    const bool possible = largest > -INFINITY;
    const float inverse = possible ? 1.0f / exp_sum(x, x, n, largest) : 0.0f;
    for (size_t i = 0; i < n; i += W) {
        const float32x4_t e = load4(x + i, n - i);
        store4(x + i, n - i, possible ? vmulq_n_f32(e, inverse) : vdupq_n_f32(0.0f));
    }
}

float kern_log_sum_exp_neon(const float *x, size_t n)
{
    const float largest = largest_of(x, n);
    if (!(largest > -INFINITY))
        return -INFINITY;
    return largest + logf(exp_sum(NULL, x, n, largest));
}

float kern_dot_neon(const float *a, const float *b, size_t n)
{
    float32x4_t lane[N_LANES];
    clear(lane);
    size_t i = 0;
    for (; i + 64 <= n; i += 64)
        for (size_t j = 0; j < N_LANES; j++)
            lane[j] = vfmaq_f32(lane[j], vld1q_f32(a + i + j * W), vld1q_f32(b + i + j * W));
    for (size_t j = 0; i < n; i += W, j++)
        lane[j] = vfmaq_f32(lane[j], load4(a + i, n - i), load4(b + i, n - i));
    return fold64(lane);
}
