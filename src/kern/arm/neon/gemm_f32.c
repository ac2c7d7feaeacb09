/* f32 matrix product for NEON: tiles of up to 6 rows by one panel (16 outputs), or one row by four
 * panels when rows are few. One fused chain per output, k ascending.                             */
#include "kern/arm/neon/finish.h"
#include "kern/levels.h"

#define ROWS     6
#define QUARTERS 16 /* most quarter panels (registers) per row */

/* `quarters` registers per row: four per panel. */
__attribute__((always_inline)) static inline void tile(const struct kern_gemm_job *job, size_t m,
                                                       size_t n, size_t n1, const size_t rows,
                                                       const size_t quarters)
{
    const size_t n_k = job->k;
    const float *x = (const float *)job->x + m * n_k;
    const float *w = (const float *)job->w + n * n_k;
    float32x4_t acc[ROWS][QUARTERS];
    for (size_t r = 0; r < rows; r++)
        for (size_t q = 0; q < quarters; q++)
            acc[r][q] = vdupq_n_f32(0.0f);
    for (size_t k = 0; k < n_k; k++) {
        float32x4_t b[QUARTERS];
        for (size_t q = 0; q < quarters; q++)
            b[q] = vld1q_f32(w + (q / 4 * n_k + k) * KERN_PANEL + q % 4 * W);
        for (size_t r = 0; r < rows; r++)
            for (size_t q = 0; q < quarters; q++)
                acc[r][q] = vfmaq_n_f32(acc[r][q], b[q], x[r * n_k + k]);
    }
    float sums[ROWS * QUARTERS * W];
    for (size_t r = 0; r < rows; r++)
        for (size_t q = 0; q < quarters; q++)
            vst1q_f32(sums + (r * quarters + q) * W, acc[r][q]);
    finish_tile(job, sums, quarters * W, m, rows, n, n1);
}

static void panel(const struct kern_gemm_job *job, size_t m0, size_t m1, size_t n, size_t n1)
{
    size_t m = m0;
    for (; m + ROWS <= m1; m += ROWS)
        tile(job, m, n, n1, 6, 4);
    switch (m1 - m) {
    case 5: tile(job, m, n, n1, 5, 4); break;
    case 4: tile(job, m, n, n1, 4, 4); break;
    case 3: tile(job, m, n, n1, 3, 4); break;
    case 2: tile(job, m, n, n1, 2, 4); break;
    case 1: tile(job, m, n, n1, 1, 4); break;
    default: break;
    }
}

void kern_gemm_f32_neon(const struct kern_gemm_job *job, size_t m0, size_t m1, size_t n0, size_t n1)
{
    size_t n = n0;
    if (m1 - m0 == 1)
        for (; n + 3 * KERN_PANEL < n1; n += 4 * KERN_PANEL)
            tile(job, m0, n, n1, 1, 16);
    for (; n < n1; n += KERN_PANEL)
        panel(job, m0, m1, n, n1);
}
