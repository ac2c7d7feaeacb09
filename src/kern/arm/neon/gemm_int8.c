/* int8 matrix product for NEON without dot products: bytes multiply to 16 bits, two products are
 * added there (at most 2 * 127 * 127 = 32258: exact), and pairs of those are added to 32 bits.
 * A tile is up to 2 rows by one panel.                                                           */
#include <string.h>

#include "kern/arm/neon/finish.h"
#include "kern/levels.h"

#define ROWS   2
#define EIGHTS 8 /* registers per panel and row: two outputs each, in two halves of their sums */

/* Four activations, twice: beside the weights of two outputs. */
static inline int8x8_t quad(const int8_t *x)
{
    int32_t four;
    memcpy(&four, x, sizeof(four));
    return vreinterpret_s8_s32(vdup_n_s32(four));
}

__attribute__((always_inline)) static inline void tile(const struct kern_gemm_job *job,
                                                       const struct int8_operands *o, size_t m,
                                                       size_t n, size_t n1, const size_t rows)
{
    const int8_t *w = (const int8_t *)job->w + n / KERN_PANEL * o->chunks * KERN_TILE_BYTES;
    int32x4_t acc[ROWS][EIGHTS];
    for (size_t r = 0; r < rows; r++)
        for (size_t e = 0; e < EIGHTS; e++)
            acc[r][e] = vdupq_n_s32(0);
    for (size_t at = 0; at < o->chunks * KERN_TILE_BYTES; at += 128) { /* eight k */
        const size_t k = at / KERN_TILE_BYTES * KERN_TILE_BYTES + at % KERN_TILE_BYTES / 16;
        for (size_t r = 0; r < rows; r++) {
            const int8_t *x = o->blocks + kern_prep_row(m + r, o->chunks) + k;
            const int8x8_t first = quad(x), second = quad(x + 4);
            for (size_t e = 0; e < EIGHTS; e++) {
                const int16x8_t p = vmull_s8(vld1_s8(w + at + e * 8), first);
                const int16x8_t pairs = vmlal_s8(p, vld1_s8(w + at + 64 + e * 8), second);
                acc[r][e] = vpadalq_s16(acc[r][e], pairs);
            }
        }
    }
    for (size_t e = 0; e < EIGHTS; e += 2) {
        const int32x4_t first = vpaddq_s32(acc[0][e], acc[0][e + 1]);
        if (rows == 2)
            finish_two_int8(job, o, first, vpaddq_s32(acc[rows - 1][e], acc[rows - 1][e + 1]), m,
                            n + e * 2, n1);
        else
            finish_int8(job, o, first, m, n + e * 2, n1);
    }
}

void kern_gemm_int8_neon(const struct kern_gemm_job *job, size_t m0, size_t m1, size_t n0,
                         size_t n1)
{
    const struct int8_operands o = int8_operands_of(job);
    for (size_t n = n0; n < n1; n += KERN_PANEL) {
        size_t m = m0;
        for (; m + ROWS <= m1; m += ROWS)
            tile(job, &o, m, n, n1, 2);
        if (m < m1)
            tile(job, &o, m, n, n1, 1);
    }
}
