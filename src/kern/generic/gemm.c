/* Matrix products in plain C: the specification of every other level.
 *
 * Each output is one sum over k from 0 upwards in one accumulator; sixteen neighbouring outputs (a
 * panel) advance together, which any compiler turns into vector code. f32 and bf16 round after the
 * multiplication and after the addition here and only once at levels with fused operations; int8
 * sums are exact and equal everywhere.                                                          */
#include <string.h>

#include "kern/generic/approx.h"
#include "kern/levels.h"
#include "kern/pack.h"

/* Bias, activation and residual for the outputs [n0, n1) of row m, n1 - n0 <= KERN_PANEL. */
static void finish(const struct kern_gemm_job *job, const float *acc, size_t m, size_t n0,
                   size_t n1)
{
    for (size_t n = n0; n < n1; n++) {
        float value = acc[n - n0];
        if (job->bias)
            value += job->bias[n];
        if (job->act == KERN_ACT_GELU)
            value = kern_gelu1(value);
        const size_t at = m * job->out_stride + n - job->n_base;
        job->out[at] = job->residual ? value + job->residual[at] : value;
    }
}

static size_t panel_end(size_t n, size_t n1)
{
    return n + KERN_PANEL < n1 ? n + KERN_PANEL : n1;
}

void kern_gemm_f32_generic(const struct kern_gemm_job *job, size_t m0, size_t m1, size_t n0,
                           size_t n1)
{
    for (size_t n = n0; n < n1; n += KERN_PANEL) {
        const float *panel = (const float *)job->w + n * job->k;
        for (size_t m = m0; m < m1; m++) {
            const float *x = (const float *)job->x + m * job->k;
            float acc[KERN_PANEL] = {0};
            for (size_t k = 0; k < job->k; k++)
                for (size_t i = 0; i < KERN_PANEL; i++)
                    acc[i] += x[k] * panel[k * KERN_PANEL + i];
            finish(job, acc, m, n, panel_end(n, n1));
        }
    }
}

void kern_gemm_bf16_generic(const struct kern_gemm_job *job, size_t m0, size_t m1, size_t n0,
                            size_t n1)
{
    const size_t chunks = kern_chunks(job->k, KERN_CHUNK_BF16);
    for (size_t n = n0; n < n1; n += KERN_PANEL) {
        const uint16_t *panel = (const uint16_t *)job->w + n * chunks * KERN_CHUNK_BF16;
        for (size_t m = m0; m < m1; m++) {
            const char *row = (const char *)job->x + kern_prep_row(m, chunks);
            float acc[KERN_PANEL] = {0};
            for (size_t k = 0; k < job->k; k++) {
                const char *chunk = row + k / KERN_CHUNK_BF16 * KERN_TILE_BYTES;
                const float x = kern_bf16_to_f32(((const uint16_t *)chunk)[k % KERN_CHUNK_BF16]);
                const uint16_t *w = panel + k / 2 * 32 + k % 2;
                for (size_t i = 0; i < KERN_PANEL; i++)
                    acc[i] += x * kern_bf16_to_f32(w[2 * i]);
            }
            finish(job, acc, m, n, panel_end(n, n1));
        }
    }
}

/* Exact sums of row `x` (first chunk; the next ones at KERN_TILE_BYTES) with one panel. */
static void int8_row(int32_t *acc, const int8_t *x, const int8_t *panel, size_t chunks)
{
    memset(acc, 0, KERN_PANEL * sizeof(*acc));
    for (size_t k = 0; k < chunks * KERN_CHUNK_INT8; k += 4) {
        const int8_t *four = x + k / KERN_CHUNK_INT8 * KERN_TILE_BYTES + k % KERN_CHUNK_INT8;
        const int8_t *w = panel + k * KERN_PANEL;
        for (size_t i = 0; i < KERN_PANEL; i++)
            for (size_t j = 0; j < 4; j++)
                acc[i] += four[j] * w[4 * i + j];
    }
}

void kern_gemm_int8_generic(const struct kern_gemm_job *job, size_t m0, size_t m1, size_t n0,
                            size_t n1)
{
    const size_t chunks = kern_chunks(job->k, KERN_CHUNK_INT8);
    const float *x_scales = job->x;
    const int8_t *blocks = (const int8_t *)job->x + kern_prep_int8_head(job->m);
    const float *w_scales = kern_pack_int8_scales(job->w, job->n, job->k);
    for (size_t n = n0; n < n1; n += KERN_PANEL) {
        const int8_t *panel = (const int8_t *)job->w + n * chunks * KERN_CHUNK_INT8;
        float acc[KERN_PANEL], last[KERN_PANEL] = {0};
        for (size_t m = m0; m < m1; m++) {
            int32_t sums[KERN_PANEL];
            int8_row(sums, blocks + kern_prep_row(m, chunks), panel, chunks);
            for (size_t i = 0; i < KERN_PANEL; i++) {
                const float value = (float)sums[i] * (x_scales[m] * w_scales[n + i]);
                acc[i] = job->pairs ? last[i] + value : value;
                last[i] = value;
            }
            if (!job->pairs)
                finish(job, acc, m, n, panel_end(n, n1));
            else if (m % 2 == 1)
                finish(job, acc, m / 2, n, panel_end(n, n1));
        }
    }
}
