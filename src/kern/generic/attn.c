/* Attention in plain C.
 *
 * The softmax is "on line" (Milakov and Gimelshein 2018; Dao et al. 2022): keys come in blocks of
 * 64, the running maximum and sum are corrected when a block raises the maximum, and no matrix of
 * scores is ever stored. The blocks begin at key 0 whatever the split of the query rows.         */
#include <math.h>
#include <string.h>

#include "kern/generic/approx.h"
#include "kern/levels.h"

#define KEY_BLOCK 64
#define MAX_D     128

size_t kern_attn_scratch_bytes_generic(size_t n_keys, size_t d)
{
    (void)n_keys;
    (void)d;
    return 0;
}

static float dot(const float *a, const float *b, size_t n)
{
    float sum = 0.0f;
    for (size_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

static void attend_one(const struct kern_attn_job *job, const float *q, float *out)
{
    float acc[MAX_D] = {0}, score[KEY_BLOCK];
    float largest = -INFINITY, sum = 0.0f;
    for (size_t first = 0; first < job->n_keys; first += KEY_BLOCK) {
        const size_t n = job->n_keys - first < KEY_BLOCK ? job->n_keys - first : KEY_BLOCK;
        float block_largest = largest;
        for (size_t i = 0; i < n; i++) {
            score[i] = dot(q, job->k + (first + i) * job->kv_stride, job->d) * job->scale;
            block_largest = score[i] > block_largest ? score[i] : block_largest;
        }
        const float correction = kern_exp1(largest - block_largest);
        largest = block_largest;
        sum *= correction;
        for (size_t c = 0; c < job->d; c++)
            acc[c] *= correction;
        for (size_t i = 0; i < n; i++) {
            const float *v = job->v + (first + i) * job->kv_stride;
            const float weight = kern_exp1(score[i] - largest);
            sum += weight;
            for (size_t c = 0; c < job->d; c++)
                acc[c] += weight * v[c];
        }
    }
    for (size_t c = 0; c < job->d; c++)
        out[c] = acc[c] / sum;
}

void kern_attn_generic(const struct kern_attn_job *job, size_t t0, size_t t1)
{
    for (size_t t = t0; t < t1; t++)
        attend_one(job, job->q + t * job->q_stride, job->out + t * job->out_stride);
}

void kern_attn_row_generic(const struct kern_attn_row_job *job)
{
    for (size_t i = 0; i < job->n_keys; i++) {
        const size_t cell = job->cells ? (size_t)job->cells[i] : i;
        job->scores[i] = dot(job->q, job->k + cell * job->kv_stride, job->d) * job->scale;
    }
    kern_softmax_generic(job->scores, job->n_keys);
    memset(job->out, 0, job->d * sizeof(float));
    for (size_t i = 0; i < job->n_keys; i++) {
        const size_t cell = job->cells ? (size_t)job->cells[i] : i;
        const float *v = job->v + cell * job->kv_stride;
        for (size_t c = 0; c < job->d; c++)
            job->out[c] += job->scores[i] * v[c];
    }
}
