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

/* The same for `rows` rows from row m of x on; of pairs there are only whole ones. */
__attribute__((always_inline)) static inline void finish_rows512(const struct kern_gemm_job *job,
                                                                 const __m512 *value,
                                                                 const size_t rows, size_t m,
                                                                 size_t n, __mmask16 mask)
{
    if (job->pairs) {
        for (size_t r = 0; r + 1 < rows; r += 2)
            finish512(job, _mm512_add_ps(value[r], value[r + 1]), (m + r) / 2, n, mask);
    } else {
        for (size_t r = 0; r < rows; r++)
            finish512(job, value[r], m + r, n, mask);
    }
}

#endif
