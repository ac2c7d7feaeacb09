/* bf16 matrix product for NEON: the pairs of the layout are opened by shift and mask into f32, and
 * take two fused multiply-adds each, k ascending.                                                */
#include "kern/arm/neon/finish.h"
#include "kern/levels.h"

#define ROWS     4
#define QUARTERS 4 /* registers per panel */

__attribute__((always_inline)) static inline void tile(const struct kern_gemm_job *job, size_t m,
                                                       size_t n, size_t n1, const size_t rows)
{
    const size_t chunks = kern_chunks(job->k, KERN_CHUNK_BF16);
    const uint16_t *w = (const uint16_t *)job->w + n * chunks * KERN_CHUNK_BF16;
    float32x4_t acc[ROWS][QUARTERS];
    for (size_t r = 0; r < rows; r++)
        for (size_t q = 0; q < QUARTERS; q++)
            acc[r][q] = vdupq_n_f32(0.0f);
    for (size_t k = 0; k < chunks * KERN_CHUNK_BF16; k += 2) {
        const size_t chunk = k / KERN_CHUNK_BF16 * KERN_TILE_BYTES;
        float32x4_t even[QUARTERS], odd[QUARTERS];
        for (size_t q = 0; q < QUARTERS; q++) {
            const uint16_t *at = w + k * KERN_PANEL + q * 2 * W;
            const uint32x4_t both = vreinterpretq_u32_u16(vld1q_u16(at));
            even[q] = vreinterpretq_f32_u32(vshlq_n_u32(both, 16));
            odd[q] = vreinterpretq_f32_u32(vandq_u32(both, vdupq_n_u32(0xffff0000U)));
        }
        for (size_t r = 0; r < rows; r++) {
            const char *row = (const char *)job->x + kern_prep_row(m + r, chunks) + chunk;
            const uint16_t *x = (const uint16_t *)row + k % KERN_CHUNK_BF16;
            for (size_t q = 0; q < QUARTERS; q++) {
                acc[r][q] = vfmaq_n_f32(acc[r][q], even[q], kern_bf16_to_f32(x[0]));
                acc[r][q] = vfmaq_n_f32(acc[r][q], odd[q], kern_bf16_to_f32(x[1]));
            }
        }
    }
    float sums[ROWS * QUARTERS * W];
    for (size_t r = 0; r < rows; r++)
        for (size_t q = 0; q < QUARTERS; q++)
            vst1q_f32(sums + (r * QUARTERS + q) * W, acc[r][q]);
    finish_tile(job, sums, QUARTERS * W, m, rows, n, n1);
}

void kern_gemm_bf16_neon(const struct kern_gemm_job *job, size_t m0, size_t m1, size_t n0,
                         size_t n1)
{
    for (size_t n = n0; n < n1; n += KERN_PANEL) {
        size_t m = m0;
        for (; m + ROWS <= m1; m += ROWS)
            tile(job, m, n, n1, 4);
        for (; m < m1; m++)
            tile(job, m, n, n1, 1);
    }
}
