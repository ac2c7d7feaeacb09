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

static inline __m512i round_to_int8(__m512 x, __m512 inverse)
{
    const __m512 q = _mm512_max_ps(_mm512_mul_ps(x, inverse),
                                   _mm512_set1_ps(-127.0f)); /* NaN too */
    return _mm512_cvtps_epi32(_mm512_min_ps(q, _mm512_set1_ps(127.0f)));
}

static inline __m128i quantise(__m512 x, __m512 inverse)
{
    return _mm512_cvtsepi32_epi8(round_to_int8(x, inverse));
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

void kern_int8_residual_avx512vnni(float *out, const float *x, size_t n)
{
    const float largest = max_magnitude(x, n);
    const __m512 scale = _mm512_set1_ps(largest / 127.0f);
    const __m512 inverse = _mm512_set1_ps(largest > 0.0f ? 127.0f / largest : 0.0f);
    for (size_t i = 0; i < n; i += W) {
        const __mmask16 mask = mask16(n - i);
        const __m512 value = _mm512_maskz_loadu_ps(mask, x + i);
        const __m512 kept = _mm512_cvtepi32_ps(round_to_int8(value, inverse));
        _mm512_mask_storeu_ps(out + i, mask, _mm512_fnmadd_ps(kept, scale, value));
    }
}

/* 64 columns of a row from `from`, quantised; those from k on are zero. */
static inline __m512i quantise_chunk(const float *row, size_t from, size_t k, __m512 inverse)
{
    __m128i part[4];
    for (size_t i = 0; i < 4; i++) {
        const size_t at = from + i * W;
        const __mmask16 mask = at < k ? mask16(k - at) : 0;
        part[i] = quantise(_mm512_maskz_loadu_ps(mask, row + at), inverse);
    }
    const __m256i low = _mm256_inserti128_si256(_mm256_castsi128_si256(part[0]), part[1], 1);
    const __m256i high = _mm256_inserti128_si256(_mm256_castsi128_si256(part[2]), part[3], 1);
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

/* One panel: a chunk of 16 rows, as quads, is a 16 x 16 matrix that is turned. */
static void pack_panel(int8_t *tiles, float *scales, int32_t *sums, const float *w, size_t w_stride,
                       size_t rows, size_t k)
{
    const size_t chunks = kern_chunks(k, KERN_CHUNK_INT8);
    __m512 inverse[KERN_PANEL];
    for (size_t i = 0; i < KERN_PANEL; i++) {
        const float largest = i < rows ? max_magnitude(w + i * w_stride, k) : 0.0f;
        scales[i] = largest / 127.0f;
        inverse[i] = _mm512_set1_ps(largest > 0.0f ? 127.0f / largest : 0.0f);
    }
    __m512i total = _mm512_setzero_si512();
    for (size_t chunk = 0; chunk < chunks; chunk++, tiles += KERN_TILE_BYTES) {
        __m512i quads[KERN_PANEL];
        for (size_t i = 0; i < KERN_PANEL; i++)
            quads[i] = i < rows ? quantise_chunk(w + i * w_stride, chunk * KERN_CHUNK_INT8, k,
                                                 inverse[i])
                                : _mm512_setzero_si512();
        transpose_16(quads);
        for (size_t i = 0; i < KERN_PANEL; i++) {
            total = _mm512_dpbusd_epi32(total, _mm512_set1_epi8(1), quads[i]);
            _mm512_storeu_si512(tiles + i * 64, quads[i]);
        }
    }
    _mm512_storeu_si512(sums, total);
}

void kern_pack_int8_avx512vnni(void *packed, const float *w, size_t w_stride, size_t n, size_t k,
                               size_t n0, size_t n1)
{
    const size_t panel_bytes = kern_chunks(k, KERN_CHUNK_INT8) * KERN_TILE_BYTES;
    int8_t *tiles = packed;
    float *scales = (float *)(tiles + kern_panels(n) * panel_bytes);
    int32_t *sums = (int32_t *)(scales + kern_panels(n) * KERN_PANEL);
    for (size_t first = n0; first < n1; first += KERN_PANEL)
        pack_panel(tiles + first / KERN_PANEL * panel_bytes, scales + first, sums + first,
                   w + (first - n0) * w_stride, w_stride,
                   n1 - first < KERN_PANEL ? n1 - first : KERN_PANEL, k);
}
