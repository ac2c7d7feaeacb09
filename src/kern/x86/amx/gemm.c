/* int8 and bf16 matrix products on AMX tiles.
 *
 * A square of 32 rows by 32 outputs lives in four accumulator tiles; each step over k loads two
 * tiles of activations and two of weights (1 KiB each, contiguous in memory) for four tile products
 * of 16 cycles. The 32 rows stay in the first-level cache while weights stream past: they are
 * loaded with the hint that they are used once (TILELOADDT1), which keeps them from pushing the
 * rows out. A step whose rows are 32 KiB takes 65 cycles of 2.6 GHz with it and 81 without.
 * Finished accumulators pass through a 4 KiB buffer to vector code, which overlaps with the next
 * square's products by out-of-order execution.
 *
 * A square of fewer rows uses a smaller tile shape; sums are the same in any shape: exact for
 * int8, and in the fixed order of the instruction, k ascending by chunk, for bf16.               */
#include "kern/levels.h"
#include "kern/pack.h"
#include "kern/x86/amx/tiles.h"
#include "kern/x86/avx512vnni/finish.h"

#define SQUARE   32
#define L2_BYTES (384 << 10) /* of weights that rows pass over before the next ones come */

/* Sums of a square of `high` x `wide` tiles (1 or 2 each) into acc, 16 x 16 elements per tile. */
__attribute__((always_inline)) static inline void multiply(const char *x, const char *w,
                                                           size_t block_bytes, size_t chunks,
                                                           void *acc, const int high,
                                                           const int wide, const bool bytes)
{
    _tile_zero(0);
    if (wide > 1)
        _tile_zero(1);
    if (high > 1)
        _tile_zero(2);
    if (high > 1 && wide > 1)
        _tile_zero(3);
    for (size_t chunk = 0; chunk < chunks; chunk++, x += KERN_TILE_BYTES, w += KERN_TILE_BYTES) {
        _tile_loadd(6, w, 64);
        _tile_loadd(4, x, 64);
        if (bytes)
            _tile_dpbssd(0, 4, 6);
        else
            _tile_dpbf16ps(0, 4, 6);
        if (high > 1) {
            _tile_loadd(5, x + block_bytes, 64);
            if (bytes)
                _tile_dpbssd(2, 5, 6);
            else
                _tile_dpbf16ps(2, 5, 6);
        }
        if (wide > 1) {
            _tile_loadd(7, w + block_bytes, 64);
            if (bytes)
                _tile_dpbssd(1, 4, 7);
            else
                _tile_dpbf16ps(1, 4, 7);
        }
        if (high > 1 && wide > 1) {
            if (bytes)
                _tile_dpbssd(3, 5, 7);
            else
                _tile_dpbf16ps(3, 5, 7);
        }
    }
    _tile_stored(0, acc, 64);
    if (wide > 1)
        _tile_stored(1, (char *)acc + KERN_TILE_BYTES, 64);
    if (high > 1)
        _tile_stored(2, (char *)acc + 2 * KERN_TILE_BYTES, 64);
    if (high > 1 && wide > 1)
        _tile_stored(3, (char *)acc + 3 * KERN_TILE_BYTES, 64);
}

/* Vector part of rows [first, rows) of a square: scale (int8), then bias, activation, residual. */
__attribute__((always_inline)) static inline void finish_square(const struct kern_gemm_job *job,
                                                                const void *acc, size_t m,
                                                                size_t first, size_t rows, size_t n,
                                                                size_t n1, const bool bytes)
{
    const float *w_scales = bytes ? kern_pack_int8_scales(job->w, job->n, job->k) : NULL;
    for (size_t wide = 0; wide < 2 && n + wide * 16 < n1; wide++) {
        const size_t at = n + wide * 16;
        const __mmask16 mask = mask16(n1 - at);
        const __m512 w_scale = bytes ? _mm512_loadu_ps(w_scales + at) : _mm512_setzero_ps();
        __m512 last = _mm512_setzero_ps();
        for (size_t r = first; r < rows; r++) {
            const char *row = (const char *)acc + (r / 16 * 2 + wide) * KERN_TILE_BYTES +
                              r % 16 * 64;
            __m512 sum;
            if (bytes) {
                const __m512 scale = _mm512_mul_ps(_mm512_set1_ps(((const float *)job->x)[m + r]),
                                                   w_scale);
                sum = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_load_si512(row)), scale);
            } else {
                sum = _mm512_load_ps(row);
            }
            if (!job->pairs)
                finish512(job, sum, m + r, at, mask);
            else if (r % 2 == 1)
                finish512(job, _mm512_add_ps(last, sum), (m + r) / 2, at, mask);
            last = sum;
        }
    }
}

/* What a square is of. */
enum kind { BF16, INT8, INT8_PAIRS };

/* A whole square whose sums wait in memory to be finished, two registers (one row) at a time. */
struct pending {
    const char *acc; /* four tiles; NULL: nothing waits */
    const float *x_scales;
    const float *residual;
    float *out;
    __m512 w_scale[2], bias[2];
};

__attribute__((always_inline)) static inline void pending_begin(struct pending *p,
                                                                const struct kern_gemm_job *job,
                                                                const char *acc, size_t m, size_t n,
                                                                const enum kind kind)
{
    p->acc = acc;
    const size_t row = kind == INT8_PAIRS ? m / 2 : m;
    const size_t at = row * job->out_stride + n - job->n_base;
    p->out = job->out + at;
    p->residual = job->residual ? job->residual + at : NULL;
    for (size_t wide = 0; wide < 2; wide++)
        p->bias[wide] = job->bias ? _mm512_loadu_ps(job->bias + n + wide * W) : _mm512_setzero_ps();
    if (kind != BF16) {
        const float *scales = kern_pack_int8_scales(job->w, job->n, job->k) + n;
        p->x_scales = (const float *)job->x + m;
        p->w_scale[0] = _mm512_loadu_ps(scales);
        p->w_scale[1] = _mm512_loadu_ps(scales + W);
    }
}

__attribute__((always_inline)) static inline __m512 pending_sums(const struct pending *p, size_t r,
                                                                 size_t wide, const enum kind kind)
{
    const char *row = p->acc + (r / 16 * 2 + wide) * KERN_TILE_BYTES + r % 16 * 64;
    if (kind == BF16)
        return _mm512_load_ps(row);
    const __m512 scale = _mm512_mul_ps(_mm512_set1_ps(p->x_scales[r]), p->w_scale[wide]);
    return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_load_si512(row)), scale);
}

__attribute__((always_inline)) static inline void pending_row(const struct pending *p,
                                                              size_t stride, size_t r,
                                                              const enum kind kind, const bool gelu,
                                                              const bool residual)
{
    if (kind == INT8_PAIRS && r % 2 == 0)
        return; /* with the next one */
    for (size_t wide = 0; wide < 2; wide++) {
        const size_t at = (kind == INT8_PAIRS ? r / 2 : r) * stride + wide * W;
        __m512 v = pending_sums(p, r, wide, kind);
        if (kind == INT8_PAIRS)
            v = _mm512_add_ps(pending_sums(p, r - 1, wide, kind), v);
        v = _mm512_add_ps(v, p->bias[wide]);
        if (gelu)
            v = gelu512(v);
        if (residual)
            v = _mm512_add_ps(v, _mm512_loadu_ps(p->residual + at));
        _mm512_storeu_ps(p->out + at, v);
    }
}

/* Sums of one whole square, while `p` is finished between the tile products: `per_chunk` rows of it
 * for every step over k, so that the vector units work in the shadow of the matrix unit.        */
__attribute__((always_inline)) static inline void multiply_and_finish(
    const char *x, const char *w, size_t block_bytes, size_t chunks, char *acc,
    const struct pending *p, size_t stride, size_t per_chunk, const enum kind kind, const bool gelu,
    const bool residual)
{
    size_t row = p->acc ? 0 : SQUARE;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (size_t chunk = 0; chunk < chunks; chunk++, x += KERN_TILE_BYTES, w += KERN_TILE_BYTES) {
        _tile_stream_loadd(6, w, 64);
        _tile_loadd(4, x, 64);
        if (kind != BF16) {
            _tile_dpbssd(0, 4, 6);
            _tile_loadd(5, x + block_bytes, 64);
            _tile_dpbssd(2, 5, 6);
            _tile_stream_loadd(7, w + block_bytes, 64);
            _tile_dpbssd(1, 4, 7);
            _tile_dpbssd(3, 5, 7);
        } else {
            _tile_loadd(5, x + block_bytes, 64);
            _tile_stream_loadd(7, w + block_bytes, 64);
            _tile_dpbf16ps(0, 4, 6);
            _tile_dpbf16ps(2, 5, 6);
            _tile_dpbf16ps(1, 4, 7);
            _tile_dpbf16ps(3, 5, 7);
        }
        const size_t end = row + per_chunk < SQUARE ? row + per_chunk : SQUARE;
        for (; row < end; row++)
            pending_row(p, stride, row, kind, gelu, residual);
    }
    _tile_stored(0, acc, 64);
    _tile_stored(1, acc + KERN_TILE_BYTES, 64);
    _tile_stored(2, acc + 2 * KERN_TILE_BYTES, 64);
    _tile_stored(3, acc + 3 * KERN_TILE_BYTES, 64);
}

/* The whole squares of a product: rows [m0, m1) and outputs [n0, n1), multiples of SQUARE. */
__attribute__((always_inline)) static inline void squares(const struct kern_gemm_job *job,
                                                          const char *blocks, size_t chunks,
                                                          size_t m0, size_t m1, size_t n0,
                                                          size_t n1, const enum kind kind,
                                                          const bool gelu, const bool residual)
{
    _Alignas(64) char acc[2][4 * KERN_TILE_BYTES];
    const size_t block_bytes = chunks * KERN_TILE_BYTES;
    const size_t per_chunk = (SQUARE + chunks - 1) / chunks;
    struct pending p = {0};
    int turn = 0;
    tiles_configure(16, 16);
    for (size_t m = m0; m < m1; m += SQUARE) {
        for (size_t n = n0; n < n1; n += SQUARE, turn ^= 1) {
            multiply_and_finish(blocks + m / 16 * block_bytes,
                                (const char *)job->w + n / 16 * block_bytes, block_bytes, chunks,
                                acc[turn], &p, job->out_stride, per_chunk, kind, gelu, residual);
            pending_begin(&p, job, acc[turn], m, n, kind);
        }
    }
    for (size_t r = 0; p.acc && r < SQUARE; r++)
        pending_row(&p, job->out_stride, r, kind, gelu, residual);
}

/* One compiled body per kind and end. */
#define SQUARES(name, kind, gelu, residual)                                              \
    static void name(const struct kern_gemm_job *job, const char *blocks, size_t chunks, \
                     size_t m0, size_t m1, size_t n0, size_t n1)                         \
    {                                                                                    \
        squares(job, blocks, chunks, m0, m1, n0, n1, kind, gelu, residual);              \
    }
#define SQUARES_OF(name, kind)                          \
    SQUARES(name##_squares, kind, false, false)         \
    SQUARES(name##_squares_gelu, kind, true, false)     \
    SQUARES(name##_squares_residual, kind, false, true) \
    SQUARES(name##_squares_gelu_residual, kind, true, true)
SQUARES_OF(bf16, BF16)
SQUARES_OF(int8, INT8)
SQUARES_OF(pairs, INT8_PAIRS)

typedef void squares_function(const struct kern_gemm_job *job, const char *blocks, size_t chunks,
                              size_t m0, size_t m1, size_t n0, size_t n1);

static squares_function *const squares_table[3][2][2] = {
    {{bf16_squares, bf16_squares_residual}, {bf16_squares_gelu, bf16_squares_gelu_residual}},
    {{int8_squares, int8_squares_residual}, {int8_squares_gelu, int8_squares_gelu_residual}},
    {{pairs_squares, pairs_squares_residual}, {pairs_squares_gelu, pairs_squares_gelu_residual}},
};

/* Squares that are cut by the edge of the product or of a split. */
__attribute__((always_inline)) static inline void edges(const struct kern_gemm_job *job,
                                                        const char *blocks, size_t chunks,
                                                        size_t m0, size_t m1, size_t n0, size_t n1,
                                                        const bool bytes)
{
    _Alignas(64) char acc[4 * KERN_TILE_BYTES];
    const size_t block_bytes = chunks * KERN_TILE_BYTES;
    size_t configured = 0; /* rows the tiles are shaped for */
    for (size_t m = m0; m < m1;) {
        const size_t skip = m % 16; /* a split may begin inside of a block */
        const size_t end = m - skip + SQUARE < m1 ? m - skip + SQUARE : m1;
        const size_t rows = end - (m - skip);
        const char *x = blocks + m / 16 * block_bytes;
        if (rows != configured) {
            tiles_configure(rows < 16 ? rows : 16, rows > 16 ? rows - 16 : 16);
            configured = rows;
        }
        for (size_t n = n0; n < n1; n += SQUARE) {
            const char *w = (const char *)job->w + n / 16 * block_bytes;
            const bool two_panels = n + 16 < n1;
            if (rows > 16 && two_panels)
                multiply(x, w, block_bytes, chunks, acc, 2, 2, bytes);
            else if (rows > 16)
                multiply(x, w, block_bytes, chunks, acc, 2, 1, bytes);
            else if (two_panels)
                multiply(x, w, block_bytes, chunks, acc, 1, 2, bytes);
            else
                multiply(x, w, block_bytes, chunks, acc, 1, 1, bytes);
            finish_square(job, acc, m - skip, skip, rows, n, n1, bytes);
        }
        m = end;
    }
}

__attribute__((always_inline)) static inline void product(const struct kern_gemm_job *job,
                                                          const char *blocks, size_t chunks,
                                                          size_t m0, size_t m1, size_t n0,
                                                          size_t n1, const bool bytes)
{
    const size_t whole_m = m0 % 16 == 0 ? m0 + (m1 - m0) / SQUARE * SQUARE : m0;
    const size_t whole_n = n0 + (n1 - n0) / SQUARE * SQUARE;
    const size_t fit = L2_BYTES / (chunks * KERN_CHUNK_BYTES) / SQUARE * SQUARE;
    const size_t step = fit > SQUARE ? fit : SQUARE;
    for (size_t n = n0; whole_m > m0 && n < whole_n; n += step)
        squares_table[bytes && job->pairs ? INT8_PAIRS : bytes][job->act == KERN_ACT_GELU]
                     [job->residual != NULL](job, blocks, chunks, m0, whole_m, n,
                                             n + step < whole_n ? n + step : whole_n);
    if (whole_m > m0 && n1 > whole_n)
        edges(job, blocks, chunks, m0, whole_m, whole_n, n1, bytes);
    if (m1 > whole_m)
        edges(job, blocks, chunks, whole_m, m1, n0, n1, bytes);
    _tile_release();
}

void kern_gemm_int8_amx(const struct kern_gemm_job *job, size_t m0, size_t m1, size_t n0, size_t n1)
{
    if (m0 / 16 == (m1 - 1) / 16) {
        kern_gemm_int8_few_amx(job, m0, m1, n0, n1);
        return;
    }
    const char *blocks = (const char *)job->x + kern_prep_int8_head(job->m);
    product(job, blocks, kern_chunks(job->k, KERN_CHUNK_INT8), m0, m1, n0, n1, true);
}

void kern_gemm_bf16_amx(const struct kern_gemm_job *job, size_t m0, size_t m1, size_t n0, size_t n1)
{
    product(job, job->x, kern_chunks(job->k, KERN_CHUNK_BF16), m0, m1, n0, n1, false);
}
