/* int8 matrix product for AVX-512 VNNI.
 *
 * VPDPBUSD multiplies unsigned by signed bytes, so 128 is added to the activations (a sign bit
 * flipped) and 128 times the stored sum of the weights is taken off: exact. A tile is up to 6
 * rows by 2 panels; the sixteen quads of a weight chunk are broadcast-multiplied one after
 * another.                                                                                       */
#include <string.h>

#include "kern/levels.h"
#include "kern/pack.h"
#include "kern/x86/avx512vnni/finish.h"
#include "kern/x86/avx512vnni/simd.h"

#define ROWS   8
#define PANELS 2

struct operands {
    const int8_t *blocks; /* prepared rows */
    const float *x_scales, *w_scales;
    const int32_t *w_sums;
    size_t chunks;
};

__attribute__((always_inline)) static inline __m512i quad(const int8_t *x)
{
    int32_t four;
    memcpy(&four, x, sizeof(four));
    return _mm512_set1_epi32(four ^ (int32_t)0x80808080);
}

__attribute__((always_inline)) static inline void tile(const struct kern_gemm_job *job,
                                                       const struct operands *o, size_t m, size_t n,
                                                       size_t n1, const size_t rows,
                                                       const size_t panels)
{
    const size_t panel_bytes = o->chunks * KERN_TILE_BYTES;
    const int8_t *w = (const int8_t *)job->w + n / KERN_PANEL * panel_bytes;
    const int8_t *x[ROWS];
    __m512i acc[ROWS][PANELS];
    for (size_t r = 0; r < rows; r++) {
        x[r] = o->blocks + kern_prep_row(m + r, o->chunks);
        for (size_t p = 0; p < panels; p++)
            acc[r][p] = _mm512_setzero_si512();
    }
    for (size_t chunk = 0; chunk < o->chunks; chunk++) {
        for (size_t q = 0; q < 16; q++) {
            const size_t at = chunk * KERN_TILE_BYTES + q * 64;
            __m512i b[PANELS];
            for (size_t p = 0; p < panels; p++)
                b[p] = _mm512_loadu_si512(w + p * panel_bytes + at);
            for (size_t r = 0; r < rows; r++) {
                const __m512i a = quad(x[r] + chunk * KERN_TILE_BYTES + q * 4);
                for (size_t p = 0; p < panels; p++)
                    acc[r][p] = _mm512_dpbusd_epi32(acc[r][p], a, b[p]);
            }
        }
    }
    for (size_t p = 0; p < panels; p++) {
        const size_t at = n + p * KERN_PANEL;
        const __m512i offset = _mm512_slli_epi32(_mm512_loadu_si512(o->w_sums + at), 7);
        const __m512 w_scale = _mm512_loadu_ps(o->w_scales + at);
        __m512 value[ROWS];
        for (size_t r = 0; r < rows; r++) {
            const __m512 sum = _mm512_cvtepi32_ps(_mm512_sub_epi32(acc[r][p], offset));
            const __m512 scale = _mm512_mul_ps(_mm512_set1_ps(o->x_scales[m + r]), w_scale);
            value[r] = _mm512_mul_ps(sum, scale);
        }
        finish_rows512(job, value, rows, m, at, mask16(n1 - at));
    }
}

__attribute__((always_inline)) static inline void rows_of(const struct kern_gemm_job *job,
                                                          const struct operands *o, size_t m0,
                                                          size_t m1, size_t n, size_t n1,
                                                          const size_t panels)
{
    size_t m = m0;
    for (; m + ROWS <= m1; m += ROWS)
        tile(job, o, m, n, n1, 8, panels);
    for (; m + 4 <= m1; m += 4)
        tile(job, o, m, n, n1, 4, panels);
    switch (m1 - m) {
    case 3: tile(job, o, m, n, n1, 3, panels); break;
    case 2: tile(job, o, m, n, n1, 2, panels); break;
    case 1: tile(job, o, m, n, n1, 1, panels); break;
    default: break;
    }
}

void kern_gemm_int8_avx512vnni(const struct kern_gemm_job *job, size_t m0, size_t m1, size_t n0,
                               size_t n1)
{
    const struct operands o = {
        .blocks = (const int8_t *)job->x + kern_prep_int8_head(job->m),
        .x_scales = job->x,
        .w_scales = kern_pack_int8_scales(job->w, job->n, job->k),
        .w_sums = kern_pack_int8_sums(job->w, job->n, job->k),
        .chunks = kern_chunks(job->k, KERN_CHUNK_INT8),
    };
    size_t n = n0;
    for (; n + KERN_PANEL < n1; n += PANELS * KERN_PANEL)
        rows_of(job, &o, m0, m1, n, n1, PANELS);
    if (n < n1)
        rows_of(job, &o, m0, m1, n, n1, 1);
}
