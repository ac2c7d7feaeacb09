/* int8 matrix product over 256-bit registers, for the two ways such a processor multiplies bytes.
 *
 * The including file defines
 *   NAME                     the function
 *   X_FLIP                   xor-ed into four activations (0x80808080 makes them unsigned)
 *   ADD_PRODUCTS(acc, x, w)  acc plus, per 32-bit lane, the four products of bytes, exactly
 * A tile is up to 4 rows by one panel (two registers per row).
 * Results are exact sums, the same as at every other level.                                     */
#include <string.h>

#include "kern/levels.h"
#include "kern/pack.h"
#include "kern/x86/avx2/finish.h"

#define ROWS 4

struct operands {
    const int8_t *blocks; /* prepared rows */
    const float *x_scales, *w_scales;
    const int32_t *w_sums;
    size_t chunks;
};

__attribute__((always_inline)) static inline __m256i quad(const int8_t *x)
{
    uint32_t four;
    memcpy(&four, x, sizeof(four));
    return _mm256_set1_epi32((int32_t)(four ^ X_FLIP));
}

__attribute__((always_inline)) static inline void tile(const struct kern_gemm_job *job,
                                                       const struct operands *o, size_t m, size_t n,
                                                       size_t n1, const size_t rows)
{
    const int8_t *w = (const int8_t *)job->w + n / KERN_PANEL * o->chunks * KERN_TILE_BYTES;
    const int8_t *x[ROWS];
    __m256i acc[ROWS][2];
    for (size_t r = 0; r < rows; r++) {
        x[r] = o->blocks + kern_prep_row(m + r, o->chunks);
        acc[r][0] = acc[r][1] = _mm256_setzero_si256();
    }
    for (size_t chunk = 0; chunk < o->chunks; chunk++) {
        for (size_t q = 0; q < 16; q++) {
            const size_t at = chunk * KERN_TILE_BYTES + q * 64;
            const __m256i low = _mm256_loadu_si256((const __m256i *)(w + at));
            const __m256i high = _mm256_loadu_si256((const __m256i *)(w + at + 32));
            for (size_t r = 0; r < rows; r++) {
                const __m256i a = quad(x[r] + chunk * KERN_TILE_BYTES + q * 4);
                acc[r][0] = ADD_PRODUCTS(acc[r][0], a, low);
                acc[r][1] = ADD_PRODUCTS(acc[r][1], a, high);
            }
        }
    }
    for (size_t half = 0; half < 2; half++) {
        const size_t at = n + half * W;
        const __m256 w_scale = _mm256_loadu_ps(o->w_scales + at);
        const __m256i sums = _mm256_loadu_si256((const __m256i *)(o->w_sums + at));
        const __m256i offset = X_FLIP ? _mm256_slli_epi32(sums, 7) : _mm256_setzero_si256();
        __m256 last = _mm256_setzero_ps();
        for (size_t r = 0; r < rows; r++) {
            const __m256 sum = _mm256_cvtepi32_ps(_mm256_sub_epi32(acc[r][half], offset));
            const __m256 scale = _mm256_mul_ps(_mm256_set1_ps(o->x_scales[m + r]), w_scale);
            const __m256 value = _mm256_mul_ps(sum, scale);
            if (!job->pairs)
                finish256(job, value, m + r, at, n1);
            else if (r % 2 == 1)
                finish256(job, _mm256_add_ps(last, value), (m + r) / 2, at, n1);
            last = value;
        }
    }
}

void NAME(const struct kern_gemm_job *job, size_t m0, size_t m1, size_t n0, size_t n1)
{
    const struct operands o = {
        .blocks = (const int8_t *)job->x + kern_prep_int8_head(job->m),
        .x_scales = job->x,
        .w_scales = kern_pack_int8_scales(job->w, job->n, job->k),
        .w_sums = kern_pack_int8_sums(job->w, job->n, job->k),
        .chunks = kern_chunks(job->k, KERN_CHUNK_INT8),
    };
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
