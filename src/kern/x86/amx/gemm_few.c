/* int8 products of up to 16 rows on AMX tiles: a matter of reading the weights.
 *
 * Panels are read one after the other, each from front to back, so that a thread walks one stream,
 * and lines PREFETCH_BYTES ahead are asked for between the tile loads. Left to itself the hardware
 * finds 4 KiB pages at a time: two threads read 160 MB at 28 GB/s, with this at 36. A distance of
 * 1 to 3 KiB is as good, 4 KiB is worse than none.
 *
 * Keys of an attention head have one chunk. There the finishing of a panel, not its product, is
 * the work: four panels are multiplied while the four before are finished.
 *
 * Even and odd chunks of k have accumulators of their own, so that tile products do not wait for
 * each other; integer sums are exact in any order.                                              */
#include "kern/levels.h"
#include "kern/pack.h"
#include "kern/x86/amx/tiles.h"
#include "kern/x86/avx512vnni/finish.h"

#define PREFETCH_BYTES 2048

static inline void prefetch_tile(const char *at)
{
#pragma GCC unroll 16
    for (size_t line = 0; line < KERN_TILE_BYTES; line += 64)
        _mm_prefetch(at + line, _MM_HINT_T0);
}

/* Sums of a block of rows with one panel into acc, two tiles. `ahead`: how far behind a chunk the
 * one to be fetched stands; 0 at the end of the work.                                           */
static inline void multiply_panel(const char *x, const char *w, size_t chunks, size_t ahead,
                                  char *acc)
{
    _tile_zero(0);
    _tile_zero(1);
    size_t chunk = 0;
    for (; chunk + 2 <= chunks; chunk += 2, x += 2 * KERN_TILE_BYTES, w += 2 * KERN_TILE_BYTES) {
        prefetch_tile(w + ahead);
        _tile_loadd(6, w, 64);
        _tile_loadd(4, x, 64);
        _tile_dpbssd(0, 4, 6);
        prefetch_tile(w + ahead + KERN_TILE_BYTES);
        _tile_loadd(7, w + KERN_TILE_BYTES, 64);
        _tile_loadd(5, x + KERN_TILE_BYTES, 64);
        _tile_dpbssd(1, 5, 7);
    }
    if (chunk < chunks) {
        prefetch_tile(w + ahead);
        _tile_loadd(6, w, 64);
        _tile_loadd(4, x, 64);
        _tile_dpbssd(0, 4, 6);
    }
    _tile_stored(0, acc, 64);
    _tile_stored(1, acc + KERN_TILE_BYTES, 64);
}

/* Sums of four panels of one chunk each: the keys of an attention head. Tile 4 holds the rows. */
static inline void multiply_narrow(const char *w, size_t ahead, char *acc)
{
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    prefetch_tile(w + ahead);
    _tile_loadd(6, w, 64);
    _tile_dpbssd(0, 4, 6);
    prefetch_tile(w + ahead + KERN_TILE_BYTES);
    _tile_loadd(7, w + KERN_TILE_BYTES, 64);
    _tile_dpbssd(1, 4, 7);
    prefetch_tile(w + ahead + 2 * KERN_TILE_BYTES);
    _tile_loadd(6, w + 2 * KERN_TILE_BYTES, 64);
    _tile_dpbssd(2, 4, 6);
    prefetch_tile(w + ahead + 3 * KERN_TILE_BYTES);
    _tile_loadd(7, w + 3 * KERN_TILE_BYTES, 64);
    _tile_dpbssd(3, 4, 7);
    _tile_stored(0, acc, 64);
    _tile_stored(1, acc + KERN_TILE_BYTES, 64);
    _tile_stored(2, acc + 2 * KERN_TILE_BYTES, 64);
    _tile_stored(3, acc + 3 * KERN_TILE_BYTES, 64);
}

/* Scores have nothing added to them. */
struct narrow {
    const float *x_scales, *w_scales;
    float *out;
    size_t stride, rows;
};

static inline void finish_narrow(const struct narrow *p, const char *acc, size_t n)
{
    __m512 w_scale[4];
    for (size_t i = 0; i < 4; i++)
        w_scale[i] = _mm512_loadu_ps(p->w_scales + n + i * W);
    for (size_t r = 0; r < p->rows; r++) {
        const __m512 x_scale = _mm512_set1_ps(p->x_scales[r]);
        float *out = p->out + r * p->stride + n;
        for (size_t i = 0; i < 4; i++) {
            const __m512i sum = _mm512_load_si512(acc + i * KERN_TILE_BYTES + r * 64);
            const __m512 scale = _mm512_mul_ps(x_scale, w_scale[i]);
            _mm512_storeu_ps(out + i * W, _mm512_mul_ps(_mm512_cvtepi32_ps(sum), scale));
        }
    }
}

/* Groups of four whole panels from n0; returns where they end. A group is finished while the next
 * one is multiplied.                                                                            */
static size_t narrow_panels(const struct kern_gemm_job *job, const struct narrow *p, const char *x,
                            size_t n0, size_t n1)
{
    _Alignas(64) char acc[2][4 * KERN_TILE_BYTES];
    const char *w = job->w;
    const size_t end = n0 + (n1 - n0) / (4 * KERN_PANEL) * (4 * KERN_PANEL);
    size_t turn = 0;
    _tile_loadd(4, x, 64);
    for (size_t n = n0; n < end; n += 4 * KERN_PANEL, turn ^= 1) {
        const bool last = n + 8 * KERN_PANEL >= n1;
        multiply_narrow(w + n / KERN_PANEL * KERN_TILE_BYTES, last ? 0 : PREFETCH_BYTES, acc[turn]);
        if (n > n0)
            finish_narrow(p, acc[turn ^ 1], n - 4 * KERN_PANEL);
    }
    if (end > n0)
        finish_narrow(p, acc[turn ^ 1], end - 4 * KERN_PANEL);
    return end;
}

/* Both halves of row r's sums, back to f32. */
static inline __m512 scaled_row(const char *acc, size_t r, const float *x_scales, __m512 w_scale)
{
    const __m512i sum = _mm512_add_epi32(_mm512_load_si512(acc + r * 64),
                                         _mm512_load_si512(acc + KERN_TILE_BYTES + r * 64));
    return _mm512_mul_ps(_mm512_cvtepi32_ps(sum),
                         _mm512_mul_ps(_mm512_set1_ps(x_scales[r]), w_scale));
}

void kern_gemm_int8_few_amx(const struct kern_gemm_job *job, size_t m0, size_t m1, size_t n0,
                            size_t n1)
{
    _Alignas(64) char acc[2 * KERN_TILE_BYTES];
    const size_t chunks = kern_chunks(job->k, KERN_CHUNK_INT8);
    const size_t panel_bytes = chunks * KERN_TILE_BYTES, skip = m0 % KERN_PANEL;
    const size_t block = m0 - skip, rows = m1 - block;
    const char *x = (const char *)job->x + kern_prep_int8_head(job->m) +
                    block / KERN_PANEL * panel_bytes;
    const float *x_scales = (const float *)job->x + block;
    const float *w_scales = kern_pack_int8_scales(job->w, job->n, job->k);
    tiles_configure(rows, rows);
    if (chunks == 1 && skip == 0 && !job->pairs && !job->bias && !job->residual &&
        job->act == KERN_ACT_NONE) {
        float *out = job->out + block * job->out_stride - job->n_base;
        const struct narrow plain = {x_scales, w_scales, out, job->out_stride, rows};
        n0 = narrow_panels(job, &plain, x, n0, n1);
    }
    for (size_t n = n0; n < n1; n += KERN_PANEL) {
        const bool last = n + KERN_PANEL >= n1;
        multiply_panel(x, (const char *)job->w + n / KERN_PANEL * panel_bytes, chunks,
                       last ? 0 : PREFETCH_BYTES, acc);
        const __mmask16 mask = mask16(n1 - n);
        const __m512 w_scale = _mm512_loadu_ps(w_scales + n);
        if (job->pairs) {
            for (size_t r = skip; r < rows; r += 2)
                finish512(job,
                          _mm512_add_ps(scaled_row(acc, r, x_scales, w_scale),
                                        scaled_row(acc, r + 1, x_scales, w_scale)),
                          (block + r) / 2, n, mask);
        } else {
            for (size_t r = skip; r < rows; r++)
                finish512(job, scaled_row(acc, r, x_scales, w_scale), block + r, n, mask);
        }
    }
    _tile_release();
}
