/* The end of a product, shared by the ARM kernels: bias, activation, residual, store; and, for
 * int8, the way from exact sums back to f32.                                                     */
#ifndef KERN_ARM_NEON_FINISH_H
#define KERN_ARM_NEON_FINISH_H

#include "kern/arm/neon/simd.h"
#include "kern/kern.h"
#include "kern/pack.h"

/* Up to 4 outputs of row m from column n; none when n is not below n1. */
static inline void finish128(const struct kern_gemm_job *job, float32x4_t acc, size_t m, size_t n,
                             size_t n1)
{
    if (n >= n1)
        return;
    const size_t at = m * job->out_stride + n - job->n_base, left = n1 - n;
    if (job->bias)
        acc = vaddq_f32(acc, load4(job->bias + n, left));
    if (job->act == KERN_ACT_GELU)
        acc = gelu128(acc);
    if (job->residual)
        acc = vaddq_f32(acc, load4(job->residual + at, left));
    store4(job->out + at, left, acc);
}

/* The same for a tile in memory: rows of `width` columns. Not inlined: as long as a loop that is
 * not unrolled reads the accumulators, the compiler stores them at every step of k.              */
__attribute__((noinline, unused)) static void finish_tile(const struct kern_gemm_job *job,
                                                          const float *sums, size_t width, size_t m,
                                                          size_t rows, size_t n, size_t n1)
{
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < width; i += W)
            finish128(job, vld1q_f32(sums + r * width + i), m + r, n + i, n1);
}

/* The parts of an int8 product. */
struct int8_operands {
    const int8_t *blocks; /* prepared rows */
    const float *x_scales, *w_scales;
    size_t chunks;
};

static inline struct int8_operands int8_operands_of(const struct kern_gemm_job *job)
{
    return (struct int8_operands){
        .blocks = (const int8_t *)job->x + kern_prep_int8_head(job->m),
        .x_scales = job->x,
        .w_scales = kern_pack_int8_scales(job->w, job->n, job->k),
        .chunks = kern_chunks(job->k, KERN_CHUNK_INT8),
    };
}

static inline float32x4_t scaled_int8(const struct int8_operands *o, int32x4_t sums, size_t m,
                                      size_t n)
{
    const float32x4_t scale = vmulq_n_f32(vld1q_f32(o->w_scales + n), o->x_scales[m]);
    return vmulq_f32(vcvtq_f32_s32(sums), scale);
}

/* Row m of x, whose number is even, and the next one: two rows, or a pair. */
static inline void finish_two_int8(const struct kern_gemm_job *job, const struct int8_operands *o,
                                   int32x4_t first, int32x4_t second, size_t m, size_t n, size_t n1)
{
    const float32x4_t a = scaled_int8(o, first, m, n), b = scaled_int8(o, second, m + 1, n);
    if (job->pairs) {
        finish128(job, vaddq_f32(a, b), m / 2, n, n1);
    } else {
        finish128(job, a, m, n, n1);
        finish128(job, b, m + 1, n, n1);
    }
}

static inline void finish_int8(const struct kern_gemm_job *job, const struct int8_operands *o,
                               int32x4_t sums, size_t m, size_t n, size_t n1)
{
    finish128(job, scaled_int8(o, sums, m, n), m, n, n1);
}

#endif
