/* Attention for AVX-512, f32.
 *
 * A call lays the keys of its head out in panels of 16 (columns of K transposed), then takes 6
 * query rows at a time over blocks of 64 keys: scores as a 6 x 64 register tile, softmax on line,
 * values folded in with another register tile. Key blocks begin at key 0 and each row keeps its own
 * maximum, so a row's bits do not depend on the rows beside it.                                 */
#include <math.h>

#include "kern/levels.h"
#include "kern/pack.h"
#include "kern/x86/avx512vnni/simd.h"

#define ROWS      6
#define KEY_BLOCK 64
#define MAX_D     128

/* Rows of one tile and their running softmax. */
struct tile {
    float p[ROWS][KEY_BLOCK]; /* weights of the present key block */
    float acc[ROWS][MAX_D];   /* weighted values so far */
    float largest[ROWS], sum[ROWS];
    float correction[ROWS];
};

/* Scores of `rows` query rows with 64 keys from `first`, then their weights. Unrolled by rows. */
__attribute__((always_inline)) static inline void score_block(struct tile *t,
                                                              const struct kern_head_f32 *head,
                                                              const float *q, size_t first,
                                                              const size_t rows)
{
    const float *panels = head->panels + first * head->d;
    const size_t left = head->t - first;
    __m512 s[ROWS][4];
    for (size_t r = 0; r < rows; r++)
        for (size_t p = 0; p < 4; p++)
            s[r][p] = _mm512_setzero_ps();
    const size_t last = kern_panels(left) - 1; /* panels after it are not there */
    for (size_t c = 0; c < head->d; c++) {
        __m512 b[4];
        for (size_t p = 0; p < 4; p++)
            b[p] = _mm512_loadu_ps(panels + ((p < last ? p : last) * head->d + c) * W);
        for (size_t r = 0; r < rows; r++) {
            const __m512 a = _mm512_set1_ps(q[r * head->d + c]);
            for (size_t p = 0; p < 4; p++)
                s[r][p] = _mm512_fmadd_ps(a, b[p], s[r][p]);
        }
    }
    const __m512 none = _mm512_set1_ps(-INFINITY);
    for (size_t r = 0; r < rows; r++) {
        for (size_t p = 0; p < 4; p++) {
            const __mmask16 there = p * W < left ? mask16(left - p * W) : 0;
            s[r][p] = _mm512_mask_mov_ps(none, there, s[r][p]);
        }
        const float largest = fmaxf(
            t->largest[r], _mm512_reduce_max_ps(_mm512_max_ps(_mm512_max_ps(s[r][0], s[r][1]),
                                                              _mm512_max_ps(s[r][2], s[r][3]))));
        const __m512 m = _mm512_set1_ps(largest);
        __m512 total = _mm512_setzero_ps();
        for (size_t p = 0; p < 4; p++) {
            const __m512 e = exp512(_mm512_sub_ps(s[r][p], m));
            total = _mm512_add_ps(total, e);
            _mm512_storeu_ps(t->p[r] + p * W, e);
        }
        const float change = t->largest[r] - largest;
        t->correction[r] = _mm512_cvtss_f32(exp512(_mm512_set1_ps(change)));
        t->sum[r] = t->sum[r] * t->correction[r] + fold512(total);
        t->largest[r] = largest;
    }
}

/* acc = acc * correction + p v for columns [c, c + 16 * cols) of the head. */
__attribute__((always_inline)) static inline void value_block(struct tile *t,
                                                              const struct kern_head_f32 *head,
                                                              size_t first, size_t c,
                                                              const size_t rows, const size_t cols)
{
    const size_t n = head->t - first < KEY_BLOCK ? head->t - first : KEY_BLOCK;
    const __mmask16 mask = mask16(head->d - c - (cols - 1) * W); /* of the last register */
    __m512 acc[ROWS][4];
    for (size_t r = 0; r < rows; r++)
        for (size_t p = 0; p < cols; p++)
            acc[r][p] = _mm512_mul_ps(_mm512_loadu_ps(t->acc[r] + c + p * W),
                                      _mm512_set1_ps(t->correction[r]));
    for (size_t i = 0; i < n; i++) {
        const float *v = head->v + (first + i) * head->d + c;
        __m512 b[4];
        for (size_t p = 0; p < cols; p++)
            b[p] = _mm512_maskz_loadu_ps(p + 1 < cols ? (__mmask16)0xffff : mask, v + p * W);
        for (size_t r = 0; r < rows; r++) {
            const __m512 a = _mm512_set1_ps(t->p[r][i]);
            for (size_t p = 0; p < cols; p++)
                acc[r][p] = _mm512_fmadd_ps(a, b[p], acc[r][p]);
        }
    }
    for (size_t r = 0; r < rows; r++)
        for (size_t p = 0; p < cols; p++)
            _mm512_storeu_ps(t->acc[r] + c + p * W, acc[r][p]);
}

__attribute__((always_inline)) static inline void attend(const struct kern_head_f32 *head,
                                                         size_t row, const size_t rows)
{
    struct tile t;
    const float *q = head->q + row * head->d;
    for (size_t r = 0; r < rows; r++) {
        t.largest[r] = -INFINITY;
        t.sum[r] = 0.0f;
        for (size_t c = 0; c < MAX_D; c += W)
            _mm512_storeu_ps(t.acc[r] + c, _mm512_setzero_ps());
    }
    for (size_t first = 0; first < head->t; first += KEY_BLOCK) {
        score_block(&t, head, q, first, rows);
        size_t c = 0;
        for (; c + 3 * W < head->d; c += 4 * W)
            value_block(&t, head, first, c, rows, 4);
        for (; c < head->d; c += W)
            value_block(&t, head, first, c, rows, 1);
    }
    for (size_t r = 0; r < rows; r++) {
        const __m512 inverse = _mm512_set1_ps(1.0f / t.sum[r]);
        for (size_t c = 0; c < head->d; c += W)
            _mm512_mask_storeu_ps(head->out + (row + r) * head->out_stride + c, mask16(head->d - c),
                                  _mm512_mul_ps(_mm512_loadu_ps(t.acc[r] + c), inverse));
    }
}

void kern_heads_run_avx512vnni(const void *packed, size_t t, size_t d, float *out,
                               size_t out_stride, size_t t0, size_t t1, void *scratch)
{
    (void)scratch;
    const struct kern_head_f32 head = kern_head_f32_of(packed, t, d, out, out_stride);
    size_t row = t0;
    for (; row + ROWS <= t1; row += ROWS)
        attend(&head, row, ROWS);
    for (; row < t1; row++)
        attend(&head, row, 1);
}

static inline size_t cell_of(const struct kern_attn_row_job *job, size_t i)
{
    return job->cells ? (size_t)job->cells[i] : i;
}

static inline void prefetch_row(const float *row, size_t d)
{
    for (size_t c = 0; c < d; c += W)
        _mm_prefetch((const char *)(row + c), _MM_HINT_T0);
}

/* Cells lie kilobytes apart and a head reads a few lines of each, which no hardware guesses: keys
 * are asked for AHEAD cells before their turn, values while the keys go by.                     */
void kern_attn_row_avx512vnni(const struct kern_attn_row_job *job)
{
    enum { AHEAD = 8 };
    const size_t d = job->d;
    for (size_t i = 0; i < job->n_keys; i++) {
        const size_t cell = cell_of(job, i);
        const float *key = job->k + cell * job->kv_stride;
        if (i + AHEAD < job->n_keys)
            prefetch_row(job->k + cell_of(job, i + AHEAD) * job->kv_stride, d);
        prefetch_row(job->v + cell * job->kv_stride, d);
        __m512 sum = _mm512_setzero_ps();
        for (size_t c = 0; c < d; c += W) {
            const __mmask16 mask = mask16(d - c);
            sum = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(mask, job->q + c),
                                  _mm512_maskz_loadu_ps(mask, key + c), sum);
        }
        job->scores[i] = fold512(sum) * job->scale;
    }
    kern_softmax_avx512vnni(job->scores, job->n_keys);
    for (size_t c = 0; c < d; c += 4 * W) {
        __m512 acc[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(),
                         _mm512_setzero_ps()};
        __mmask16 mask[4];
        for (size_t p = 0; p < 4; p++)
            mask[p] = c + p * W < d ? mask16(d - c - p * W) : 0;
        for (size_t i = 0; i < job->n_keys; i++) {
            const size_t cell = cell_of(job, i);
            const float *v = job->v + cell * job->kv_stride + c;
            const __m512 weight = _mm512_set1_ps(job->scores[i]);
            for (size_t p = 0; p < 4; p++)
                acc[p] = _mm512_fmadd_ps(weight, _mm512_maskz_loadu_ps(mask[p], v + p * W), acc[p]);
        }
        for (size_t p = 0; p < 4; p++)
            _mm512_mask_storeu_ps(job->out + c + p * W, mask[p], acc[p]);
    }
}
