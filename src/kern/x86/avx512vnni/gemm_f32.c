/* f32 matrix product for AVX-512: tiles of up to 6 rows by 4 panels (64 outputs).
 *
 * Each output is one chain of fused multiply-adds over k from 0 upwards, whatever the tile it falls
 * into, so the bits do not depend on the batch or the split. 24 accumulators, 4 weight registers
 * and a broadcast fill the register file; a single row is limited by the latency of its 4 chains,
 * which still takes weights faster than memory delivers them.                                   */
#include "kern/levels.h"
#include "kern/pack.h"
#include "kern/x86/avx512vnni/finish.h"

#define ROWS   6
#define PANELS 4

__attribute__((always_inline)) static inline void tile(const struct kern_gemm_job *job, size_t m,
                                                       size_t n, size_t n1, const size_t rows,
                                                       const size_t panels)
{
    const size_t n_k = job->k;
    const float *x = (const float *)job->x + m * n_k;
    const float *w = (const float *)job->w + n * n_k;
    __m512 acc[ROWS][PANELS];
    for (size_t r = 0; r < rows; r++)
        for (size_t p = 0; p < panels; p++)
            acc[r][p] = _mm512_setzero_ps();
    for (size_t k = 0; k < n_k; k++) {
        __m512 b[PANELS];
        for (size_t p = 0; p < panels; p++)
            b[p] = _mm512_loadu_ps(w + (p * n_k + k) * W);
        for (size_t r = 0; r < rows; r++) {
            const __m512 a = _mm512_set1_ps(x[r * n_k + k]);
            for (size_t p = 0; p < panels; p++)
                acc[r][p] = _mm512_fmadd_ps(a, b[p], acc[r][p]);
        }
    }
    for (size_t r = 0; r < rows; r++)
        for (size_t p = 0; p < panels; p++)
            finish512(job, acc[r][p], m + r, n + p * W, mask16(n1 - n - p * W));
}

/* `panels` is a constant at each call, so every case is its own unrolled tile. */
__attribute__((always_inline)) static inline void rows_of(const struct kern_gemm_job *job,
                                                          size_t m0, size_t m1, size_t n, size_t n1,
                                                          const size_t panels)
{
    size_t m = m0;
    for (; m + ROWS <= m1; m += ROWS)
        tile(job, m, n, n1, 6, panels);
    switch (m1 - m) {
    case 5: tile(job, m, n, n1, 5, panels); break;
    case 4: tile(job, m, n, n1, 4, panels); break;
    case 3: tile(job, m, n, n1, 3, panels); break;
    case 2: tile(job, m, n, n1, 2, panels); break;
    case 1: tile(job, m, n, n1, 1, panels); break;
    default: break;
    }
}

void kern_gemm_f32_avx512vnni(const struct kern_gemm_job *job, size_t m0, size_t m1, size_t n0,
                              size_t n1)
{
    size_t n = n0;
    for (; n + (PANELS - 1) * W < n1; n += PANELS * W)
        rows_of(job, m0, m1, n, n1, PANELS);
    for (; n < n1; n += W)
        rows_of(job, m0, m1, n, n1, 1);
}
