/* Packed matrices and their threaded product. See linear.h.
 *
 * A product is two parallel regions: rows are prepared (converted, quantised) once, then the output
 * is cut into blocks. Which worker computes a block does not matter for the bits, so blocks are
 * simply made small enough to share out and large enough to reuse weights from the cache.        */
#include "tensor/linear.h"

#include <string.h>

#include "base/mem.h"

#define PACK_ROWS     256 /* weight rows per packing task */
#define PREPARE_ROWS  48
#define BLOCK_ROWS    96        /* rows of a product task: a multiple of every kernel's tile_m */
#define FEW_ROWS      16        /* up to here weights dominate: split by outputs alone */
#define BLOCK_OUTPUTS 256       /* outputs of a product task with many rows */
#define SMALL_WORK    (1 << 15) /* multiply-adds below which a parallel region costs more */

struct packing {
    const struct kern_gemm *gemm;
    void *packed;
    const float *w; /* whole matrix, or NULL: use fill and a worker's rows */
    tensor_linear_fill *fill;
    const void *context;
    float *rows; /* [workers][PACK_ROWS * K] */
    size_t n, k;
};

static void pack_task(void *context, size_t task, int worker)
{
    const struct packing *p = context;
    const size_t n0 = task * PACK_ROWS;
    const size_t n1 = p->n - n0 < PACK_ROWS ? p->n : n0 + PACK_ROWS;
    const float *rows;
    if (p->fill) {
        float *own = p->rows + (size_t)worker * PACK_ROWS * p->k;
        p->fill(p->context, n0, n1, own);
        rows = own;
    } else {
        rows = p->w + n0 * p->k;
    }
    p->gemm->pack(p->packed, rows, p->k, p->n, p->k, n0, n1);
}

static enum auricle_error copy_bias(const float *bias, size_t n, float **out)
{
    *out = NULL;
    if (!bias)
        return AURICLE_OK;
    *out = au_alloc_array(n, sizeof(float));
    if (!*out)
        return AURICLE_E_NOMEM;
    memcpy(*out, bias, n * sizeof(float));
    return AURICLE_OK;
}

/* packing->w or packing->fill says where the rows come from. */
static enum auricle_error create(struct tensor_linear *out, struct tensor_arena *arena,
                                 struct packing *p, const float *bias, struct au_pool *pool)
{
    struct tensor_linear made = {.gemm = p->gemm, .n = p->n, .k = p->k};
    enum auricle_error error = AURICLE_E_LIMIT;
    size_t row_bytes = 0, all_rows_bytes = 0;
    const size_t bytes = p->gemm->packed_bytes(p->n, p->k);
    if (bytes == 0 || !au_mul_size(PACK_ROWS * sizeof(float), p->k, &row_bytes) ||
        !au_mul_size(row_bytes, (size_t)au_pool_threads(pool), &all_rows_bytes))
        goto fail;
    error = AURICLE_E_NOMEM;
    p->packed = arena ? tensor_arena_take(arena, bytes) : au_alloc_aligned(bytes);
    if (!p->packed)
        goto fail;
    made.packed = p->packed;
    made.owned = arena ? NULL : p->packed;
    if (p->fill) {
        p->rows = au_alloc(all_rows_bytes);
        if (!p->rows)
            goto fail;
    }
    error = copy_bias(bias, p->n, &made.bias);
    if (error != AURICLE_OK)
        goto fail;
    au_pool_run(pool, (p->n + PACK_ROWS - 1) / PACK_ROWS, pack_task, p);
    au_free(p->rows);
    *out = made;
    return AURICLE_OK;
fail:
    au_free(p->rows);
    tensor_linear_deinit(&made);
    return error;
}

enum auricle_error tensor_linear_create(struct tensor_linear *out, const struct kern_gemm *gemm,
                                        const float *w, const float *bias, size_t n, size_t k,
                                        struct au_pool *pool)
{
    struct packing packing = {.gemm = gemm, .w = w, .n = n, .k = k};
    return create(out, NULL, &packing, bias, pool);
}

enum auricle_error tensor_linear_create_from(struct tensor_linear *out, struct tensor_arena *arena,
                                             const struct kern_gemm *gemm, tensor_linear_fill *fill,
                                             const void *context, const float *bias, size_t n,
                                             size_t k, struct au_pool *pool)
{
    struct packing packing = {.gemm = gemm, .fill = fill, .context = context, .n = n, .k = k};
    return create(out, arena, &packing, bias, pool);
}

enum auricle_error tensor_linear_create_packed(struct tensor_linear *out,
                                               const struct kern_gemm *gemm, const void *packed,
                                               const float *bias, size_t n, size_t k)
{
    struct tensor_linear made = {.gemm = gemm, .n = n, .k = k, .packed = packed};
    enum auricle_error error = copy_bias(bias, n, &made.bias);
    if (!error)
        *out = made;
    return error;
}

void tensor_linear_rest_on(struct tensor_linear *linear, const void *packed)
{
    au_free(linear->owned);
    linear->owned = NULL;
    linear->packed = packed;
}

void tensor_linear_deinit(struct tensor_linear *linear)
{
    if (!linear)
        return;
    au_free(linear->owned);
    au_free(linear->bias);
    *linear = (struct tensor_linear){0};
}

size_t tensor_linear_scratch_bytes(const struct tensor_linear *linear, size_t m)
{
    return linear->gemm->prepared_bytes(m, linear->k);
}

static bool has_pairs(const struct tensor_linear *linear)
{
    return linear->gemm->prepare_pairs != NULL;
}

size_t tensor_linear_fine_scratch_bytes(const struct tensor_linear *linear, size_t m)
{
    return tensor_linear_scratch_bytes(linear, has_pairs(linear) ? 2 * m : m);
}

struct product {
    const struct kern_gemm *gemm;
    struct kern_gemm_job job;
    void *prepared;
    const float *x;
    size_t x_stride;
    size_t block_rows, block_outputs, n_row_blocks;
    tensor_linear_then *then; /* or NULL */
    void *context;
    size_t piece;
};

static void prepare_task(void *context, size_t task, int worker)
{
    (void)worker;
    const struct product *p = context;
    const size_t m = p->job.pairs ? p->job.m / 2 : p->job.m, first = task * PREPARE_ROWS;
    const size_t end = m - first < PREPARE_ROWS ? m : first + PREPARE_ROWS;
    (p->job.pairs ? p->gemm->prepare_pairs : p->gemm->prepare)(p->prepared, p->x, p->x_stride,
                                                               p->job.m, p->job.k, first, end);
}

static void product_task(void *context, size_t task, int worker)
{
    (void)worker;
    const struct product *p = context;
    const size_t m0 = task % p->n_row_blocks * p->block_rows;
    const size_t n0 = task / p->n_row_blocks * p->block_outputs;
    const size_t m1 = p->job.m - m0 < p->block_rows ? p->job.m : m0 + p->block_rows;
    const size_t n1 = p->job.n - n0 < p->block_outputs ? p->job.n : n0 + p->block_outputs;
    if (!p->then) {
        p->gemm->run(&p->job, m0, m1, n0, n1);
        return;
    }
    for (size_t n = n0; n < n1; n += p->piece) {
        const size_t end = n + p->piece < n1 ? n + p->piece : n1;
        p->gemm->run(&p->job, m0, m1, n, end);
        const size_t halves = p->job.pairs ? 2 : 1; /* of a row */
        p->then(p->context, m0 / halves, m1 / halves, n, end);
    }
}

/* Outputs per task when rows are few: three tasks per thread, so that one late thread costs
 * little. */
static size_t outputs_for_few_rows(size_t n, int threads)
{
    const size_t tasks = threads > 1 ? 3 * (size_t)threads : 1;
    const size_t per_task = (n + tasks - 1) / tasks;
    return au_round_up(per_task > 64 ? per_task : 64, 64);
}

/* Rows are in `p`, all else is set here. Fine: 16 bits of them, where the kernel has pairs. */
static void run(struct product *p, const struct tensor_linear *linear, struct au_pool *pool,
                bool fine)
{
    const size_t m = p->job.m;
    if (m == 0)
        return;
    p->gemm = linear->gemm;
    p->job.w = linear->packed;
    p->job.bias = linear->bias;
    p->job.n = linear->n;
    p->job.k = linear->k;
    p->job.pairs = fine && has_pairs(linear);
    p->job.m = p->job.pairs ? 2 * m : m;
    if (p->job.m * linear->n * linear->k < SMALL_WORK)
        pool = NULL;
    const bool few = m <= FEW_ROWS;
    const size_t piece = p->then ? p->piece : 1;
    p->block_rows = few ? p->job.m : BLOCK_ROWS;
    p->block_outputs = few ? outputs_for_few_rows(linear->n, au_pool_threads(pool)) : BLOCK_OUTPUTS;
    p->block_outputs = (p->block_outputs + piece - 1) / piece * piece;
    p->n_row_blocks = (p->job.m + p->block_rows - 1) / p->block_rows;
    const size_t n_output_blocks = (linear->n + p->block_outputs - 1) / p->block_outputs;
    au_pool_run(few ? NULL : pool, (m + PREPARE_ROWS - 1) / PREPARE_ROWS, prepare_task, p);
    au_pool_run(pool, p->n_row_blocks * n_output_blocks, product_task, p);
}

static struct product product_of(const float *x, size_t x_stride, size_t m, float *out,
                                 size_t out_stride, const float *residual, enum kern_act act,
                                 void *scratch)
{
    struct product p = {.prepared = scratch, .x = x, .x_stride = x_stride};
    p.job = (struct kern_gemm_job){.x = scratch,
                                   .residual = residual,
                                   .out = out,
                                   .m = m,
                                   .out_stride = out_stride,
                                   .act = act};
    return p;
}

void tensor_linear_run(const struct tensor_linear *linear, struct au_pool *pool, const float *x,
                       size_t x_stride, size_t m, float *out, size_t out_stride,
                       const float *residual, enum kern_act act, void *scratch)
{
    struct product p = product_of(x, x_stride, m, out, out_stride, residual, act, scratch);
    run(&p, linear, pool, false);
}

void tensor_linear_run_fine(const struct tensor_linear *linear, struct au_pool *pool,
                            const float *x, size_t x_stride, size_t m, float *out,
                            size_t out_stride, const float *residual, enum kern_act act,
                            void *scratch)
{
    struct product p = product_of(x, x_stride, m, out, out_stride, residual, act, scratch);
    run(&p, linear, pool, true);
}

void tensor_linear_run_then(const struct tensor_linear *linear, struct au_pool *pool,
                            const float *x, size_t x_stride, size_t m, float *out,
                            size_t out_stride, void *scratch, size_t piece,
                            tensor_linear_then *then, void *context)
{
    struct product p = product_of(x, x_stride, m, out, out_stride, NULL, KERN_ACT_NONE, scratch);
    p.piece = piece;
    p.then = then;
    p.context = context;
    run(&p, linear, pool, true);
}

/* ---- One thread ------------------------------------------------------------------------------ */

void tensor_linear_prepare(const struct tensor_linear *linear, const struct kern_ops *ops,
                           const float *x, size_t x_stride, size_t m, float *row, void *prepared)
{
    if (!linear->spread) {
        linear->gemm->prepare(prepared, x, x_stride, m, linear->k, 0, m);
        return;
    }
    for (size_t i = 0; i < m; i++) {
        ops->spread(row, x + i * x_stride, linear->k);
        /* With a stride of 0 every row of the input is `row`. */
        linear->gemm->prepare(prepared, row, 0, m, linear->k, i, i + 1);
    }
}

void tensor_linear_prepare_normed(const struct tensor_linear *linear, const struct kern_ops *ops,
                                  const float *gamma, const float *beta, float eps, const float *x,
                                  size_t x_stride, size_t m, float *row, void *prepared)
{
    for (size_t i = 0; i < m; i++) {
        ops->layer_norm(row, x + i * x_stride, gamma, beta, linear->k, eps);
        if (linear->spread)
            ops->spread(row, row, linear->k);
        linear->gemm->prepare(prepared, row, 0, m, linear->k, i, i + 1);
    }
}

void tensor_linear_apply(const struct tensor_linear *linear, const void *prepared, size_t m,
                         float *out, size_t out_stride, const float *residual, enum kern_act act)
{
    const struct kern_gemm_job job = {.x = prepared,
                                      .w = linear->packed,
                                      .bias = linear->bias,
                                      .residual = residual,
                                      .out = out,
                                      .m = m,
                                      .n = linear->n,
                                      .k = linear->k,
                                      .out_stride = out_stride,
                                      .act = act};
    linear->gemm->run(&job, 0, m, 0, linear->n);
}

void tensor_linear_apply_part(const struct tensor_linear *linear, const void *prepared, size_t m,
                              size_t n0, size_t n1, float *out, size_t out_stride,
                              enum kern_act act)
{
    const struct kern_gemm_job job = {.x = prepared,
                                      .w = linear->packed,
                                      .bias = linear->bias,
                                      .out = out,
                                      .m = m,
                                      .n = linear->n,
                                      .k = linear->k,
                                      .n_base = n0,
                                      .out_stride = out_stride,
                                      .act = act};
    linear->gemm->run(&job, 0, m, n0, n1);
}
