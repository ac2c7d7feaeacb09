/* Preparing activations for AVX2: rows to int8 or bf16 in tile order (kern/pack.h). */
#include "kern/levels.h"
#include "kern/pack.h"
#include "kern/x86/avx2/simd.h"

static float max_magnitude(const float *x, size_t n)
{
    const __m256 sign = _mm256_set1_ps(-0.0f);
    __m256 largest = _mm256_setzero_ps(); /* a NaN as first operand leaves the second */
    for (size_t i = 0; i < n; i += W)
        largest = _mm256_max_ps(_mm256_andnot_ps(sign, load8(x + i, n - i)), largest);
    return max256(largest);
}

/* Eight columns from i; zeros from n on. */
static inline __m256 load_padded(const float *x, size_t i, size_t n)
{
    return i < n ? load8(x + i, n - i) : _mm256_setzero_ps();
}

static inline __m256i quantise(__m256 x, __m256 inverse)
{
    __m256 q = _mm256_max_ps(_mm256_mul_ps(x, inverse), _mm256_set1_ps(-127.0f)); /* NaN too */
    return _mm256_cvtps_epi32(_mm256_min_ps(q, _mm256_set1_ps(127.0f)));
}

static inline void quantise_row(int8_t *to, const float *x, size_t k, float largest)
{
    const __m256 inverse = _mm256_set1_ps(largest > 0.0f ? 127.0f / largest : 0.0f);
    for (size_t i = 0; i < kern_chunks(k, KERN_CHUNK_INT8) * KERN_CHUNK_INT8; i += 2 * W) {
        const __m256i low = quantise(load_padded(x, i, k), inverse);
        const __m256i high = quantise(load_padded(x, i + W, k), inverse);
        const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0xd8);
        const __m128i bytes = _mm_packs_epi16(_mm256_castsi256_si128(words),
                                              _mm256_extracti128_si256(words, 1));
        int8_t *at = to + i / KERN_CHUNK_INT8 * KERN_TILE_BYTES + i % KERN_CHUNK_INT8;
        _mm_storeu_si128((__m128i *)at, bytes);
    }
}

static inline void residual(float *out, const float *x, size_t n, float largest)
{
    const __m256 scale = _mm256_set1_ps(largest / 127.0f);
    const __m256 inverse = _mm256_set1_ps(largest > 0.0f ? 127.0f / largest : 0.0f);
    for (size_t i = 0; i < n; i += W) {
        const __m256 value = load8(x + i, n - i);
        const __m256 kept = _mm256_cvtepi32_ps(quantise(value, inverse));
        store8(out + i, n - i, _mm256_fnmadd_ps(kept, scale, value));
    }
}

#include "kern/generic/pairs_body.h"

void kern_prep_int8_avx2(void *prepared, const float *x, size_t x_stride, size_t m, size_t k,
                         size_t m0, size_t m1)
{
    const size_t chunks = kern_chunks(k, KERN_CHUNK_INT8);
    float *scales = prepared;
    int8_t *blocks = (int8_t *)prepared + kern_prep_int8_head(m);
    for (size_t row = m0; row < m1; row++) {
        const float *from = x + row * x_stride;
        const float largest = max_magnitude(from, k);
        scales[row] = largest / 127.0f;
        quantise_row(blocks + kern_prep_row(row, chunks), from, k, largest);
    }
}

void kern_prep_int8_pairs_avx2(void *prepared, const float *x, size_t x_stride, size_t m, size_t k,
                               size_t i0, size_t i1)
{
    prepare_pairs(prepared, x, x_stride, m, k, i0, i1);
}

/* Round to nearest even, NaN made quiet: the scalar conversion, eight at a time. */
static inline __m128i to_bf16(__m256 x)
{
    const __m256i bits = _mm256_castps_si256(x), high = _mm256_srli_epi32(bits, 16);
    const __m256i odd = _mm256_and_si256(high, _mm256_set1_epi32(1));
    const __m256i up = _mm256_add_epi32(_mm256_set1_epi32(0x7fff), odd);
    const __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(bits, up), 16);
    const __m256i quiet = _mm256_or_si256(high, _mm256_set1_epi32(0x40));
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    const __m256i chosen = _mm256_blendv_epi8(rounded, quiet, nan);
    return _mm_packus_epi32(_mm256_castsi256_si128(chosen), _mm256_extracti128_si256(chosen, 1));
}

void kern_prep_bf16_avx2(void *prepared, const float *x, size_t x_stride, size_t m, size_t k,
                         size_t m0, size_t m1)
{
    (void)m;
    const size_t chunks = kern_chunks(k, KERN_CHUNK_BF16);
    for (size_t row = m0; row < m1; row++) {
        char *to = (char *)prepared + kern_prep_row(row, chunks);
        for (size_t i = 0; i < chunks * KERN_CHUNK_BF16; i += W) {
            char *at = to + i / KERN_CHUNK_BF16 * KERN_TILE_BYTES + i % KERN_CHUNK_BF16 * 2;
            _mm_storeu_si128((__m128i *)at, to_bf16(load_padded(x + row * x_stride, i, k)));
        }
    }
}

void kern_int8_residual_avx2(float *out, const float *x, size_t n)
{
    residual(out, x, n, max_magnitude(x, n));
}
