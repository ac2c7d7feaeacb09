/* bf16 matrix product for AVX2: the pairs of the layout are opened by shift and mask into f32, and
 * take two fused multiply-adds each, k ascending. Same bits as the AVX-512 kernel.               */
#include <string.h>

#include "kern/levels.h"
#include "kern/pack.h"
#include "kern/x86/avx2/finish.h"

#define ROWS 4

/* Both values of a pair of activations, each in all lanes. */
__attribute__((always_inline)) static inline void pair(const uint16_t *x, __m256 *even, __m256 *odd)
{
    uint32_t two;
    memcpy(&two, x, sizeof(two));
    *even = _mm256_castsi256_ps(_mm256_set1_epi32((int32_t)(two << 16)));
    *odd = _mm256_castsi256_ps(_mm256_set1_epi32((int32_t)(two & 0xffff0000U)));
}

__attribute__((always_inline)) static inline void tile(const struct kern_gemm_job *job, size_t m,
                                                       size_t n, size_t n1, const size_t rows)
{
    const size_t chunks = kern_chunks(job->k, KERN_CHUNK_BF16);
    const uint16_t *w = (const uint16_t *)job->w + n * chunks * KERN_CHUNK_BF16;
    __m256 acc[ROWS][2];
    for (size_t r = 0; r < rows; r++)
        acc[r][0] = acc[r][1] = _mm256_setzero_ps();
    for (size_t k = 0; k < chunks * KERN_CHUNK_BF16; k += 2) {
        const size_t chunk = k / KERN_CHUNK_BF16 * KERN_TILE_BYTES;
        __m256 even[2], odd[2];
        for (size_t half = 0; half < 2; half++) {
            const uint16_t *at = w + k * KERN_PANEL + half * 2 * W;
            const __m256i both = _mm256_loadu_si256((const __m256i *)at);
            even[half] = _mm256_castsi256_ps(_mm256_slli_epi32(both, 16));
            odd[half] = _mm256_castsi256_ps(
                _mm256_and_si256(both, _mm256_set1_epi32((int32_t)0xffff0000U)));
        }
        for (size_t r = 0; r < rows; r++) {
            const char *row = (const char *)job->x + kern_prep_row(m + r, chunks) + chunk;
            __m256 x_even, x_odd;
            pair((const uint16_t *)row + k % KERN_CHUNK_BF16, &x_even, &x_odd);
            for (size_t half = 0; half < 2; half++) {
                acc[r][half] = _mm256_fmadd_ps(x_even, even[half], acc[r][half]);
                acc[r][half] = _mm256_fmadd_ps(x_odd, odd[half], acc[r][half]);
            }
        }
    }
    for (size_t r = 0; r < rows; r++)
        for (size_t half = 0; half < 2; half++)
            finish256(job, acc[r][half], m + r, n + half * W, n1);
}

void kern_gemm_bf16_avx2(const struct kern_gemm_job *job, size_t m0, size_t m1, size_t n0,
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
