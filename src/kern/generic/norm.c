/* Row statistics in plain C: layer norm, softmax, log-sum-exp, maximum, dot product.
 *
 * Sums run in 64 lanes (element i goes to lane i mod 64) that are folded pairwise at the end, so
 * that levels with registers of 4, 8 or 16 floats can add in exactly this order and give the same
 * bits.                                                                                         */
#include <math.h>
#include <string.h>

#include "kern/generic/approx.h"
#include "kern/levels.h"

#define LANES 64

/* Fold halves: lane i takes lane i + width for width 32, 16, ... 1. */
static float fold(float *lane)
{
    for (size_t width = LANES / 2; width > 0; width /= 2)
        for (size_t i = 0; i < width; i++)
            lane[i] += lane[i + width];
    return lane[0];
}

static float sum(const float *x, size_t n)
{
    float lane[LANES] = {0};
    for (size_t i = 0; i < n; i++)
        lane[i % LANES] += x[i];
    return fold(lane);
}

void kern_layer_norm_generic(float *out, const float *x, const float *gamma, const float *beta,
                             size_t d, float eps)
{
    float lane[LANES] = {0};
    const float mean = sum(x, d) / (float)d;
    for (size_t i = 0; i < d; i++) {
        const float centred = x[i] - mean;
        lane[i % LANES] = fmaf(centred, centred, lane[i % LANES]);
    }
    const float inverse = 1.0f / sqrtf(fold(lane) / (float)d + eps);
    for (size_t i = 0; i < d; i++)
        out[i] = fmaf((x[i] - mean) * inverse, gamma[i], beta[i]);
}

float kern_max_generic(const float *x, size_t n, size_t *index)
{
    float largest = -INFINITY;
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        if (x[i] > largest) {
            largest = x[i];
            at = i;
        }
    }
    if (index)
        *index = at;
    return largest;
}

void kern_softmax_generic(float *x, size_t n)
{
    const float largest = kern_max_generic(x, n, NULL);
    if (largest == -INFINITY) { /* nothing is possible: no weight anywhere */
        for (size_t i = 0; i < n; i++)
            x[i] = 0.0f;
        return;
    }
    for (size_t i = 0; i < n; i++)
        x[i] = kern_exp1(x[i] - largest);
    const float inverse = 1.0f / sum(x, n);
    for (size_t i = 0; i < n; i++)
        x[i] *= inverse;
}

float kern_log_sum_exp_generic(const float *x, size_t n)
{
    float lane[LANES] = {0};
    const float largest = kern_max_generic(x, n, NULL);
    if (largest == -INFINITY)
        return -INFINITY;
    for (size_t i = 0; i < n; i++)
        lane[i % LANES] += kern_exp1(x[i] - largest);
    return largest + logf(fold(lane));
}

float kern_dot_generic(const float *a, const float *b, size_t n)
{
    float lane[LANES] = {0};
    for (size_t i = 0; i < n; i++)
        lane[i % LANES] = fmaf(a[i], b[i], lane[i % LANES]);
    return fold(lane);
}

void kern_soften(const struct kern_ops *ops, const struct kern_soften_job *job)
{
    const struct kern_gemm *gemm = ops->gemm[KERN_INT8];
    const size_t rows = 2 * job->m, high = job->row, low = job->m + job->row;
    ops->add(job->sum, job->high, job->low, job->n);
    memcpy(job->weights, job->sum, job->n * sizeof(float));
    ops->softmax(job->weights, job->n);
    /* With a stride of 0 every row of the input is the same. */
    gemm->prepare(job->prepared, job->weights, 0, rows, job->n, high, high + 1);
    ops->int8_residual(job->weights, job->weights, job->n);
    gemm->prepare(job->prepared, job->weights, 0, rows, job->n, low, low + 1);
}
