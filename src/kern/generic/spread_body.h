/* Spreading: a row times four times an orthonormal matrix that is its own inverse.
 *
 * int8 has one step for a whole row, set by its largest value, so a few large values cost all
 * others their precision. Here each of 16 columns that stand 16 apart becomes sums and differences
 * of all of them (a Hadamard matrix), so that a large value is shared out and the row looks like
 * noise. A row of activations and a row of weights that are both spread have 16 times the product
 * of the plain ones. Blocks of 256 columns, then of 64 with 4 x 4; what is left over is only
 * multiplied by 4. After Ashkboos et al. 2024 (QuaRot), without the shuffles that a whole row would
 * need.
 *
 * Included by every level with SPREAD_WIDTH, the floats of a register. Sums and differences in
 * one order: the same bits everywhere.                                                           */
#include <string.h>

#define SPREAD_LANES 16

typedef float spread_vector __attribute__((vector_size(4 * SPREAD_WIDTH)));

/* `rows` times 16 columns; out may be x. */
__attribute__((always_inline)) static inline void spread_block(float *out, const float *x,
                                                               const size_t rows)
{
    for (size_t lane = 0; lane < SPREAD_LANES; lane += SPREAD_WIDTH) {
        spread_vector v[16];
#pragma GCC unroll 16
        for (size_t r = 0; r < rows; r++)
            memcpy(&v[r], x + r * SPREAD_LANES + lane, sizeof v[r]);
#pragma GCC unroll 4
        for (size_t half = 1; half < rows; half *= 2) {
#pragma GCC unroll 8
            for (size_t i = 0; i < rows / 2; i++) {
                const size_t at = i / half * 2 * half + i % half;
                const spread_vector a = v[at], b = v[at + half];
                v[at] = a + b;
                v[at + half] = a - b;
            }
        }
#pragma GCC unroll 16
        for (size_t r = 0; r < rows; r++) {
            if (rows == 4)
                v[r] = v[r] + v[r];
            memcpy(out + r * SPREAD_LANES + lane, &v[r], sizeof v[r]);
        }
    }
}

static inline void spread_row(float *out, const float *x, size_t n)
{
    size_t i = 0;
    for (; i + 16 * SPREAD_LANES <= n; i += 16 * SPREAD_LANES)
        spread_block(out + i, x + i, 16);
    for (; i + 4 * SPREAD_LANES <= n; i += 4 * SPREAD_LANES)
        spread_block(out + i, x + i, 4);
    for (; i < n; i++)
        out[i] = 4.0f * x[i];
}
