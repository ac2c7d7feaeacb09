/* int8 matrix product with SMMLA: tiles of up to 8 rows by 8 outputs, exact sums (mmla.h). */
#include "kern/arm/i8mm/mmla.h"
#include "kern/levels.h"

/* acc[pair of rows][pair of outputs] holds {r0 o0, r0 o1, r1 o0, r1 o1}. */
__attribute__((always_inline)) static inline void tile(const struct kern_gemm_job *job,
                                                       const struct int8_operands *o, size_t m,
                                                       size_t m1, size_t n, size_t n1,
                                                       const size_t pairs)
{
    const uint8_t *w = (const uint8_t *)job->w + n / KERN_PANEL * o->chunks * KERN_TILE_BYTES +
                       n % KERN_PANEL * 4;
    const uint8_t *row[MMLA_PAIRS][2];
    int32x4_t acc[MMLA_PAIRS][4];
    for (size_t p = 0; p < pairs; p++) {
        mmla_row_pair(row[p], (const uint8_t *)o->blocks, m + 2 * p, m1, o->chunks);
        for (size_t i = 0; i < 4; i++)
            acc[p][i] = vdupq_n_s32(0);
    }
    for (size_t at = 0; at < o->chunks * KERN_TILE_BYTES; at += 2 * KERN_CHUNK_BYTES) {
        const size_t k = at / KERN_TILE_BYTES * KERN_TILE_BYTES + at % KERN_TILE_BYTES / 16;
        const uint32x4x2_t low = mmla_weights(w + at), high = mmla_weights(w + at + 16);
        const uint32x4_t four[4] = {low.val[0], low.val[1], high.val[0], high.val[1]};
        for (size_t p = 0; p < pairs; p++) {
            const int8x16_t x = vreinterpretq_s8_u32(mmla_rows(row[p][0] + k, row[p][1] + k));
            for (size_t i = 0; i < 4; i++)
                acc[p][i] = vmmlaq_s32(acc[p][i], x, vreinterpretq_s8_u32(four[i]));
        }
    }
    for (size_t p = 0; p < pairs; p++) {
        for (size_t i = 0; i < 4; i += 2) {
            const int64x2_t a = vreinterpretq_s64_s32(acc[p][i]);
            const int64x2_t b = vreinterpretq_s64_s32(acc[p][i + 1]);
            const size_t from = n + i * 2, first = m + 2 * p;
            const int32x4_t even = vreinterpretq_s32_s64(vzip1q_s64(a, b));
            const int32x4_t odd = vreinterpretq_s32_s64(vzip2q_s64(a, b));
            if (first + 1 < m1)
                finish_two_int8(job, o, even, odd, first, from, n1);
            else
                finish_int8(job, o, even, first, from, n1);
        }
    }
}

void kern_gemm_int8_i8mm(const struct kern_gemm_job *job, size_t m0, size_t m1, size_t n0,
                         size_t n1)
{
    const struct int8_operands o = int8_operands_of(job);
    for (size_t n = n0; n < n1; n += KERN_PANEL / 2) {
        size_t m = m0;
        for (; m + 2 * MMLA_PAIRS <= m1; m += 2 * MMLA_PAIRS)
            tile(job, &o, m, m1, n, n1, 4);
        for (; m + 4 <= m1; m += 4)
            tile(job, &o, m, m1, n, n1, 2);
        for (; m < m1; m += 2)
            tile(job, &o, m, m1, n, n1, 1);
    }
}
