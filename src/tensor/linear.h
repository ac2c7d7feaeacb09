/* Threaded products and the memory they need.
 *
 * A `tensor_linear` is a packed weight matrix with its bias: it remembers the kernel that packed it
 * and is run only by that one. It does not own the packed bytes when they are mapped from a cache.
 * Thread: read-only after creation; runs take the caller's pool.                                 */
#ifndef TENSOR_LINEAR_H
#define TENSOR_LINEAR_H

#include "base/error.h"
#include "base/pool.h"
#include "kern/kern.h"
#include "tensor/arena.h"

struct tensor_linear {
    const struct kern_gemm *gemm;
    size_t n, k; /* outputs, inputs */
    bool spread; /* the packed rows are spread (kern_ops), so inputs must be */
    const void *packed;
    float *bias; /* [N] or NULL; owned */
    void *owned; /* the packed bytes when they are on our heap, else NULL */
};

/* Pack w [N, K] f32 (borrowed for the call), bias [N] or NULL. Threaded over the pool.
 * Errors: NOMEM, LIMIT (sizes overflow).                                                        */
AURICLE_MUST_CHECK enum auricle_error tensor_linear_create(struct tensor_linear *out,
                                                           const struct kern_gemm *gemm,
                                                           const float *w, const float *bias,
                                                           size_t n, size_t k,
                                                           struct au_pool *pool);
/* The same without the whole f32 matrix in memory: fill(context, n0, n1, rows) writes rows [n0, n1)
 * to rows [n1 - n0, K]; called from any worker of the pool, in any order, each row once. The packed
 * bytes are taken from `arena`, or (NULL) are the matrix' own.                                   */
typedef void tensor_linear_fill(const void *context, size_t n0, size_t n1, float *rows);
AURICLE_MUST_CHECK enum auricle_error tensor_linear_create_from(
    struct tensor_linear *out, struct tensor_arena *arena, const struct kern_gemm *gemm,
    tensor_linear_fill *fill, const void *context, const float *bias, size_t n, size_t k,
    struct au_pool *pool);
/* Around bytes that are packed already, [gemm->packed_bytes(n, k)], AU_ALIGN aligned; they are
 * borrowed until deinit.                                                                        */
AURICLE_MUST_CHECK enum auricle_error tensor_linear_create_packed(struct tensor_linear *out,
                                                                  const struct kern_gemm *gemm,
                                                                  const void *packed,
                                                                  const float *bias, size_t n,
                                                                  size_t k);
/* The same packed bytes are at `packed` too: use those, as above, and let go of what is owned. */
void tensor_linear_rest_on(struct tensor_linear *linear, const void *packed);
void tensor_linear_deinit(struct tensor_linear *linear); /* zeroed struct is fine */

/* Scratch bytes for a run over at most m rows. */
size_t tensor_linear_scratch_bytes(const struct tensor_linear *linear, size_t m);

/* out[M,N] = act(x[M,K] w^T + bias) + residual; residual may be NULL or out. x_stride,
 * out_stride in floats. Prepares x once, then splits rows and columns over the pool. Allocates:
 * never. The bits do not depend on M, on the pool or on the split.                               */
void tensor_linear_run(const struct tensor_linear *linear, struct au_pool *pool, const float *x,
                       size_t x_stride, size_t m, float *out, size_t out_stride,
                       const float *residual, enum kern_act act, void *scratch);

/* The same with 16 bits of the inputs where the kernel keeps 8: each row goes in as two,
 * rounded, and what rounding left. Few rows are a matter of reading the weights, so the second
 * row costs little and takes the rounding of activations out of the result; many rows take up to
 * twice the time.                                                                                */
size_t tensor_linear_fine_scratch_bytes(const struct tensor_linear *linear, size_t m);
void tensor_linear_run_fine(const struct tensor_linear *linear, struct au_pool *pool,
                            const float *x, size_t x_stride, size_t m, float *out,
                            size_t out_stride, const float *residual, enum kern_act act,
                            void *scratch);

/* As tensor_linear_run_fine; `then` is told of each part of the outputs, rows [m0, m1) and
 * columns [n0, n1), by the worker that has just written it: n0 is a multiple of `piece` (of a
 * power of two from 64 on), n1 the next one or N.                                                */
typedef void tensor_linear_then(void *context, size_t m0, size_t m1, size_t n0, size_t n1);
void tensor_linear_run_then(const struct tensor_linear *linear, struct au_pool *pool,
                            const float *x, size_t x_stride, size_t m, float *out,
                            size_t out_stride, void *scratch, size_t piece,
                            tensor_linear_then *then, void *context);

/* ---- The same in one thread, for callers that carry a block of rows through several products - */

/* Prepare m rows of x, spread where the weights are; `prepared` holds
 * tensor_linear_scratch_bytes(linear, m), `row` [K] is scratch.                                  */
void tensor_linear_prepare(const struct tensor_linear *linear, const struct kern_ops *ops,
                           const float *x, size_t x_stride, size_t m, float *row, void *prepared);
/* The same with layer_norm(x): a normed row goes through `row` and never leaves the nearest
 * cache. */
void tensor_linear_prepare_normed(const struct tensor_linear *linear, const struct kern_ops *ops,
                                  const float *gamma, const float *beta, float eps, const float *x,
                                  size_t x_stride, size_t m, float *row, void *prepared);
/* out[m,N] from m prepared rows; unless they are spread, the bits are those of
 * tensor_linear_run. */
void tensor_linear_apply(const struct tensor_linear *linear, const void *prepared, size_t m,
                         float *out, size_t out_stride, const float *residual, enum kern_act act);
/* Outputs [n0, n1) alone, n0 a multiple of the kernel's tile_n; out[m, n1 - n0]. */
void tensor_linear_apply_part(const struct tensor_linear *linear, const void *prepared, size_t m,
                              size_t n0, size_t n1, float *out, size_t out_stride,
                              enum kern_act act);

#endif
