/* Attention of one head on AMX: bf16 operands, f32 sums, softmax on line.
 *
 * kern_heads_pack lays a head out in tiles once (T rows, D padded to DP, a multiple of 32):
 *   q  [block of 16 rows][chunk of 32 columns][16][32]    left operand; scaled, see below
 *   k  [panel of 16 keys][chunk of 32 columns][16][16][2] right operand of q k^T: column pairs
 *   v  [chunk of 32 keys][panel of 16 columns][16][16][2] right operand of p v: key pairs
 * Rows beyond T are zero. q carries scale * log2(e), so weights are powers of two of the products.
 *
 * kern_heads_run takes 32 query rows at a time over blocks of 128 keys: scores into 16 KiB of
 * f32, weights from there into 8 KiB of bf16 tiles, then the values are added to 32 x DP sums.
 * The sums are relative to a maximum that follows the scores lazily: as long as no score exceeds
 * it by 8 (a factor of 256) nothing is rescaled, which after the first block is nearly always.
 * The decision belongs to the row alone and blocks begin at key 0, so splits of the queries
 * change no bits. The products of the next block are issued between the exponentials of the
 * present one: the matrix unit works in the shadow of the vector units, which have more to do.   */
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

/* Rows of the block of 16 that begins at row t: `there` of them exist. */
static void pack_block(char *packed, const struct layout *l, const float *q, const float *k,
                       const float *v, size_t stride, size_t t, size_t there, float scale)
{
    const __m512 one = _mm512_set1_ps(1.0f), q_scale = _mm512_set1_ps(scale * LOG2_E);
    const size_t chunks = l->dp / 32;
    char *q_at = packed + t * l->dp * 2, *k_at = packed + l->part + t * l->dp * 2;
    for (size_t chunk = 0; chunk < chunks; chunk++) {
        const size_t c = chunk * 32, left = l->d > c ? l->d - c : 0;
        __m512i keys[16];
        for (size_t i = 0; i < 16; i++) {
            const size_t at = i * stride + c, n = i < there ? left : 0;
            _mm512_store_si512(q_at + chunk * KERN_TILE_BYTES + i * 64,
                               load_32(q + at, n, q_scale));
            keys[i] = load_32(k + at, n, one);
        }
        transpose_16(keys);
        for (size_t i = 0; i < 16; i++)
            _mm512_store_si512(k_at + chunk * KERN_TILE_BYTES + i * 64, keys[i]);
    }
    for (size_t c = 0; c < l->dp; c += W) {
        const __mmask16 mask = l->d > c ? mask16(l->d - c) : 0;
        char *tile = packed + 2 * l->part + (t / 32 * (l->dp / 16) + c / 16) * KERN_TILE_BYTES +
                     t % 32 * 32;
        for (size_t i = 0; i < 16; i += 2) {
            const __m512 even = _mm512_maskz_loadu_ps(i < there ? mask : 0, v + i * stride + c);
            const __m512 odd = _mm512_maskz_loadu_ps(i + 1 < there ? mask : 0,
                                                     v + (i + 1) * stride + c);
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
        pack_block(packed, &l, q + from, k + from, v + from, stride, row, there, scale);
    }
}

/* What one call works in; two score buffers, as the next block's are made while one is read. */
struct scratch {
    float scores[2][ROWS * KEYS];  /* [pair of panels][2 x 2 tiles][16][16] */
    uint16_t weights[ROWS * KEYS]; /* [block of 16 rows][chunk of 32 keys][16][32] */
    float sums[ROWS * MAX_D];      /* [group of 32 columns][2 x 2 tiles][16][16] */
};

size_t kern_heads_scratch_bytes_amx(size_t t, size_t d)
{
    (void)t;
    (void)d;
    return sizeof(struct scratch);
}

/* Scores of 32 queries with 32 keys: one pair of panels. */
static inline void score_pair(float *out, const char *q, const char *k, size_t chunks)
{
    const size_t block = chunks * KERN_TILE_BYTES;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (size_t chunk = 0; chunk < chunks; chunk++, q += KERN_TILE_BYTES, k += KERN_TILE_BYTES) {
        _tile_loadd(4, q, 64);
        _tile_loadd(6, k, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(5, q + block, 64);
        _tile_dpbf16ps(2, 5, 6);
        _tile_loadd(7, k + block, 64);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, out, 64);
    _tile_stored(1, out + 256, 64);
    _tile_stored(2, out + 512, 64);
    _tile_stored(3, out + 768, 64);
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

struct softmax {
    float largest[ROWS]; /* what the row's weights are relative to */
    __m512 total[ROWS];
};

/* A score is far above what the row counted from: count from it, and correct what was summed. */
static __attribute__((noinline)) void raise_maximum(struct softmax *s, float *sums, size_t r,
                                                    size_t dp, float largest)
{
    const __m512 correction = exp2_512(_mm512_set1_ps(s->largest[r] - largest));
    if (s->largest[r] == -INFINITY) {
        s->largest[r] = largest; /* nothing was summed yet */
        return;
    }
    s->largest[r] = largest;
    s->total[r] = _mm512_mul_ps(s->total[r], correction);
    for (size_t c = 0; c < dp; c += W) {
        float *at = sums + c / 32 * 1024 + (r / 16 * 2 + c / 16 % 2) * 256 + r % 16 * 16;
        _mm512_storeu_ps(at, _mm512_mul_ps(_mm512_loadu_ps(at), correction));
    }
}

/* Weights of row r from its KEYS scores. `missing` counts keys at the end that are not there. */
static inline void soften(struct softmax *s, struct scratch *scratch, const float *scores, size_t r,
                          size_t dp)
{
    __m512 x[KEYS / W];
    for (size_t i = 0; i < KEYS / W; i++)
        x[i] = _mm512_load_ps(score_at(scores, r, i * W));
    __m512 m = _mm512_max_ps(_mm512_max_ps(_mm512_max_ps(x[0], x[1]), _mm512_max_ps(x[2], x[3])),
                             _mm512_max_ps(_mm512_max_ps(x[4], x[5]), _mm512_max_ps(x[6], x[7])));
    const __m512 allowed = _mm512_set1_ps(s->largest[r] + HEADROOM);
    if (_mm512_cmp_ps_mask(m, allowed, _CMP_GT_OQ))
        raise_maximum(s, scratch->sums, r, dp, _mm512_reduce_max_ps(m));
    const __m512 largest = _mm512_set1_ps(s->largest[r]);
    uint16_t *to = scratch->weights + r / 16 * KEY_CHUNKS * 512 + r % 16 * 32;
    __m512 total = s->total[r];
    for (size_t i = 0; i < KEYS / W; i += 2) {
        const __m512 low = exp2_512(_mm512_sub_ps(x[i], largest));
        const __m512 high = exp2_512(_mm512_sub_ps(x[i + 1], largest));
        total = _mm512_add_ps(total, _mm512_add_ps(low, high));
        _mm512_store_si512(to + i / 2 * 512, two_to_bf16(low, high));
    }
    s->total[r] = total;
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

static void write_rows(const struct scratch *scratch, const struct softmax *s, float *out,
                       size_t out_stride, size_t first, size_t rows, size_t d)
{
    for (size_t r = first; r < rows; r++) {
        const __m512 inverse = _mm512_set1_ps(1.0f / _mm512_reduce_add_ps(s->total[r]));
        for (size_t c = 0; c < d; c += W) {
            const __m512 sum = _mm512_load_ps(scratch->sums + c / 32 * 1024 +
                                              (r / 16 * 2 + c / 16 % 2) * 256 + r % 16 * 16);
            _mm512_mask_storeu_ps(out + r * out_stride + c, mask16(d - c),
                                  _mm512_mul_ps(sum, inverse));
        }
    }
}

/* Queries [first, rows) of the 32 that begin at row t; out points at row t. */
static void attend(const char *packed, const struct layout *l, size_t n_keys, size_t t,
                   size_t first, size_t rows, float *out, size_t out_stride,
                   struct scratch *scratch)
{
    const size_t chunks = l->dp / 32, panel = chunks * KERN_TILE_BYTES;
    const char *q = packed + t * l->dp * 2, *k = packed + l->part, *v = k + l->part;
    const size_t n_pairs = l->t / 32;
    struct softmax s;
    for (size_t r = 0; r < ROWS; r++) {
        s.largest[r] = -INFINITY;
        s.total[r] = _mm512_setzero_ps();
    }
    memset(scratch->sums, 0, l->dp * ROWS * sizeof(float));
    for (size_t pair = 0; pair < KEYS / 32 && pair < n_pairs; pair++)
        score_pair(scratch->scores[0] + pair * 1024, q, k + pair * 2 * panel, chunks);
    for (size_t key = 0, turn = 0; key < n_keys; key += KEYS, turn ^= 1) {
        float *scores = scratch->scores[turn];
        if (n_keys - key < KEYS)
            forget_keys(scores, n_keys - key);
        for (size_t r = 0; r < ROWS; r++) {
            const size_t pair = (key + KEYS) / 32 + r / 8;
            if (r % 8 == 0 && pair < n_pairs)
                score_pair(scratch->scores[turn ^ 1] + r / 8 * 1024, q, k + pair * 2 * panel,
                           chunks);
            soften(&s, scratch, scores, r, l->dp);
        }
        const size_t left = (n_keys - key + 31) / 32;
        const size_t n_chunks = left < KEY_CHUNKS ? left : KEY_CHUNKS;
        for (size_t group = 0; group < chunks; group++)
            value_group(scratch->sums + group * 1024, scratch->weights,
                        v + key / 32 * 2 * panel + group * 2 * KERN_TILE_BYTES, 2 * panel,
                        n_chunks);
    }
    write_rows(scratch, &s, out, out_stride, first, rows, l->d);
}

void kern_heads_run_amx(const void *packed, size_t t, size_t d, float *out, size_t out_stride,
                        size_t t0, size_t t1, void *scratch)
{
    const struct layout l = layout_of(t, d);
    tiles_configure(16, 16);
    for (size_t row = t0; row < t1;) {
        const size_t base = row / ROWS * ROWS;
        const size_t end = base + ROWS < t1 ? base + ROWS : t1;
        attend(packed, &l, t, base, row - base, end - base, out + base * out_stride, out_stride,
               scratch);
        row = end;
    }
    _tile_release();
}
