/* int8 matrix product for NEON with dot products (SDOT: four products of bytes summed to 32 bits).
 * A tile is up to 4 rows by one panel; a row of a weight tile is four operands of four outputs.  */
#include "kern/arm/neon/finish.h"
#include "kern/levels.h"

#define ROWS     4
#define QUARTERS 4 /* registers per panel */

__attribute__((always_inline)) static inline void tile(const struct kern_gemm_job *job,
                                                       const struct int8_operands *o, size_t m,
                                                       size_t n, size_t n1, const size_t rows)
{
    const int8_t *w = (const int8_t *)job->w + n / KERN_PANEL * o->chunks * KERN_TILE_BYTES;
    int32x4_t acc[ROWS][QUARTERS];
    for (size_t r = 0; r < rows; r++)
        for (size_t q = 0; q < QUARTERS; q++)
            acc[r][q] = vdupq_n_s32(0);
    for (size_t at = 0; at < o->chunks * KERN_TILE_BYTES; at += 256) { /* sixteen k */
        const size_t k = at / KERN_TILE_BYTES * KERN_TILE_BYTES + at % KERN_TILE_BYTES / 16;
        int8x16_t x[ROWS];
        for (size_t r = 0; r < rows; r++)
            x[r] = vld1q_s8(o->blocks + kern_prep_row(m + r, o->chunks) + k);
        for (size_t q = 0; q < QUARTERS; q++) {
            const int8_t *four = w + at + q * 16;
            const int8x16_t w0 = vld1q_s8(four), w1 = vld1q_s8(four + 64);
            const int8x16_t w2 = vld1q_s8(four + 128), w3 = vld1q_s8(four + 192);
            for (size_t r = 0; r < rows; r++) {
                acc[r][q] = vdotq_laneq_s32(acc[r][q], w0, x[r], 0);
                acc[r][q] = vdotq_laneq_s32(acc[r][q], w1, x[r], 1);
                acc[r][q] = vdotq_laneq_s32(acc[r][q], w2, x[r], 2);
                acc[r][q] = vdotq_laneq_s32(acc[r][q], w3, x[r], 3);
            }
        }
    }
    for (size_t r = 0; r + 1 < rows; r += 2)
        for (size_t q = 0; q < QUARTERS; q++)
            finish_two_int8(job, o, acc[r][q], acc[r + 1][q], m + r, n + q * W, n1);
    for (size_t q = 0; rows % 2 == 1 && q < QUARTERS; q++)
        finish_int8(job, o, acc[rows - 1][q], m + rows - 1, n + q * W, n1);
}

void kern_gemm_int8_neondot(const struct kern_gemm_job *job, size_t m0, size_t m1, size_t n0,
                            size_t n1)
{
    const struct int8_operands o = int8_operands_of(job);
    for (size_t n = n0; n < n1; n += KERN_PANEL) {
        size_t m = m0;
        for (; m + ROWS <= m1; m += ROWS)
            tile(job, &o, m, n, n1, 4);
        switch (m1 - m) {
        case 3: tile(job, &o, m, n, n1, 3); break;
        case 2: tile(job, &o, m, n, n1, 2); break;
        case 1: tile(job, &o, m, n, n1, 1); break;
        default: break;
        }
    }
}
