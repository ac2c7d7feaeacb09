/* Preparing activations for AVX-512 and AMX: rows to int8 or bf16 in tile order (kern/pack.h). */
#include "kern/levels.h"
#include "kern/pack.h"
#include "kern/x86/avx512vnni/simd.h"

static float max_magnitude(const float *x, size_t n)
{
    __m512 a = _mm512_setzero_ps(), b = a; /* a NaN as first operand leaves the second */
    size_t i = 0;
    for (; i + 2 * W <= n; i += 2 * W) {
        a = _mm512_max_ps(_mm512_abs_ps(_mm512_loadu_ps(x + i)), a);
        b = _mm512_max_ps(_mm512_abs_ps(_mm512_loadu_ps(x + i + W)), b);
    }
    for (; i < n; i += W)
        a = _mm512_max_ps(_mm512_abs_ps(_mm512_maskz_loadu_ps(mask16(n - i), x + i)), a);
    return _mm512_reduce_max_ps(_mm512_max_ps(a, b));
}

static inline __m128i quantise(__m512 x, __m512 inverse)
{
    const __m512 limit = _mm512_set1_ps(127.0f);
    __m512 q = _mm512_max_ps(_mm512_mul_ps(x, inverse), _mm512_set1_ps(-127.0f)); /* NaN too */
    q = _mm512_min_ps(q, limit);
    return _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(q));
}

void kern_prep_int8_avx512vnni(void *prepared, const float *x, size_t x_stride, size_t m, size_t k,
                               size_t m0, size_t m1)
{
    const size_t chunks = kern_chunks(k, KERN_CHUNK_INT8);
    float *scales = prepared;
    int8_t *blocks = (int8_t *)prepared + kern_prep_int8_head(m);
    for (size_t row = m0; row < m1; row++) {
        const float *from = x + row * x_stride;
        int8_t *to = blocks + kern_prep_row(row, chunks);
        const float largest = max_magnitude(from, k);
        const __m512 inverse = _mm512_set1_ps(largest > 0.0f ? 127.0f / largest : 0.0f);
        scales[row] = largest / 127.0f;
        for (size_t i = 0; i < chunks * KERN_CHUNK_INT8; i += W) {
            const __mmask16 mask = i < k ? mask16(k - i) : 0;
            const __m128i q = quantise(_mm512_maskz_loadu_ps(mask, from + i), inverse);
            int8_t *at = to + i / KERN_CHUNK_INT8 * KERN_TILE_BYTES + i % KERN_CHUNK_INT8;
            _mm_store_si128((__m128i *)at, _mm_maskz_mov_epi8(mask, q));
        }
    }
}

/* Round to nearest even, NaN made quiet: the scalar conversion, sixteen at a time. */
static inline __m256i to_bf16(__m512 x)
{
    const __m512i bits = _mm512_castps_si512(x);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i up = _mm512_add_epi32(_mm512_set1_epi32(0x7fff), odd);
    const __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(bits, up), 16);
    const __m512i quiet = _mm512_or_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(0x40));
    const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    return _mm512_cvtepi32_epi16(_mm512_mask_mov_epi32(rounded, nan, quiet));
}

void kern_prep_bf16_avx512vnni(void *prepared, const float *x, size_t x_stride, size_t m, size_t k,
                               size_t m0, size_t m1)
{
    (void)m;
    const size_t chunks = kern_chunks(k, KERN_CHUNK_BF16);
    for (size_t row = m0; row < m1; row++) {
        const float *from = x + row * x_stride;
        char *to = (char *)prepared + kern_prep_row(row, chunks);
        for (size_t i = 0; i < chunks * KERN_CHUNK_BF16; i += W) {
            const __mmask16 mask = i < k ? mask16(k - i) : 0;
            char *at = to + i / KERN_CHUNK_BF16 * KERN_TILE_BYTES + i % KERN_CHUNK_BF16 * 2;
            _mm256_store_si256((__m256i *)at, to_bf16(_mm512_maskz_loadu_ps(mask, from + i)));
        }
    }
}
