/* Attention over packed keys and values. See cross.h. */
#include "tensor/cross.h"

#include <string.h>

#include "base/mem.h"

static const struct kern_gemm *gemm_of(const struct tensor_cross *cross)
{
    return cross->ops->gemm[cross->type];
}

/* int8 rows go in twice: rounded, and what rounding left. */
static size_t rows_per_query(const struct tensor_cross *cross)
{
    return cross->type == KERN_INT8 ? 2 : 1;
}

static size_t keys_bytes(const struct tensor_cross *cross)
{
    return au_round_up(gemm_of(cross)->packed_bytes(cross->n_keys, cross->d), AU_ALIGN);
}

size_t tensor_cross_bytes(const struct tensor_cross *cross)
{
    return keys_bytes(cross) +
           au_round_up(gemm_of(cross)->packed_bytes(cross->d, cross->n_keys), AU_ALIGN);
}

void tensor_cross_pack_keys(const struct tensor_cross *cross, void *head, const float *k,
                            size_t stride, size_t t0, size_t t1)
{
    gemm_of(cross)->pack(head, k, stride, cross->n_keys, cross->d, t0, t1);
}

void tensor_cross_pack_values(const struct tensor_cross *cross, void *head, const float *v,
                              size_t stride, float *turned)
{
    enum { BLOCK = 16 }; /* keys whose columns are written together: a cache line */
    for (size_t first = 0; first < cross->n_keys; first += BLOCK) {
        const size_t end = first + BLOCK < cross->n_keys ? first + BLOCK : cross->n_keys;
        for (size_t c = 0; c < cross->d; c++)
            for (size_t t = first; t < end; t++)
                turned[c * cross->n_keys + t] = v[t * stride + c];
    }
    gemm_of(cross)->pack((unsigned char *)head + keys_bytes(cross), turned, cross->n_keys, cross->d,
                         cross->n_keys, 0, cross->d);
}

/* Buffers of one call. */
struct buffers {
    float *rows;    /* [2 m, max(T, D)] what goes into a product */
    float *results; /* [2 m, max(T, D)] what comes out */
    void *prepared;
};

static size_t longest(const struct tensor_cross *cross)
{
    return au_round_up(cross->n_keys > cross->d ? cross->n_keys : cross->d, 16);
}

static size_t rows_bytes(const struct tensor_cross *cross)
{
    return TENSOR_CROSS_QUERIES * rows_per_query(cross) * longest(cross) * sizeof(float);
}

static size_t prepared_bytes(const struct tensor_cross *cross)
{
    const size_t m = TENSOR_CROSS_QUERIES * rows_per_query(cross);
    const size_t keys = gemm_of(cross)->prepared_bytes(m, cross->d);
    const size_t values = gemm_of(cross)->prepared_bytes(m, cross->n_keys);
    return au_round_up(keys > values ? keys : values, AU_ALIGN);
}

size_t tensor_cross_scratch_bytes(const struct tensor_cross *cross)
{
    return 2 * rows_bytes(cross) + prepared_bytes(cross);
}

/* results[m, n] = rows[m, k] w^T, from rows as `prepared` holds them. */
static void multiply(const struct tensor_cross *cross, const struct buffers *b, const void *w,
                     size_t m, size_t n, size_t k)
{
    const struct kern_gemm_job job = {.x = b->prepared,
                                      .w = w,
                                      .out = b->results,
                                      .m = m,
                                      .n = n,
                                      .k = k,
                                      .out_stride = longest(cross)};
    gemm_of(cross)->run(&job, 0, m, 0, n);
}

static void run_plain(const struct tensor_cross *cross, const struct buffers *b, const void *keys,
                      const void *values, float *const *out, float *const *scores, size_t m)
{
    const struct kern_gemm *gemm = gemm_of(cross);
    const size_t stride = longest(cross), n_keys = cross->n_keys, d = cross->d;
    gemm->prepare(b->prepared, b->rows, stride, m, d, 0, m);
    multiply(cross, b, keys, m, n_keys, d);
    for (size_t i = 0; i < m; i++) {
        float *row = b->results + i * stride;
        if (scores && scores[i])
            memcpy(scores[i], row, n_keys * sizeof(float));
        cross->ops->softmax(row, n_keys);
    }
    gemm->prepare(b->prepared, b->results, stride, m, n_keys, 0, m);
    multiply(cross, b, values, m, d, n_keys);
    for (size_t i = 0; i < m; i++)
        memcpy(out[i], b->results + i * stride, d * sizeof(float));
}

/* Every row twice: rounded, and what rounding left. */
static void run_int8(const struct tensor_cross *cross, const struct buffers *b, const void *keys,
                     const void *values, float *const *out, float *const *scores, size_t m)
{
    const struct kern_gemm *gemm = gemm_of(cross);
    const size_t stride = longest(cross), n_keys = cross->n_keys, d = cross->d;
    for (size_t i = 0; i < m; i++)
        cross->ops->int8_residual(b->rows + (m + i) * stride, b->rows + i * stride, d);
    gemm->prepare(b->prepared, b->rows, stride, 2 * m, d, 0, 2 * m);
    multiply(cross, b, keys, 2 * m, n_keys, d);
    for (size_t i = 0; i < m; i++) {
        float *row = b->results + i * stride;
        const struct kern_soften_job job = {.high = row,
                                            .low = b->results + (m + i) * stride,
                                            .sum = scores && scores[i] ? scores[i] : row,
                                            .weights = b->rows + i * stride,
                                            .prepared = b->prepared,
                                            .n = n_keys,
                                            .m = m,
                                            .row = i};
        cross->ops->soften(cross->ops, &job);
    }
    multiply(cross, b, values, 2 * m, d, n_keys);
    for (size_t i = 0; i < m; i++)
        cross->ops->add(out[i], b->results + i * stride, b->results + (m + i) * stride, d);
}

void tensor_cross_run(const struct tensor_cross *cross, const void *head, const float *const *q,
                      float *const *out, float *const *scores, size_t m, float scale, void *scratch)
{
    const size_t stride = longest(cross);
    const void *values = (const unsigned char *)head + keys_bytes(cross);
    struct buffers b = {.rows = scratch};
    b.results = b.rows + rows_bytes(cross) / sizeof(float);
    b.prepared = b.results + rows_bytes(cross) / sizeof(float);

    for (size_t i = 0; i < m; i++)
        for (size_t c = 0; c < cross->d; c++)
            b.rows[i * stride + c] = q[i][c] * scale;
    if (cross->type == KERN_INT8)
        run_int8(cross, &b, head, values, out, scores, m);
    else
        run_plain(cross, &b, head, values, out, scores, m);
}
