/* Attention in plain C.
 *
 * The softmax is "on line" (Milakov and Gimelshein 2018; Dao et al. 2022): keys come in panels
 * of 16, the running maximum and sum are corrected when a panel raises the maximum, and no matrix
 * of scores is ever stored. Panels begin at key 0 whatever the split of the query rows.          */
#include <math.h>
#include <string.h>

#include "kern/generic/approx.h"
#include "kern/levels.h"
#include "kern/pack.h"

#define MAX_D 128

static float dot(const float *a, const float *b, size_t n)
{
    float sum = 0.0f;
    for (size_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

/* Fold n scores and their value rows into the sums of one query. */
static void fold_block(float *acc, float *largest, float *sum, const float *score, size_t n,
                       const float *v, size_t v_stride, size_t d)
{
    float block_largest = *largest;
    for (size_t i = 0; i < n; i++)
        block_largest = score[i] > block_largest ? score[i] : block_largest;
    const float correction = kern_exp1(*largest - block_largest);
    *largest = block_largest;
    *sum *= correction;
    for (size_t c = 0; c < d; c++)
        acc[c] *= correction;
    for (size_t i = 0; i < n; i++) {
        const float weight = kern_exp1(score[i] - block_largest);
        *sum += weight;
        for (size_t c = 0; c < d; c++)
            acc[c] += weight * v[i * v_stride + c];
    }
}

void kern_attn_row_generic(const struct kern_attn_row_job *job)
{
    for (size_t i = 0; i < job->n_keys; i++) {
        const size_t cell = job->cells ? (size_t)job->cells[i] : i;
        job->scores[i] = dot(job->q, job->k + cell * job->kv_stride, job->d) * job->scale;
    }
    kern_softmax_generic(job->scores, job->n_keys);
    memset(job->out, 0, job->d * sizeof(float));
    for (size_t i = 0; i < job->n_keys; i++) {
        const size_t cell = job->cells ? (size_t)job->cells[i] : i;
        const float *v = job->v + cell * job->kv_stride;
        for (size_t c = 0; c < job->d; c++)
            job->out[c] += job->scores[i] * v[c];
    }
}

/* ---- Heads laid out for f32 kernels ---------------------------------------------------------- */

size_t kern_heads_packed_bytes_f32(size_t t, size_t d)
{
    size_t elements, bytes;
    if (t > SIZE_MAX / 4 ||
        __builtin_mul_overflow(2 * t + kern_panels(t) * KERN_PANEL, d, &elements) ||
        __builtin_mul_overflow(elements, sizeof(float), &bytes))
        return 0;
    return bytes;
}

size_t kern_heads_scratch_bytes_f32(size_t t, size_t d)
{
    (void)t;
    (void)d;
    return 0;
}

void kern_heads_pack_f32(void *packed, const float *q, const float *k, const float *v,
                         size_t stride, size_t t, size_t d, float scale, size_t t0, size_t t1)
{
    float *rows = packed, *panels = rows + 2 * t * d;
    const size_t end = t1 < t ? t1 : kern_panels(t) * KERN_PANEL;
    for (size_t row = t0; k && row < end; row++) {
        float *key = panels + row / KERN_PANEL * KERN_PANEL * d + row % KERN_PANEL;
        for (size_t c = 0; c < d; c++)
            key[c * KERN_PANEL] = row < t1 ? k[(row - t0) * stride + c] : 0.0f;
    }
    for (size_t row = t0; q && row < t1; row++)
        for (size_t c = 0; c < d; c++)
            rows[row * d + c] = q[(row - t0) * stride + c] * scale;
    for (size_t row = t0; v && row < t1; row++)
        memcpy(rows + (t + row) * d, v + (row - t0) * stride, d * sizeof(float));
}

static void score_panel(float *score, const float *q, const float *panel, size_t d)
{
    memset(score, 0, KERN_PANEL * sizeof(*score));
    for (size_t c = 0; c < d; c++)
        for (size_t i = 0; i < KERN_PANEL; i++)
            score[i] += q[c] * panel[c * KERN_PANEL + i];
}

void kern_heads_run_generic(const void *packed, size_t t, size_t d, float *out, size_t out_stride,
                            size_t t0, size_t t1, void *scratch)
{
    (void)scratch;
    const struct kern_head_f32 h = kern_head_f32_of(packed, t, d, out, out_stride);
    for (size_t row = t0; row < t1; row++) {
        float acc[MAX_D] = {0}, score[KERN_PANEL];
        float largest = -INFINITY, sum = 0.0f;
        for (size_t first = 0; first < t; first += KERN_PANEL) {
            const size_t n = t - first < KERN_PANEL ? t - first : KERN_PANEL;
            score_panel(score, h.q + row * d, h.panels + first * d, d);
            fold_block(acc, &largest, &sum, score, n, h.v + first * d, d, d);
        }
        for (size_t c = 0; c < d; c++)
            h.out[row * h.out_stride + c] = acc[c] / sum;
    }
}
