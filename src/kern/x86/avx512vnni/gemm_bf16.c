/* bf16 matrix product for AVX-512 without its bf16 instructions (the level does not ask for them).
 *
 * A register of packed weights holds 16 outputs x 2 values of k: the odd ones are the upper
 * halves as they stand, the even ones are shifted up. Two fused multiply-adds per pair, k
 * ascending.                                                                                     */
#include <string.h>

#include "kern/levels.h"
#include "kern/pack.h"
#include "kern/x86/avx512vnni/finish.h"

#define ROWS   6
#define PANELS 2

/* Both values of a pair of activations, each in all lanes. */
__attribute__((always_inline)) static inline void pair(const uint16_t *x, __m512 *even, __m512 *odd)
{
    uint32_t two;
    memcpy(&two, x, sizeof(two));
    *even = _mm512_castsi512_ps(_mm512_set1_epi32((int32_t)(two << 16)));
    *odd = _mm512_castsi512_ps(_mm512_set1_epi32((int32_t)(two & 0xffff0000U)));
}

__attribute__((always_inline)) static inline void tile(const struct kern_gemm_job *job, size_t m,
                                                       size_t n, size_t n1, const size_t rows,
                                                       const size_t panels)
{
    const size_t chunks = kern_chunks(job->k, KERN_CHUNK_BF16);
    const uint16_t *w = (const uint16_t *)job->w + n * chunks * KERN_CHUNK_BF16;
    const char *x = job->x;
    __m512 acc[ROWS][PANELS];
    for (size_t r = 0; r < rows; r++)
        for (size_t p = 0; p < panels; p++)
            acc[r][p] = _mm512_setzero_ps();
    for (size_t k = 0; k < chunks * KERN_CHUNK_BF16; k += 2) {
        __m512 even[PANELS], odd[PANELS];
        for (size_t p = 0; p < panels; p++) {
            const uint16_t *at = w + p * KERN_PANEL * chunks * KERN_CHUNK_BF16 + k * KERN_PANEL;
            const __m512i both = _mm512_loadu_si512(at);
            even[p] = _mm512_castsi512_ps(_mm512_slli_epi32(both, 16));
            odd[p] = _mm512_castsi512_ps(
                _mm512_and_si512(both, _mm512_set1_epi32((int32_t)0xffff0000U)));
        }
        for (size_t r = 0; r < rows; r++) {
            const char *chunk = x + kern_prep_row(m + r, chunks) +
                                k / KERN_CHUNK_BF16 * KERN_TILE_BYTES;
            __m512 x_even, x_odd;
            pair((const uint16_t *)chunk + k % KERN_CHUNK_BF16, &x_even, &x_odd);
            for (size_t p = 0; p < panels; p++) {
                acc[r][p] = _mm512_fmadd_ps(x_even, even[p], acc[r][p]);
                acc[r][p] = _mm512_fmadd_ps(x_odd, odd[p], acc[r][p]);
            }
        }
    }
    for (size_t r = 0; r < rows; r++)
        for (size_t p = 0; p < panels; p++)
            finish512(job, acc[r][p], m + r, n + p * KERN_PANEL, mask16(n1 - n - p * KERN_PANEL));
}

__attribute__((always_inline)) static inline void rows_of(const struct kern_gemm_job *job,
                                                          size_t m0, size_t m1, size_t n, size_t n1,
                                                          const size_t panels)
{
    size_t m = m0;
    for (; m + ROWS <= m1; m += ROWS)
        tile(job, m, n, n1, 6, panels);
    for (; m + 3 <= m1; m += 3)
        tile(job, m, n, n1, 3, panels);
    for (; m < m1; m++)
        tile(job, m, n, n1, 1, panels);
}

void kern_gemm_bf16_avx512vnni(const struct kern_gemm_job *job, size_t m0, size_t m1, size_t n0,
                               size_t n1)
{
    size_t n = n0;
    for (; n + KERN_PANEL < n1; n += PANELS * KERN_PANEL)
        rows_of(job, m0, m1, n, n1, PANELS);
    if (n < n1)
        rows_of(job, m0, m1, n, n1, 1);
}
