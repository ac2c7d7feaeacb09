/* Attention for NEON, f32: tiles of 4 rows by one panel of 16 keys, softmax on line.
 * Key blocks begin at key 0 and each row keeps its own maximum, so a row's bits do not depend on
 * the rows beside it.                                                                           */
#include <math.h>

#include "kern/arm/neon/simd.h"
#include "kern/levels.h"
#include "kern/pack.h"

#define ROWS      4
#define KEY_BLOCK 64
#define MAX_D     128
#define P         KERN_PANEL
#define QUARTERS  4 /* registers per panel */

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
    float32x4_t s[ROWS][QUARTERS];
    for (size_t r = 0; r < rows; r++)
        for (size_t j = 0; j < QUARTERS; j++)
            s[r][j] = vdupq_n_f32(0.0f);
    for (size_t c = 0; c < head->d; c++) {
        float32x4_t keys[QUARTERS];
        for (size_t j = 0; j < QUARTERS; j++)
            keys[j] = vld1q_f32(panel + c * P + j * W);
        for (size_t r = 0; r < rows; r++)
            for (size_t j = 0; j < QUARTERS; j++)
                s[r][j] = vfmaq_n_f32(s[r][j], keys[j], q[r * head->d + c]);
    }
    for (size_t r = 0; r < rows; r++)
        for (size_t j = 0; j < QUARTERS; j++)
            vst1q_f32(t->p[r] + at + j * W, s[r][j]);
}

/* Turn the n scores of row r into weights and correct what was summed before. */
static void soften(struct tile *t, size_t r, size_t n)
{
    float32x4_t block = vdupq_n_f32(t->largest[r]), total = vdupq_n_f32(0.0f);
    for (size_t i = n; i < KEY_BLOCK; i++)
        t->p[r][i] = -INFINITY;
    for (size_t i = 0; i < KEY_BLOCK; i += W)
        block = larger4(vld1q_f32(t->p[r] + i), block);
    const float largest = vmaxvq_f32(block);
    const float32x4_t m = vdupq_n_f32(largest);
    for (size_t i = 0; i < KEY_BLOCK; i += W) {
        const float32x4_t e = exp128(vsubq_f32(vld1q_f32(t->p[r] + i), m));
        total = vaddq_f32(total, e);
        vst1q_f32(t->p[r] + i, e);
    }
    t->correction[r] = vgetq_lane_f32(exp128(vdupq_n_f32(t->largest[r] - largest)), 0);
    t->sum[r] = t->sum[r] * t->correction[r] + fold128(total);
    t->largest[r] = largest;
}

/* acc = acc * correction + p v for `quarters` registers of columns from c. */
__attribute__((always_inline)) static inline void value_block(struct tile *t,
                                                              const struct kern_head_f32 *head,
                                                              size_t first, size_t n, size_t c,
                                                              const size_t rows,
                                                              const size_t quarters)
{
    float32x4_t acc[ROWS][QUARTERS];
    for (size_t r = 0; r < rows; r++)
        for (size_t j = 0; j < quarters; j++)
            acc[r][j] = vmulq_n_f32(vld1q_f32(t->acc[r] + c + j * W), t->correction[r]);
    for (size_t i = 0; i < n; i++) {
        const float *v = head->v + (first + i) * head->d + c;
        float32x4_t values[QUARTERS];
        for (size_t j = 0; j < quarters; j++)
            values[j] = vld1q_f32(v + j * W);
        for (size_t r = 0; r < rows; r++)
            for (size_t j = 0; j < quarters; j++)
                acc[r][j] = vfmaq_n_f32(acc[r][j], values[j], t->p[r][i]);
    }
    for (size_t r = 0; r < rows; r++)
        for (size_t j = 0; j < quarters; j++)
            vst1q_f32(t->acc[r] + c + j * W, acc[r][j]);
}

__attribute__((always_inline)) static inline void attend(const struct kern_head_f32 *head,
                                                         size_t row, const size_t rows)
{
    struct tile t;
    const float *q = head->q + row * head->d;
    for (size_t r = 0; r < rows; r++) {
        t.largest[r] = -INFINITY;
        t.sum[r] = 0.0f;
        memset(t.acc[r], 0, sizeof(t.acc[r]));
    }
    for (size_t first = 0; first < head->t; first += KEY_BLOCK) {
        const size_t n = head->t - first < KEY_BLOCK ? head->t - first : KEY_BLOCK;
        for (size_t i = 0; i < n; i += P)
            score_panel(&t, head, q, head->panels + (first + i) * head->d, i, rows);
        for (size_t r = 0; r < rows; r++)
            soften(&t, r, n);
        size_t c = 0;
        for (; c + P <= head->d; c += P)
            value_block(&t, head, first, n, c, rows, QUARTERS);
        if (c < head->d) /* d is a multiple of 8 */
            value_block(&t, head, first, n, c, rows, QUARTERS / 2);
    }
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < head->d; c += W)
            vst1q_f32(head->out + (row + r) * head->out_stride + c,
                      vmulq_n_f32(vld1q_f32(t.acc[r] + c), 1.0f / t.sum[r]));
}

void kern_heads_run_neon(const void *packed, size_t t, size_t d, float *out, size_t out_stride,
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

void kern_attn_row_neon(const struct kern_attn_row_job *job)
{
    const size_t d = job->d;
    for (size_t i = 0; i < job->n_keys; i++) {
        const size_t cell = job->cells ? (size_t)job->cells[i] : i;
        const float *key = job->k + cell * job->kv_stride;
        float32x4_t low = vdupq_n_f32(0.0f), high = low;
        for (size_t c = 0; c < d; c += 2 * W) {
            low = vfmaq_f32(low, vld1q_f32(job->q + c), vld1q_f32(key + c));
            high = vfmaq_f32(high, vld1q_f32(job->q + c + W), vld1q_f32(key + c + W));
        }
        job->scores[i] = fold128(vaddq_f32(low, high)) * job->scale;
    }
    kern_softmax_neon(job->scores, job->n_keys);
    for (size_t c = 0; c < d; c += 2 * W) {
        float32x4_t low = vdupq_n_f32(0.0f), high = low;
        for (size_t i = 0; i < job->n_keys; i++) {
            const size_t cell = job->cells ? (size_t)job->cells[i] : i;
            const float *v = job->v + cell * job->kv_stride + c;
            low = vfmaq_n_f32(low, vld1q_f32(v), job->scores[i]);
            high = vfmaq_n_f32(high, vld1q_f32(v + W), job->scores[i]);
        }
        vst1q_f32(job->out + c, low);
        vst1q_f32(job->out + c + W, high);
    }
}
