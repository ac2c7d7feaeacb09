/* Attention of one head on AMX: bf16 operands, f32 sums, softmax on line.
 *
 * Everything is turned: scores are computed as k q^T and results as v^T p^T, so that a register
 * holds one key for 16 queries. A query is then a lane: its largest score, the sum of its weights
 * and its corrections are lanes too, and nothing is ever reduced across a register.
 *
 * kern_heads_pack lays a head out in tiles once (T rows, D padded to DP, a multiple of 32):
 *   q  [block of 16 queries][chunk of 32 columns][16][16][2] right operand: column pairs
 *   k  [panel of 16 keys][chunk of 32 columns][16][32]       left operand
 *   v  [chunk of 32 keys][panel of 16 columns][16][32]       left operand of v^T
 * Rows beyond T are zero. q carries scale * log2(e) * 128.
 *
 * kern_heads_run takes 32 queries at a time. Weights are powers of two, needed in bf16 alone, and
 * a bf16 number is its own logarithm, in 128ths, but for the bend of 2^f over one octave. So a
 * score in 128ths of an octave, with 127 octaves added, is rounded to an integer, cut at 0, and a
 * table of 128 bytes takes the bend away: 11 instructions for 32 weights, relative error 2.7e-3
 * beside the 3.9e-3 of bf16 itself.
 *
 * Weights are relative to a maximum that follows the scores lazily, in whole octaves: as long as no
 * score exceeds it by 8 (a factor of 256) nothing is corrected, which after the first block is
 * nearly always. Blocks begin at key 0 and squares of queries at query 0, so splits change no bits.
 *
 * Scores are softened 64 keys at a time and weights multiplied 128 keys at a time: with that,
 * what a square touches again stays in the first-level cache while keys and values stream past.
 * Measured per 32 queries and 1504 keys, thousand cycles of 2.6 GHz: 25; 32 or 64 keys at once
 * for both 26; 128 for both 30; 256 for both 32. Tried and left: software prefetch of keys or
 * values (30, 32); scores of the next 64 keys and values of the last between the exponentials of
 * these, double buffered, tile stores a step after their products (25 to 27). Exponentials alone
 * take 3 cycles per 32, here they take 6: for some 450 cycles after any tile instruction 256-bit
 * and 512-bit arithmetic runs at one operation a cycle instead of two.                           */
#include <math.h>

#include "kern/levels.h"
#include "kern/pack.h"
#include "kern/x86/amx/tiles.h"
#include "kern/x86/avx512vnni/simd.h"

#define QUERIES    32  /* at a time: two blocks of 16 */
#define SCORE_KEYS 64  /* softened at a time */
#define KEYS       128 /* multiplied with values at a time */
#define CHUNK      32  /* keys or columns of a tile */
#define MAX_D      128
#define OCTAVE     128.0f /* steps of a bf16 number per factor of two */
#define EXPONENT   127.0f /* octaves of 1.0 */
#define HEADROOM   8.0f   /* octaves */
#define LOG2_E     0x1.715476p+0f

/* 128 * (1 + f - 2^f) for f = i / 128. */
static const _Alignas(64) uint8_t bend[128] = {
    0,  0,  1,  1,  1,  1,  2,  2,  2,  3,  3,  3,  3,  4,  4,  4,  4,  5,  5,  5,  5,  6,
    6,  6,  6,  6,  7,  7,  7,  7,  7,  8,  8,  8,  8,  8,  8,  9,  9,  9,  9,  9,  9,  9,
    10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11,
    11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 10, 10, 10, 10, 10, 10,
    10, 10, 10, 9,  9,  9,  9,  9,  9,  9,  8,  8,  8,  8,  8,  7,  7,  7,  7,  7,  6,  6,
    6,  6,  5,  5,  5,  4,  4,  4,  3,  3,  3,  3,  2,  2,  1,  1,  1,  0,
};

struct layout {
    size_t t, d, dp; /* T rounded up to CHUNK; columns; columns rounded up to CHUNK */
    size_t part;     /* bytes of each of q, k and v */
};

static struct layout layout_of(size_t t, size_t d)
{
    struct layout l = {
        .t = (t + CHUNK - 1) / CHUNK * CHUNK, .d = d, .dp = (d + CHUNK - 1) / CHUNK * CHUNK};
    l.part = l.t * l.dp * 2;
    return l;
}

size_t kern_heads_packed_bytes_amx(size_t t, size_t d)
{
    size_t bytes;
    if (d > MAX_D || t > SIZE_MAX / 2 || __builtin_mul_overflow(t + CHUNK, 3 * 2 * MAX_D, &bytes))
        return 0;
    return 3 * layout_of(t, d).part;
}

/* ---- Packing --------------------------------------------------------------------------------- */

static inline __m512i two_to_bf16(__m512 low, __m512 high)
{
    return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

/* 32 columns of a row as bf16; those from `left` on are zero. */
static inline __m512i load_32(const float *row, size_t left, __m512 scale)
{
    const __m512 low = _mm512_maskz_loadu_ps(mask16(left), row);
    const __m512 high = _mm512_maskz_loadu_ps(left > W ? mask16(left - W) : 0, row + W);
    return two_to_bf16(_mm512_mul_ps(low, scale), _mm512_mul_ps(high, scale));
}

/* The block of 16 rows that begins at row t, of which `there` exist. x points at its first row. */
static void pack_queries(char *packed, const struct layout *l, const float *x, size_t stride,
                         size_t t, size_t there, float scale)
{
    const __m512 q_scale = _mm512_set1_ps(scale * LOG2_E * OCTAVE);
    char *to = packed + t * l->dp * 2;
    for (size_t c = 0; c < l->dp; c += CHUNK, to += KERN_TILE_BYTES) {
        __m512i rows[16];
        for (size_t i = 0; i < 16; i++)
            rows[i] = load_32(x + i * stride + c, i < there && l->d > c ? l->d - c : 0, q_scale);
        transpose_16(rows);
        for (size_t i = 0; i < 16; i++)
            _mm512_store_si512(to + i * 64, rows[i]);
    }
}

static void pack_keys(char *packed, const struct layout *l, const float *x, size_t stride, size_t t,
                      size_t there)
{
    char *to = packed + l->part + t * l->dp * 2;
    for (size_t c = 0; c < l->dp; c += CHUNK, to += KERN_TILE_BYTES)
        for (size_t i = 0; i < 16; i++)
            _mm512_store_si512(to + i * 64,
                               load_32(x + i * stride + c, i < there && l->d > c ? l->d - c : 0,
                                       _mm512_set1_ps(1.0f)));
}

/* The chunk of 32 keys that begins at row t. */
static void pack_values(char *packed, const struct layout *l, const float *x, size_t stride,
                        size_t t, size_t there)
{
    char *to = packed + 2 * l->part + t * l->dp * 2;
    for (size_t c = 0; c < l->dp; c += W, to += KERN_TILE_BYTES) {
        const __mmask16 mask = l->d > c ? mask16(l->d - c) : 0;
        __m512i pairs[16];
        for (size_t i = 0; i < 16; i++) {
            const float *row = x + 2 * i * stride + c;
            const __m512 even = _mm512_maskz_loadu_ps(2 * i < there ? mask : 0, row);
            const __m512 odd = _mm512_maskz_loadu_ps(2 * i + 1 < there ? mask : 0, row + stride);
            const __m512i low = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(even));
            const __m512i high = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(odd));
            pairs[i] = _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
        }
        transpose_16(pairs);
        for (size_t i = 0; i < 16; i++)
            _mm512_store_si512(to + i * 64, pairs[i]);
    }
}

/* Rows of the 16 from `row` on that exist, when they end at `end`. */
static inline size_t rows_there(size_t row, size_t end, size_t most)
{
    return row >= end ? 0 : end - row < most ? end - row : most;
}

void kern_heads_pack_amx(void *packed, const float *q, const float *k, const float *v,
                         size_t stride, size_t t, size_t d, float scale, size_t t0, size_t t1)
{
    const struct layout l = layout_of(t, d);
    const size_t end = t1 < t ? t1 : l.t; /* the last piece also clears the padding */
    for (size_t row = t0; row < end; row += 16) {
        const size_t there = rows_there(row, t1, 16);
        const size_t from = there > 0 ? (row - t0) * stride : 0;
        if (q)
            pack_queries(packed, &l, q + from, stride, row, there, scale);
        if (k)
            pack_keys(packed, &l, k + from, stride, row, there);
        if (v && row % CHUNK == 0)
            pack_values(packed, &l, v + from, stride, row, rows_there(row, t1, CHUNK));
    }
}

/* ---- Running --------------------------------------------------------------------------------- */

/* 32 queries on their way through the keys; [2] counts blocks of 16 queries. */
struct strip {
    float scores[SCORE_KEYS * QUERIES]; /* [panel of 16 keys][2][16 keys][16] */
    uint16_t weights[KEYS * QUERIES];   /* [chunk of 32 keys][2][16 pairs of keys][16][2] */
    float sums[MAX_D * QUERIES];        /* [panel of 16 columns][2][16 columns][16] */
    float total[2][W];                  /* sums of weights */
    float largest[2][W]; /* what weights are relative to, in octaves: whole numbers */
};

#define TILE_FLOATS  (KERN_TILE_BYTES / 4)
#define TILE_WEIGHTS (KERN_TILE_BYTES / 2)

size_t kern_heads_scratch_bytes_amx(size_t t, size_t d)
{
    (void)t;
    (void)d;
    return sizeof(struct strip);
}

/* Scores of 32 queries with `n_panels` panels of 16 keys, for heads of up to 64 columns: the
 * queries stay in tiles 2 to 5. */
static inline void score_narrow(float *out, const char *q, const char *k, size_t chunks,
                                size_t n_panels)
{
    const bool two = chunks > 1;
    _tile_loadd(2, q, 64);
    _tile_loadd(3, q + chunks * KERN_TILE_BYTES, 64);
    if (two) {
        _tile_loadd(4, q + KERN_TILE_BYTES, 64);
        _tile_loadd(5, q + 3 * KERN_TILE_BYTES, 64);
    }
    for (size_t panel = 0; panel < n_panels; panel++, out += 2 * TILE_FLOATS) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_stream_loadd(6, k, 64);
        _tile_dpbf16ps(0, 6, 2);
        _tile_dpbf16ps(1, 6, 3);
        if (two) {
            _tile_stream_loadd(7, k + KERN_TILE_BYTES, 64);
            _tile_dpbf16ps(0, 7, 4);
            _tile_dpbf16ps(1, 7, 5);
        }
        _tile_stored(0, out, 64);
        _tile_stored(1, out + TILE_FLOATS, 64);
        k += chunks * KERN_TILE_BYTES;
    }
}

/* The same for any width, 32 keys at a time. */
static inline void score_wide(float *out, const char *q, const char *k, size_t chunks,
                              size_t n_panels)
{
    const size_t block = chunks * KERN_TILE_BYTES;
    for (size_t panel = 0; panel < n_panels; panel += 2, out += 4 * TILE_FLOATS, k += 2 * block) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
        for (size_t at = 0; at < block; at += KERN_TILE_BYTES) {
            _tile_stream_loadd(4, k + at, 64);
            _tile_loadd(6, q + at, 64);
            _tile_dpbf16ps(0, 4, 6);
            _tile_stream_loadd(5, k + block + at, 64);
            _tile_dpbf16ps(2, 5, 6);
            _tile_loadd(7, q + block + at, 64);
            _tile_dpbf16ps(1, 4, 7);
            _tile_dpbf16ps(3, 5, 7);
        }
        _tile_stored(0, out, 64);
        _tile_stored(1, out + TILE_FLOATS, 64);
        _tile_stored(2, out + 2 * TILE_FLOATS, 64);
        _tile_stored(3, out + 3 * TILE_FLOATS, 64);
    }
}

/* sums += v^T weights over `n_chunks` chunks of 32 keys, two panels of 16 columns; the first block
 * of keys begins the sums. */
static inline void add_values(float *sums, const uint16_t *weights, const char *v,
                              size_t v_chunk_bytes, size_t n_chunks, bool first)
{
    if (first) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    } else {
        _tile_loadd(0, sums, 64);
        _tile_loadd(1, sums + TILE_FLOATS, 64);
        _tile_loadd(2, sums + 2 * TILE_FLOATS, 64);
        _tile_loadd(3, sums + 3 * TILE_FLOATS, 64);
    }
    for (size_t i = 0; i < n_chunks; i++, v += v_chunk_bytes, weights += 2 * TILE_WEIGHTS) {
        _tile_stream_loadd(4, v, 64);
        _tile_loadd(6, weights, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_stream_loadd(5, v + KERN_TILE_BYTES, 64);
        _tile_dpbf16ps(2, 5, 6);
        _tile_loadd(7, weights + TILE_WEIGHTS, 64);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, sums, 64);
    _tile_stored(1, sums + TILE_FLOATS, 64);
    _tile_stored(2, sums + 2 * TILE_FLOATS, 64);
    _tile_stored(3, sums + 3 * TILE_FLOATS, 64);
}

/* What turns a score into a weight: constants that live in registers. */
struct softener {
    __m512i bend_low, bend_high, interleave;
    __m512bh one;
};

static inline struct softener softener_make(void)
{
    return (struct softener){
        .bend_low = _mm512_load_si512(bend),
        .bend_high = _mm512_load_si512(bend + 64),
        .interleave = _mm512_broadcast_i32x4(
            _mm_setr_epi8(0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15)),
        .one = (__m512bh)_mm512_set1_epi16(0x3f80),
    };
}

/* Weights of a pair of keys for 16 queries, from two rows of scores; *most follows the largest.
 * A NaN and a score 2^24 octaves above the maximum convert to the smallest integer: weight 0.   */
static inline __m512i weigh(const struct softener *s, const float *pair, __m512 offset,
                            __m512i *most)
{
    const __m512i even = _mm512_cvtps_epi32(_mm512_add_ps(_mm512_load_ps(pair), offset));
    const __m512i odd = _mm512_cvtps_epi32(_mm512_add_ps(_mm512_load_ps(pair + W), offset));
    const __m512i steps = _mm512_shuffle_epi8(_mm512_packus_epi32(even, odd), s->interleave);
    *most = _mm512_max_epu16(*most, steps);
    const __mmask64 low_bytes = 0x5555555555555555U;
    return _mm512_sub_epi16(
        steps, _mm512_maskz_permutex2var_epi8(low_bytes, s->bend_low, steps, s->bend_high));
}

/* Weights of 16 queries (block b) for `panels` panels of keys. False, and nothing is summed, when a
 * score exceeds the maximum by more than the headroom.                                           */
static inline bool soften(struct strip *h, const struct softener *s, size_t b, size_t panels,
                          uint16_t *weights)
{
    const __m512 offset = _mm512_mul_ps(
        _mm512_sub_ps(_mm512_set1_ps(EXPONENT), _mm512_load_ps(h->largest[b])),
        _mm512_set1_ps(OCTAVE));
    const float *scores = h->scores + b * TILE_FLOATS;
    __m512 total[2] = {_mm512_load_ps(h->total[b]), _mm512_setzero_ps()};
    __m512i most[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
    for (size_t panel = 0; panel < panels; panel++, scores += 2 * TILE_FLOATS) {
        uint16_t *to = weights + (panel / 2 * 2 + b) * TILE_WEIGHTS + panel % 2 * 256;
        for (size_t pair = 0; pair < 8; pair += 2) {
            for (size_t i = 0; i < 2; i++) {
                const __m512i w = weigh(s, scores + (pair + i) * 2 * W, offset, &most[i]);
                total[i] = _mm512_dpbf16_ps(total[i], (__m512bh)w, s->one);
                _mm512_store_si512(to + (pair + i) * 2 * W, w);
            }
        }
    }
    const __m512i allowed = _mm512_set1_epi16((short)((EXPONENT + HEADROOM) * OCTAVE));
    if (_mm512_cmpgt_epu16_mask(_mm512_max_epu16(most[0], most[1]), allowed))
        return false;
    _mm512_store_ps(h->total[b], _mm512_add_ps(total[0], total[1]));
    return true;
}

/* The largest scores of block b's queries, in whole octaves, rounded up. */
static inline __m512 largest_scores(const struct strip *h, size_t b, size_t panels)
{
    __m512 largest = _mm512_set1_ps(-INFINITY);
    for (size_t panel = 0; panel < panels; panel++)
        for (size_t i = 0; i < 16; i++)
            largest = _mm512_max_ps(
                _mm512_load_ps(h->scores + (2 * panel + b) * TILE_FLOATS + i * W), largest);
    return _mm512_roundscale_ps(_mm512_mul_ps(largest, _mm512_set1_ps(1.0f / OCTAVE)),
                                _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC);
}

/* Scores are far above what some queries of block b count from: count from those, and correct what
 * was summed and the `n_weights` chunks of weights that wait to be. Powers of two: exact.        */
static __attribute__((noinline)) void raise_maximum(struct strip *h, size_t b, size_t panels,
                                                    size_t dp, size_t n_chunks)
{
    const __m512 old = _mm512_load_ps(h->largest[b]);
    const __m512 seen = largest_scores(h, b, panels);
    const __mmask16 above = _mm512_cmp_ps_mask(seen, _mm512_add_ps(old, _mm512_set1_ps(HEADROOM)),
                                               _CMP_GE_OQ);
    const __m512 largest = _mm512_mask_mov_ps(old, above, seen);
    const __m512 correction = _mm512_scalef_ps(_mm512_set1_ps(1.0f), _mm512_sub_ps(old, largest));
    _mm512_store_ps(h->largest[b], largest);
    _mm512_store_ps(h->total[b], _mm512_mul_ps(_mm512_load_ps(h->total[b]), correction));
    for (size_t c = 0; c < dp; c++) {
        float *at = h->sums + (c / 16 * 2 + b) * TILE_FLOATS + c % 16 * W;
        _mm512_store_ps(at, _mm512_mul_ps(_mm512_load_ps(at), correction));
    }
    for (size_t pair = 0; pair < n_chunks * 16; pair++) {
        uint16_t *at = h->weights + (pair / 16 * 2 + b) * TILE_WEIGHTS + pair % 16 * 2 * W;
        const __m512i w = _mm512_load_si512(at);
        const __m512 even = _mm512_castsi512_ps(_mm512_slli_epi32(w, 16));
        const __m512 odd = _mm512_castsi512_ps(
            _mm512_and_si512(w, _mm512_set1_epi32((int)0xffff0000)));
        const __m512i low = _mm512_castps_si512(_mm512_mul_ps(even, correction));
        const __m512i high = _mm512_castps_si512(_mm512_mul_ps(odd, correction));
        _mm512_store_si512(at,
                           _mm512_mask_blend_epi16(0xaaaaaaaaU, _mm512_srli_epi32(low, 16), high));
    }
}

/* Keys from `n` on are not there: their scores become -infinity, their weights 0. */
static void forget_keys(float *scores, size_t n, size_t end)
{
    for (size_t key = n; key < end; key++) {
        float *at = scores + key / 16 * 2 * TILE_FLOATS + key % 16 * W;
        _mm512_store_ps(at, _mm512_set1_ps(-INFINITY));
        _mm512_store_ps(at + TILE_FLOATS, _mm512_set1_ps(-INFINITY));
    }
}

/* Results of queries [first, rows) of the 32. */
static void write_rows(const struct strip *h, float *out, size_t out_stride, size_t first,
                       size_t rows, size_t d)
{
    for (size_t b = 0; b < 2; b++) {
        const __m512 inverse = _mm512_div_ps(_mm512_set1_ps(1.0f), _mm512_load_ps(h->total[b]));
        for (size_t c = 0; c < d; c += W) {
            const float *sums = h->sums + (c / 16 * 2 + b) * TILE_FLOATS;
            __m512i turned[16];
            for (size_t i = 0; i < 16; i++)
                turned[i] = _mm512_castps_si512(
                    _mm512_mul_ps(_mm512_load_ps(sums + i * W), inverse));
            transpose_16(turned);
            for (size_t i = 0; i < 16; i++)
                if (b * 16 + i >= first && b * 16 + i < rows)
                    _mm512_mask_storeu_epi32(out + (b * 16 + i) * out_stride + c, mask16(d - c),
                                             turned[i]);
        }
    }
}

/* Weights of 32 queries for SCORE_KEYS keys, of which `n` are there, from their scores. `chunks` of
 * weights came before them in this block, and `summed`: a block came before it.                  */
static inline void soften_strip(struct strip *h, const struct softener *s, size_t n, size_t dp,
                                size_t chunks, bool summed)
{
    const size_t panels = (n + CHUNK - 1) / CHUNK * 2;
    forget_keys(h->scores, n, panels * 16);
    for (size_t b = 0; b < 2; b++) {
        uint16_t *weights = h->weights + chunks * 2 * TILE_WEIGHTS;
        if (chunks == 0 && !summed) /* the first keys of all */
            _mm512_store_ps(h->largest[b], largest_scores(h, b, panels));
        if (!soften(h, s, b, panels, weights)) {
            raise_maximum(h, b, panels, summed ? dp : 0, chunks);
            (void)soften(h, s, b, panels, weights);
        }
    }
}

/* The 32 queries from row t on, over all keys. */
static void attend(const char *packed, const struct layout *l, size_t n_keys, size_t t,
                   struct strip *h)
{
    const struct softener s = softener_make();
    const size_t row_bytes = l->dp * 2, chunks = l->dp / CHUNK;
    const char *q = packed + t * row_bytes, *k = packed + l->part, *v = k + l->part;
    memset(h->total, 0, sizeof(h->total));
    for (size_t key = 0; key < n_keys; key += KEYS) {
        const size_t end = key + KEYS < n_keys ? key + KEYS : n_keys;
        for (size_t at = key; at < end; at += SCORE_KEYS) {
            const size_t n = end - at < SCORE_KEYS ? end - at : SCORE_KEYS;
            const size_t panels = (n + CHUNK - 1) / CHUNK * 2;
            if (chunks <= 2)
                score_narrow(h->scores, q, k + at * row_bytes, chunks, panels);
            else
                score_wide(h->scores, q, k + at * row_bytes, chunks, panels);
            soften_strip(h, &s, n, l->dp, (at - key) / CHUNK, key > 0);
        }
        for (size_t group = 0; group < chunks; group++)
            add_values(h->sums + group * 4 * TILE_FLOATS, h->weights,
                       v + key * row_bytes + group * 2 * KERN_TILE_BYTES, CHUNK * row_bytes,
                       (end - key + CHUNK - 1) / CHUNK, key == 0);
    }
}

/* Rows that will be written when all keys have passed: they come from far away, and all at once. */
static void fetch_rows(const float *out, size_t out_stride, size_t rows, size_t d)
{
    for (size_t row = 0; row < rows; row++, out += out_stride)
        for (size_t c = 0; c < d; c += W)
            __builtin_prefetch(out + c, 1);
}

void kern_heads_run_amx(const void *packed, size_t t, size_t d, float *out, size_t out_stride,
                        size_t t0, size_t t1, void *scratch)
{
    const struct layout l = layout_of(t, d);
    tiles_configure(16, 16);
    for (size_t base = t0 / QUERIES * QUERIES; base < t1; base += QUERIES) {
        fetch_rows(out + base * out_stride, out_stride, t1 - base < QUERIES ? t1 - base : QUERIES,
                   d);
        attend(packed, &l, t, base, scratch);
        write_rows(scratch, out + base * out_stride, out_stride, t0 > base ? t0 - base : 0,
                   t1 - base < QUERIES ? t1 - base : QUERIES, d);
    }
    _tile_release();
}
