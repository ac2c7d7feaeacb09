/* Attention of one head on AMX: bf16 operands, f32 sums, softmax on line.
 *
 * kern_heads_pack lays a head out in tiles once (T rows, D padded to DP, a multiple of 32):
 *   q  [block of 16 rows][chunk of 32 columns][16][32]    left operand; scaled, see below
 *   k  [panel of 16 keys][chunk of 32 columns][16][16][2] right operand of q k^T: column pairs
 *   v  [chunk of 32 keys][panel of 16 columns][16][16][2] right operand of p v: key pairs
 * Rows beyond T are zero. q carries scale * log2(e), so weights are powers of two of the products.
 *
 * kern_heads_run takes 32 query rows at a time over blocks of 128 keys: scores in f32, weights from
 * there in bf16 tiles, then the values are added to 32 x DP sums. The sums are relative to a
 * maximum that follows the scores lazily: as long as no score exceeds it by 8 (a factor of 256)
 * nothing is rescaled, which after the first block is nearly always. The decision belongs to the
 * row alone and blocks begin at key 0, so splits of the queries change no bits.
 *
 * Tried and left: issuing the next block's products between the exponentials. While tile products
 * are in flight, 512-bit arithmetic runs at one operation a cycle instead of two (measured: 192
 * fused multiply-adds beside 4 products take 59 ns, alone 27), so the phases are kept apart. Also
 * left: 64 rows at a time (keys read half as often, but scores no longer in the first-level cache)
 * and blocks of 64, 96, 256 and 512 keys: all slower.                                            */
#include <math.h>

#include "kern/levels.h"
#include "kern/pack.h"
#include "kern/x86/amx/tiles.h"
#include "kern/x86/avx512vnni/simd.h"

#define ROWS       32  /* queries at a time */
#define KEYS       128 /* keys at a time */
#define KEY_CHUNKS (KEYS / KERN_CHUNK_BF16)
#define MAX_D      128
#define HEADROOM   8.0f
#define LOG2_E     0x1.715476p+0f

/* 2^f on [-1/2, 1/2], degree 3 from Chebyshev nodes: relative error 1e-4, against 2e-3 of bf16. */
#define EXP2_C0 0x1.fff61cp-1f
#define EXP2_C1 0x1.62e2d2p-1f
#define EXP2_C2 0x1.f0ecf8p-3f
#define EXP2_C3 0x1.c96d5ep-5f

struct layout {
    size_t t, d, dp; /* T rounded up to ROWS; columns; columns rounded up to 32 */
    size_t part;     /* bytes of each of q, k and v */
};

static struct layout layout_of(size_t t, size_t d)
{
    struct layout l = {.t = (t + ROWS - 1) / ROWS * ROWS, .d = d, .dp = (d + 31) / 32 * 32};
    l.part = l.t * l.dp * 2;
    return l;
}

size_t kern_heads_packed_bytes_amx(size_t t, size_t d)
{
    size_t bytes;
    if (d > MAX_D || t > SIZE_MAX / 2 || __builtin_mul_overflow(t + ROWS, 3 * 2 * MAX_D, &bytes))
        return 0;
    return 3 * layout_of(t, d).part;
}

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
    const __m512 q_scale = _mm512_set1_ps(scale * LOG2_E);
    char *to = packed + t * l->dp * 2;
    for (size_t c = 0; c < l->dp; c += 32)
        for (size_t i = 0; i < 16; i++)
            _mm512_store_si512(
                to + c / 32 * KERN_TILE_BYTES + i * 64,
                load_32(x + i * stride + c, i < there && l->d > c ? l->d - c : 0, q_scale));
}

static void pack_keys(char *packed, const struct layout *l, const float *x, size_t stride, size_t t,
                      size_t there)
{
    char *to = packed + l->part + t * l->dp * 2;
    for (size_t c = 0; c < l->dp; c += 32) {
        __m512i keys[16];
        for (size_t i = 0; i < 16; i++)
            keys[i] = load_32(x + i * stride + c, i < there && l->d > c ? l->d - c : 0,
                              _mm512_set1_ps(1.0f));
        transpose_16(keys);
        for (size_t i = 0; i < 16; i++)
            _mm512_store_si512(to + c / 32 * KERN_TILE_BYTES + i * 64, keys[i]);
    }
}

static void pack_values(char *packed, const struct layout *l, const float *x, size_t stride,
                        size_t t, size_t there)
{
    for (size_t c = 0; c < l->dp; c += W) {
        const __mmask16 mask = l->d > c ? mask16(l->d - c) : 0;
        char *tile = packed + 2 * l->part + (t / 32 * (l->dp / 16) + c / 16) * KERN_TILE_BYTES +
                     t % 32 * 32;
        for (size_t i = 0; i < 16; i += 2) {
            const __m512 even = _mm512_maskz_loadu_ps(i < there ? mask : 0, x + i * stride + c);
            const __m512 odd = _mm512_maskz_loadu_ps(i + 1 < there ? mask : 0,
                                                     x + (i + 1) * stride + c);
            const __m512i low = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(even));
            const __m512i high = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(odd));
            _mm512_store_si512(tile + i * 32, _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
        }
    }
}

void kern_heads_pack_amx(void *packed, const float *q, const float *k, const float *v,
                         size_t stride, size_t t, size_t d, float scale, size_t t0, size_t t1)
{
    const struct layout l = layout_of(t, d);
    const size_t end = t1 < t ? t1 : l.t; /* the last piece also clears the padding */
    for (size_t row = t0; row < end; row += 16) {
        const size_t there = row >= t1 ? 0 : t1 - row < 16 ? t1 - row : 16;
        const size_t from = there > 0 ? (row - t0) * stride : 0;
        if (q)
            pack_queries(packed, &l, q + from, stride, row, there, scale);
        if (k)
            pack_keys(packed, &l, k + from, stride, row, there);
        if (v)
            pack_values(packed, &l, v + from, stride, row, there);
    }
}

/* 32 queries on their way through the keys. */
struct strip {
    float scores[ROWS * KEYS];     /* [pair of panels][2 x 2 tiles][16][16] */
    uint16_t weights[ROWS * KEYS]; /* [block of 16 rows][chunk of 32 keys][16][32] */
    float sums[ROWS * MAX_D];      /* [group of 32 columns][2 x 2 tiles][16][16] */
    float total[ROWS][W];          /* sums of weights, in lanes */
    float largest[ROWS];           /* what a row's weights are relative to */
};

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
    for (size_t panel = 0; panel < n_panels; panel++, k += chunks * KERN_TILE_BYTES) {
        float *to = out + panel / 2 * 1024 + panel % 2 * 256;
        _tile_zero(0);
        _tile_zero(1);
        _tile_loadd(6, k, 64);
        _tile_dpbf16ps(0, 2, 6);
        _tile_dpbf16ps(1, 3, 6);
        if (two) {
            _tile_loadd(7, k + KERN_TILE_BYTES, 64);
            _tile_dpbf16ps(0, 4, 7);
            _tile_dpbf16ps(1, 5, 7);
        }
        _tile_stored(0, to, 64);
        _tile_stored(1, to + 512, 64);
    }
}

/* The same for any width, 32 keys at a time. */
static inline void score_wide(float *out, const char *q, const char *k, size_t chunks,
                              size_t n_panels)
{
    const size_t block = chunks * KERN_TILE_BYTES;
    for (size_t panel = 0; panel < n_panels; panel += 2, out += 1024, k += 2 * block) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
        for (size_t at = 0; at < block; at += KERN_TILE_BYTES) {
            _tile_loadd(4, q + at, 64);
            _tile_loadd(6, k + at, 64);
            _tile_dpbf16ps(0, 4, 6);
            _tile_loadd(5, q + block + at, 64);
            _tile_dpbf16ps(2, 5, 6);
            _tile_loadd(7, k + block + at, 64);
            _tile_dpbf16ps(1, 4, 7);
            _tile_dpbf16ps(3, 5, 7);
        }
        _tile_stored(0, out, 64);
        _tile_stored(1, out + 256, 64);
        _tile_stored(2, out + 512, 64);
        _tile_stored(3, out + 768, 64);
    }
}

/* sums += weights v over `n_chunks` chunks of 32 keys, one group of 32 columns. */
static inline void value_group(float *sums, const uint16_t *weights, const char *v,
                               size_t v_chunk_bytes, size_t n_chunks)
{
    _tile_loadd(0, sums, 64);
    _tile_loadd(1, sums + 256, 64);
    _tile_loadd(2, sums + 512, 64);
    _tile_loadd(3, sums + 768, 64);
    for (size_t i = 0; i < n_chunks; i++, v += v_chunk_bytes) {
        _tile_loadd(4, weights + i * 512, 64);
        _tile_loadd(6, v, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(5, weights + (KEY_CHUNKS + i) * 512, 64);
        _tile_dpbf16ps(2, 5, 6);
        _tile_loadd(7, v + KERN_TILE_BYTES, 64);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, sums, 64);
    _tile_stored(1, sums + 256, 64);
    _tile_stored(2, sums + 512, 64);
    _tile_stored(3, sums + 768, 64);
}

/* Scores of row r, 16 keys from key `at` of the block. */
static inline const float *score_at(const float *scores, size_t r, size_t at)
{
    return scores + at / 32 * 1024 + (r / 16 * 2 + at / 16 % 2) * 256 + r % 16 * 16;
}

static inline __m512 exp2_512(__m512 x)
{
    const __m512 n = _mm512_roundscale_ps(x, 0);
    const __m512 f = _mm512_sub_ps(x, n);
    __m512 p = _mm512_fmadd_ps(_mm512_set1_ps(EXP2_C3), f, _mm512_set1_ps(EXP2_C2));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(EXP2_C1));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(EXP2_C0));
    return _mm512_scalef_ps(p, n);
}

/* A score is far above what the row counted from: count from it, and correct what was summed. */
static __attribute__((noinline)) void raise_maximum(struct strip *h, size_t r, size_t dp,
                                                    float largest)
{
    const __m512 correction = exp2_512(_mm512_set1_ps(h->largest[r] - largest));
    const bool first = h->largest[r] == -INFINITY; /* nothing was summed yet */
    h->largest[r] = largest;
    if (first)
        return;
    _mm512_store_ps(h->total[r], _mm512_mul_ps(_mm512_load_ps(h->total[r]), correction));
    for (size_t c = 0; c < dp; c += W) {
        float *at = h->sums + c / 32 * 1024 + (r / 16 * 2 + c / 16 % 2) * 256 + r % 16 * 16;
        _mm512_store_ps(at, _mm512_mul_ps(_mm512_load_ps(at), correction));
    }
}

/* Weights of row r from its KEYS scores. */
static inline void soften(struct strip *h, size_t r, size_t dp)
{
    __m512 m = _mm512_load_ps(score_at(h->scores, r, 0));
    for (size_t at = W; at < KEYS; at += W)
        m = _mm512_max_ps(m, _mm512_load_ps(score_at(h->scores, r, at)));
    const __m512 allowed = _mm512_set1_ps(h->largest[r] + HEADROOM);
    if (_mm512_cmp_ps_mask(m, allowed, _CMP_GT_OQ))
        raise_maximum(h, r, dp, _mm512_reduce_max_ps(m));
    const __m512 largest = _mm512_set1_ps(h->largest[r]);
    uint16_t *to = h->weights + r / 16 * KEY_CHUNKS * 512 + r % 16 * 32;
    __m512 total = _mm512_load_ps(h->total[r]);
    for (size_t at = 0; at < KEYS; at += 2 * W) {
        const __m512 x = _mm512_load_ps(score_at(h->scores, r, at));
        const __m512 y = _mm512_load_ps(score_at(h->scores, r, at + W));
        const __m512 low = exp2_512(_mm512_sub_ps(x, largest));
        const __m512 high = exp2_512(_mm512_sub_ps(y, largest));
        total = _mm512_add_ps(total, _mm512_add_ps(low, high));
        _mm512_store_si512(to + at / 32 * 512, two_to_bf16(low, high));
    }
    _mm512_store_ps(h->total[r], total);
}

/* Keys from `n` on are not there: their scores become -infinity, their weights 0. */
static void forget_keys(float *scores, size_t n)
{
    for (size_t r = 0; r < ROWS; r++) {
        for (size_t at = n / W * W; at < KEYS; at += W) {
            float *x = scores + (score_at(scores, r, at) - scores);
            const __mmask16 there = at < n ? mask16(n - at) : 0;
            _mm512_store_ps(
                x, _mm512_mask_mov_ps(_mm512_set1_ps(-INFINITY), there, _mm512_load_ps(x)));
        }
    }
}

static void write_rows(const struct strip *h, float *out, size_t out_stride, size_t first,
                       size_t rows, size_t d)
{
    for (size_t r = first; r < rows; r++) {
        const __m512 inverse = _mm512_set1_ps(1.0f /
                                              _mm512_reduce_add_ps(_mm512_load_ps(h->total[r])));
        for (size_t c = 0; c < d; c += W) {
            const __m512 sum = _mm512_load_ps(h->sums + c / 32 * 1024 +
                                              (r / 16 * 2 + c / 16 % 2) * 256 + r % 16 * 16);
            _mm512_mask_storeu_ps(out + r * out_stride + c, mask16(d - c),
                                  _mm512_mul_ps(sum, inverse));
        }
    }
}

static void strip_begin(struct strip *h, size_t dp)
{
    for (size_t r = 0; r < ROWS; r++)
        h->largest[r] = -INFINITY;
    memset(h->total, 0, sizeof(h->total));
    memset(h->sums, 0, dp * ROWS * sizeof(float));
}

/* The 32 queries from row t on, over all keys. */
static void attend(const char *packed, const struct layout *l, size_t n_keys, size_t t,
                   struct strip *h)
{
    const size_t chunks = l->dp / 32, panel = chunks * KERN_TILE_BYTES, n_pairs = l->t / 32;
    const char *q = packed + t * l->dp * 2, *k = packed + l->part, *v = k + l->part;
    strip_begin(h, l->dp);
    for (size_t key = 0; key < n_keys; key += KEYS) {
        const size_t first = key / 32;
        const size_t pairs = n_pairs - first < KEY_CHUNKS ? n_pairs - first : KEY_CHUNKS;
        if (chunks <= 2)
            score_narrow(h->scores, q, k + first * 2 * panel, chunks, 2 * pairs);
        else
            score_wide(h->scores, q, k + first * 2 * panel, chunks, 2 * pairs);
        if (n_keys - key < KEYS)
            forget_keys(h->scores, n_keys - key);
        for (size_t r = 0; r < ROWS; r++)
            soften(h, r, l->dp);
        for (size_t group = 0; group < chunks; group++)
            value_group(h->sums + group * 1024, h->weights,
                        v + first * 2 * panel + group * 2 * KERN_TILE_BYTES, 2 * panel, pairs);
    }
}

void kern_heads_run_amx(const void *packed, size_t t, size_t d, float *out, size_t out_stride,
                        size_t t0, size_t t1, void *scratch)
{
    const struct layout l = layout_of(t, d);
    /* Weights far below the largest flush to zero: as subnormals each would cost 150 cycles. */
    const unsigned control = _mm_getcsr();
    _mm_setcsr(control | _MM_FLUSH_ZERO_ON);
    tiles_configure(16, 16);
    for (size_t base = t0 / ROWS * ROWS; base < t1; base += ROWS) {
        attend(packed, &l, t, base, scratch);
        write_rows(scratch, out + base * out_stride, out_stride, t0 > base ? t0 - base : 0,
                   t1 - base < ROWS ? t1 - base : ROWS, d);
    }
    _tile_release();
    _mm_setcsr(control);
}
