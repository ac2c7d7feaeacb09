/* Row-wise operations of the training step, one thread, x86-64 with AVX-512 or whatever
 * -march=native gives. PyTorch's CPU operators for these are the larger half of a training step
 * once the matrix products run on the matrix unit: they are compiled for AVX2, and each reads and
 * writes memory in float32. bfloat16 is passed as uint16_t.
 *
 * Compiled with -Ofast, so that the loops over expf and erff use glibc's vector mathematics.
 * Not part of the server; PyTorch operators take over where this file is not compiled. */
#include <math.h>
#include <stdint.h>
#include <string.h>

static inline float from_bf16(uint16_t h)
{
    union {
        uint32_t u;
        float f;
    } v = {(uint32_t)h << 16};
    return v.f;
}

static inline uint16_t to_bf16(float f)
{
    union {
        float f;
        uint32_t u;
    } v = {f};
    return (uint16_t)((v.u + 0x7fff + ((v.u >> 16) & 1)) >> 16);
}

/* s[r,:] = x + y where y is not NULL, else s is not written and x is normalised;
 * h[r,:] = (s - mean) * rstd * w + b;  x, s f32, y, h bf16 */
void add_norm_forward(const float *restrict x, const uint16_t *restrict y, const float *restrict w,
                      const float *restrict b, float *restrict s, uint16_t *restrict h,
                      float *restrict mean, float *restrict rstd, long rows, long width)
{
    for (long r = 0; r < rows; r++, x += width, h += width) {
        float sum = 0, q = 0;
        const float *v = x;
        if (y) {
            for (long i = 0; i < width; i++)
                s[i] = x[i] + from_bf16(y[i]);
            v = s, s += width, y += width;
        }
        for (long i = 0; i < width; i++)
            sum += v[i];
        float m = sum / width;
        for (long i = 0; i < width; i++)
            q += (v[i] - m) * (v[i] - m);
        float k = 1 / sqrtf(q / width + 1e-5f);
        mean[r] = m, rstd[r] = k;
        for (long i = 0; i < width; i++)
            h[i] = to_bf16((v[i] - m) * k * w[i] + b[i]);
    }
}

/* s is what was normalised. dx f32 = gradient of the sum: through the norm, plus ds where that is
 * not NULL; dy bf16 the same where not NULL; dw, db f32 [width] added to */
void add_norm_backward(const uint16_t *restrict dh, const float *restrict ds,
                       const float *restrict s, const float *restrict w, const float *mean,
                       const float *rstd, float *restrict dx, uint16_t *restrict dy,
                       float *restrict dw, float *restrict db, long rows, long width)
{
    for (long r = 0; r < rows; r++, s += width, dh += width, dx += width) {
        float m = mean[r], k = rstd[r], a = 0, c = 0;
        for (long i = 0; i < width; i++) {
            float g = from_bf16(dh[i]), n = (s[i] - m) * k;
            dw[i] += g * n;
            db[i] += g;
            a += g * w[i];
            c += g * w[i] * n;
        }
        a /= width, c /= width;
        for (long i = 0; i < width; i++)
            dx[i] = k * (from_bf16(dh[i]) * w[i] - a - (s[i] - m) * k * c);
        if (ds) {
            for (long i = 0; i < width; i++)
                dx[i] += ds[i];
            ds += width;
        }
        if (dy) {
            for (long i = 0; i < width; i++)
                dy[i] = to_bf16(dx[i]);
            dy += width;
        }
    }
}

/* x [windows, frames, 3 * heads * 64] to q, k, v [windows * heads, frames, 64] one after the other,
 * or back; bf16 */
void split_heads(uint16_t *restrict x, uint16_t *restrict qkv, long windows, long frames,
                 long heads, long parts, int back)
{
    long size = windows * frames * heads * 64;
    for (long b = 0; b < windows; b++)
        for (long t = 0; t < frames; t++)
            for (long part = 0; part < parts; part++)
                for (long h = 0; h < heads; h++, x += 64) {
                    uint16_t *one = qkv + part * size + ((b * heads + h) * frames + t) * 64;
                    memcpy(back ? x : one, back ? one : x, 64 * sizeof *x);
                }
}

/* acc f32 += x bf16 */
void accumulate(float *restrict acc, const uint16_t *restrict x, long n)
{
    for (long i = 0; i < n; i++)
        acc[i] += from_bf16(x[i]);
}

/* erf(z) for z >= 0 given e = exp(-z*z); Abramowitz and Stegun 7.1.26, error below 2e-7 */
static inline float erf_positive(float z, float e)
{
    float t = 1 / (1 + 0.3275911f * z);
    return 1 -
           t *
               (0.254829592f +
                t * (-0.284496736f + t * (1.421413741f + t * (-1.453152027f + t * 1.061405429f)))) *
               e;
}

static inline float normal_cdf(float v, float e)
{
    float h = 0.5f * erf_positive(fabsf(v) * 0.70710678f, e);
    return v < 0 ? 0.5f - h : 0.5f + h;
}

void gelu_forward(const uint16_t *restrict x, uint16_t *restrict y, long n)
{
    for (long i = 0; i < n; i++) {
        float v = from_bf16(x[i]);
        y[i] = to_bf16(v * normal_cdf(v, expf(-0.5f * v * v)));
    }
}

void gelu_backward(const uint16_t *restrict x, const uint16_t *restrict dy, uint16_t *restrict dx,
                   long n)
{
    for (long i = 0; i < n; i++) {
        float v = from_bf16(x[i]), e = expf(-0.5f * v * v);
        dx[i] = to_bf16(from_bf16(dy[i]) * (normal_cdf(v, e) + v * 0.39894228f * e));
    }
}

/* in place over rows of n bf16 scores; scale is multiplied in first */
void softmax_forward(uint16_t *s, float scale, float *row, long rows, long n)
{
    for (long r = 0; r < rows; r++, s += n) {
        float top = -3e38f, sum = 0;
        for (long i = 0; i < n; i++) {
            row[i] = from_bf16(s[i]);
            top = row[i] > top ? row[i] : top;
        }
        for (long i = 0; i < n; i++) {
            row[i] = expf((row[i] - top) * scale);
            sum += row[i];
        }
        float k = 1 / sum;
        for (long i = 0; i < n; i++)
            s[i] = to_bf16(row[i] * k);
    }
}

/* dp becomes the gradient of the unscaled scores */
void softmax_backward(const uint16_t *restrict p, uint16_t *restrict dp, float scale, long rows,
                      long n)
{
    for (long r = 0; r < rows; r++, p += n, dp += n) {
        float dot = 0;
        for (long i = 0; i < n; i++)
            dot += from_bf16(p[i]) * from_bf16(dp[i]);
        for (long i = 0; i < n; i++)
            dp[i] = to_bf16(from_bf16(p[i]) * (from_bf16(dp[i]) - dot) * scale);
    }
}

/* out[i] = sum over rows of x[r,i]; out f32 */
void column_sum(const uint16_t *x, float *out, long rows, long width)
{
    memset(out, 0, (size_t)width * sizeof *out);
    for (long r = 0; r < rows; r++, x += width)
        for (long i = 0; i < width; i++)
            out[i] += from_bf16(x[i]);
}

/* Adam with decoupled decay and a moving average of the weights; k1, k2 are the bias corrections */
void adam_step(float *restrict p, const float *restrict g, float *restrict m, float *restrict v,
               float *restrict ema, float gscale, float lr, float b1, float b2, float eps,
               float decay, float k1, float k2, float ema_keep, long n)
{
    for (long i = 0; i < n; i++) {
        float d = g[i] * gscale;
        m[i] = b1 * m[i] + (1 - b1) * d;
        v[i] = b2 * v[i] + (1 - b2) * d * d;
        p[i] -= lr * (m[i] * k1 / (sqrtf(v[i] * k2) + eps) + decay * p[i]);
        ema[i] = ema_keep * ema[i] + (1 - ema_keep) * p[i];
    }
}

/* acc += g, and the sum of squares of g (not finite if any of g is not) */
double add_and_norm(float *restrict acc, const float *restrict g, long n)
{
    double total = 0;
    for (long i = 0; i < n; i += 4096) {
        long end = i + 4096 < n ? i + 4096 : n;
        float q = 0;
        for (long j = i; j < end; j++)
            q += g[j] * g[j];
        total += q;
    }
    if (!(total <
          1e12)) /* also true for NaN where -Ofast keeps the comparison; checked again outside */
        return total;
    for (long i = 0; i < n; i++)
        acc[i] += g[i];
    return total;
}
