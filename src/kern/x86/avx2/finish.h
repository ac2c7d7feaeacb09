/* The end of a product, shared by the AVX2 kernels: bias, activation, residual, store. */
#ifndef KERN_X86_AVX2_FINISH_H
#define KERN_X86_AVX2_FINISH_H

#include "kern/kern.h"
#include "kern/x86/avx2/simd.h"

/* Up to 8 outputs of row m from column n; none when n is not below n1. */
static inline void finish256(const struct kern_gemm_job *job, __m256 acc, size_t m, size_t n,
                             size_t n1)
{
    if (n >= n1)
        return;
    const size_t at = m * job->out_stride + n - job->n_base, left = n1 - n;
    if (job->bias)
        acc = _mm256_add_ps(acc, load8(job->bias + n, left));
    if (job->act == KERN_ACT_GELU)
        acc = gelu256(acc);
    if (job->residual)
        acc = _mm256_add_ps(acc, load8(job->residual + at, left));
    store8(job->out + at, left, acc);
}

#endif
