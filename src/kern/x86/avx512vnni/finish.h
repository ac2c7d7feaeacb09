/* The end of a product, shared by the AVX-512 and AMX kernels: bias, activation, residual,
 * store. */
#ifndef KERN_X86_AVX512_FINISH_H
#define KERN_X86_AVX512_FINISH_H

#include "kern/kern.h"
#include "kern/x86/avx512vnni/simd.h"

/* Up to 16 outputs of row m from column n. */
static inline void finish512(const struct kern_gemm_job *job, __m512 acc, size_t m, size_t n,
                             __mmask16 mask)
{
    const size_t at = m * job->out_stride + n - job->n_base;
    if (job->bias)
        acc = _mm512_add_ps(acc, _mm512_maskz_loadu_ps(mask, job->bias + n));
    if (job->act == KERN_ACT_GELU)
        acc = gelu512(acc);
    if (job->residual)
        acc = _mm512_add_ps(acc, _mm512_maskz_loadu_ps(mask, job->residual + at));
    _mm512_mask_storeu_ps(job->out + at, mask, acc);
}

#endif
