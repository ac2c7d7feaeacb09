/* f32 matrix product for AVX2: tiles of up to 6 rows by one panel (16 outputs), or one row by four
 * panels when rows are few. Same chains, same bits as the AVX-512 kernel.                        */
#include "kern/levels.h"
#include "kern/pack.h"
#include "kern/x86/avx2/finish.h"

#define ROWS   6
#define HALVES 8 /* most half panels (registers) per row */

/* `halves` registers per row: two per panel. */
__attribute__((always_inline)) static inline void tile(const struct kern_gemm_job *job, size_t m,
                                                       size_t n, size_t n1, const size_t rows,
                                                       const size_t halves)
{
    const size_t n_k = job->k;
    const float *x = (const float *)job->x + m * n_k;
    const float *w = (const float *)job->w + n * n_k;
    __m256 acc[ROWS][HALVES];
    for (size_t r = 0; r < rows; r++)
        for (size_t h = 0; h < halves; h++)
            acc[r][h] = _mm256_setzero_ps();
    for (size_t k = 0; k < n_k; k++) {
        __m256 b[HALVES];
        for (size_t h = 0; h < halves; h++)
            b[h] = _mm256_loadu_ps(w + (h / 2 * n_k + k) * KERN_PANEL + h % 2 * W);
        for (size_t r = 0; r < rows; r++) {
            const __m256 a = _mm256_set1_ps(x[r * n_k + k]);
            for (size_t h = 0; h < halves; h++)
                acc[r][h] = _mm256_fmadd_ps(a, b[h], acc[r][h]);
        }
    }
    for (size_t r = 0; r < rows; r++)
        for (size_t h = 0; h < halves; h++)
            finish256(job, acc[r][h], m + r, n + h * W, n1);
}

static void panel(const struct kern_gemm_job *job, size_t m0, size_t m1, size_t n, size_t n1)
{
    size_t m = m0;
    for (; m + ROWS <= m1; m += ROWS)
        tile(job, m, n, n1, 6, 2);
    switch (m1 - m) {
    case 5: tile(job, m, n, n1, 5, 2); break;
    case 4: tile(job, m, n, n1, 4, 2); break;
    case 3: tile(job, m, n, n1, 3, 2); break;
    case 2: tile(job, m, n, n1, 2, 2); break;
    case 1: tile(job, m, n, n1, 1, 2); break;
    default: break;
    }
}

void kern_gemm_f32_avx2(const struct kern_gemm_job *job, size_t m0, size_t m1, size_t n0, size_t n1)
{
    size_t n = n0;
    if (m1 - m0 == 1)
        for (; n + 3 * KERN_PANEL < n1; n += 4 * KERN_PANEL)
            tile(job, m0, n, n1, 1, 8);
    for (; n < n1; n += KERN_PANEL)
        panel(job, m0, m1, n, n1);
}
