/* Attention for AVX2, f32: the structure of the AVX-512 kernel with tiles of 4 rows by 2 registers.
 * Key blocks begin at key 0 and each row keeps its own maximum, so a row's bits do not depend on
 * the rows beside it.                                                                           */
#include <math.h>

#include "kern/levels.h"
#include "kern/pack.h"
#include "kern/x86/avx2/simd.h"

#define ROWS      4
#define KEY_BLOCK 64
#define MAX_D     128
#define P         KERN_PANEL

/* Rows of one tile and their running softmax. */
struct tile {
    float p[ROWS][KEY_BLOCK]; /* scores, then weights, of the present key block */
    float acc[ROWS][MAX_D];   /* weighted values so far */
    float largest[ROWS], sum[ROWS];
    float correction[ROWS];
};

/* Scores of `rows` query rows with the 16 keys of one panel. */
__attribute__((always_inline)) static inline void score_panel(struct tile *t,
                                                              const struct kern_head_f32 *head,
                                                              const float *q, const float *panel,
                                                              size_t at, const size_t rows)
{
    __m256 s[ROWS][2];
    for (size_t r = 0; r < rows; r++)
        s[r][0] = s[r][1] = _mm256_setzero_ps();
    for (size_t c = 0; c < head->d; c++) {
        const __m256 low = _mm256_loadu_ps(panel + c * P);
        const __m256 high = _mm256_loadu_ps(panel + c * P + W);
        for (size_t r = 0; r < rows; r++) {
            const __m256 a = _mm256_set1_ps(q[r * head->d + c]);
            s[r][0] = _mm256_fmadd_ps(a, low, s[r][0]);
            s[r][1] = _mm256_fmadd_ps(a, high, s[r][1]);
        }
    }
    for (size_t r = 0; r < rows; r++) {
        _mm256_storeu_ps(t->p[r] + at, s[r][0]);
        _mm256_storeu_ps(t->p[r] + at + W, s[r][1]);
    }
}

/* Turn the n scores of row r into weights and correct what was summed before. */
static void soften(struct tile *t, size_t r, size_t n)
{
    __m256 block = _mm256_set1_ps(-INFINITY), total = _mm256_setzero_ps();
    for (size_t i = n; i < KEY_BLOCK; i++)
        t->p[r][i] = -INFINITY;
    for (size_t i = 0; i < KEY_BLOCK; i += W)
        block = _mm256_max_ps(block, _mm256_loadu_ps(t->p[r] + i));
    const float largest = fmaxf(t->largest[r], max256(block));
    const __m256 m = _mm256_set1_ps(largest);
    for (size_t i = 0; i < KEY_BLOCK; i += W) {
        const __m256 e = exp256(_mm256_sub_ps(_mm256_loadu_ps(t->p[r] + i), m));
        total = _mm256_add_ps(total, e);
        _mm256_storeu_ps(t->p[r] + i, e);
    }
    t->correction[r] = _mm256_cvtss_f32(exp256(_mm256_set1_ps(t->largest[r] - largest)));
    t->sum[r] = t->sum[r] * t->correction[r] + fold256(total);
    t->largest[r] = largest;
}

/* acc = acc * correction + p v for columns [c, c + 16) of the head. */
__attribute__((always_inline)) static inline void value_block(struct tile *t,
                                                              const struct kern_head_f32 *head,
                                                              size_t first, size_t n, size_t c,
                                                              const size_t rows)
{
    const bool whole = head->d - c >= P; /* d is a multiple of 8 */
    __m256 acc[ROWS][2];
    for (size_t r = 0; r < rows; r++) {
        const __m256 correction = _mm256_set1_ps(t->correction[r]);
        acc[r][0] = _mm256_mul_ps(_mm256_loadu_ps(t->acc[r] + c), correction);
        acc[r][1] = _mm256_mul_ps(_mm256_loadu_ps(t->acc[r] + c + W), correction);
    }
    for (size_t i = 0; i < n; i++) {
        const float *v = head->v + (first + i) * head->d + c;
        const __m256 low = _mm256_loadu_ps(v);
        const __m256 high = whole ? _mm256_loadu_ps(v + W) : _mm256_setzero_ps();
        for (size_t r = 0; r < rows; r++) {
            const __m256 a = _mm256_set1_ps(t->p[r][i]);
            acc[r][0] = _mm256_fmadd_ps(a, low, acc[r][0]);
            acc[r][1] = _mm256_fmadd_ps(a, high, acc[r][1]);
        }
    }
    for (size_t r = 0; r < rows; r++) {
        _mm256_storeu_ps(t->acc[r] + c, acc[r][0]);
        _mm256_storeu_ps(t->acc[r] + c + W, acc[r][1]);
    }
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
            _mm256_storeu_ps(t.acc[r] + c, _mm256_setzero_ps());
    }
    for (size_t first = 0; first < head->t; first += KEY_BLOCK) {
        const size_t n = head->t - first < KEY_BLOCK ? head->t - first : KEY_BLOCK;
        for (size_t i = 0; i < n; i += P)
            score_panel(&t, head, q, head->panels + (first + i) * head->d, i, rows);
        for (size_t r = 0; r < rows; r++)
            soften(&t, r, n);
        for (size_t c = 0; c < head->d; c += P)
            value_block(&t, head, first, n, c, rows);
    }
    for (size_t r = 0; r < rows; r++) {
        const __m256 inverse = _mm256_set1_ps(1.0f / t.sum[r]);
        for (size_t c = 0; c < head->d; c += W)
            _mm256_storeu_ps(head->out + (row + r) * head->out_stride + c,
                             _mm256_mul_ps(_mm256_loadu_ps(t.acc[r] + c), inverse));
    }
}

void kern_heads_run_avx2(const void *packed, size_t t, size_t d, float *out, size_t out_stride,
                         size_t t0, size_t t1, void *scratch)
{
    (void)scratch;
    const struct kern_head_f32 head = kern_head_f32_of(packed, t, d, out, out_stride);
    size_t row = t0;
    for (; row + ROWS <= t1; row += ROWS)
        attend(&head, row, ROWS);
    for (; row < t1; row++)
        attend(&head, row, 1);
}

void kern_attn_row_avx2(const struct kern_attn_row_job *job)
{
    const size_t d = job->d;
    for (size_t i = 0; i < job->n_keys; i++) {
        const size_t cell = job->cells ? (size_t)job->cells[i] : i;
        const float *key = job->k + cell * job->kv_stride;
        __m256 sum = _mm256_setzero_ps();
        for (size_t c = 0; c < d; c += W)
            sum = _mm256_fmadd_ps(_mm256_loadu_ps(job->q + c), _mm256_loadu_ps(key + c), sum);
        job->scores[i] = fold256(sum) * job->scale;
    }
    kern_softmax_avx2(job->scores, job->n_keys);
    for (size_t c = 0; c < d; c += W) {
        __m256 acc = _mm256_setzero_ps();
        for (size_t i = 0; i < job->n_keys; i++) {
            const size_t cell = job->cells ? (size_t)job->cells[i] : i;
            const __m256 v = _mm256_loadu_ps(job->v + cell * job->kv_stride + c);
            acc = _mm256_fmadd_ps(_mm256_set1_ps(job->scores[i]), v, acc);
        }
        _mm256_storeu_ps(job->out + c, acc);
    }
}
