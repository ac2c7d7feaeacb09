/* Preparing activations for AVX-512 and AMX: rows to int8 or bf16 in tile order (kern/pack.h). */
#include "kern/x86/avx512vnni/quant.h"
#include "kern/levels.h"
#include "kern/pack.h"

static inline void quantise_row(int8_t *to, const float *x, size_t k, float largest)
{
    const __m512 inverse = _mm512_set1_ps(largest > 0.0f ? 127.0f / largest : 0.0f);
    for (size_t i = 0; i < k; i += KERN_CHUNK_INT8, to += KERN_TILE_BYTES)
        _mm512_store_si512(to, quantise_chunk(x + i, k - i, inverse));
}

static inline void residual(float *out, const float *x, size_t n, float largest)
{
    const __m512 scale = _mm512_set1_ps(largest / 127.0f);
    const __m512 inverse = _mm512_set1_ps(largest > 0.0f ? 127.0f / largest : 0.0f);
    for (size_t i = 0; i < n; i += W) {
        const __mmask16 mask = mask16(n - i);
        const __m512 value = _mm512_maskz_loadu_ps(mask, x + i);
        const __m512i rounded = _mm512_max_epi32(round_to_int(value, inverse),
                                                 _mm512_set1_epi32(-127));
        const __m512 kept = _mm512_cvtepi32_ps(rounded);
        _mm512_mask_storeu_ps(out + i, mask, _mm512_fnmadd_ps(kept, scale, value));
    }
}

#include "kern/generic/pairs_body.h"

/* A pair in two passes, for rows whose rest lies on the stack at once; the bits of prepare_pair. */
static inline void prepare_pair_at_once(int8_t *high, int8_t *low, const float *x, size_t k,
                                        float largest, float *scale_low)
{
    _Alignas(64) float rest[REST_COLUMNS];
    const __m512 scale = _mm512_set1_ps(largest / 127.0f);
    const __m512 inverse = _mm512_set1_ps(largest > 0.0f ? 127.0f / largest : 0.0f);
    __m512 most = _mm512_setzero_ps();
    for (size_t i = 0; i < k; i += KERN_CHUNK_INT8, high += KERN_TILE_BYTES) {
        __m512i part[4];
        for (size_t j = 0; j < 4; j++) {
            const size_t at = i + j * W;
            const __m512 value = _mm512_maskz_loadu_ps(at < k ? mask16(k - at) : 0, x + at);
            part[j] = _mm512_max_epi32(round_to_int(value, inverse), _mm512_set1_epi32(-127));
            const __m512 left = _mm512_fnmadd_ps(_mm512_cvtepi32_ps(part[j]), scale, value);
            most = larger_magnitude(most, left);
            _mm512_store_ps(rest + at, left);
        }
        _mm512_store_si512(high, pack_bytes(part));
    }
    const float most_of_all = _mm512_reduce_max_ps(most);
    quantise_row(low, rest, k, most_of_all);
    *scale_low = most_of_all / 127.0f;
}

void kern_prep_int8_avx512vnni(void *prepared, const float *x, size_t x_stride, size_t m, size_t k,
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

void kern_prep_int8_pairs_avx512vnni(void *prepared, const float *x, size_t x_stride, size_t m,
                                     size_t k, size_t i0, size_t i1)
{
    const size_t chunks = kern_chunks(k, KERN_CHUNK_INT8);
    float *scales = prepared;
    int8_t *blocks = (int8_t *)prepared + kern_prep_int8_head(m);
    if (k > REST_COLUMNS) {
        prepare_pairs(prepared, x, x_stride, m, k, i0, i1);
        return;
    }
    for (size_t i = i0; i < i1; i++) {
        const float largest = max_magnitude(x + i * x_stride, k);
        scales[2 * i] = largest / 127.0f;
        prepare_pair_at_once(blocks + kern_prep_row(2 * i, chunks),
                             blocks + kern_prep_row(2 * i + 1, chunks), x + i * x_stride, k,
                             largest, &scales[2 * i + 1]);
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
    residual(out, x, n, max_magnitude(x, n));
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
            quads[i] = i < rows ? quantise_chunk(w + i * w_stride + chunk * KERN_CHUNK_INT8,
                                                 k - chunk * KERN_CHUNK_INT8, inverse[i])
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
