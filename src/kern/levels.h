/* Names of the kernels of every level, for the tables in ops.c. Internal to kern.
 * kern_<operation>_<level>; the contracts stand in kern.h, the layouts in pack.h.                */
#ifndef KERN_LEVELS_H
#define KERN_LEVELS_H

#include "kern/kern.h"

/* Packing: the same layout at every level, in generic/pack.c. */
size_t kern_pack_f32_bytes(size_t n, size_t k);
size_t kern_pack_bf16_bytes(size_t n, size_t k);
size_t kern_pack_int8_bytes(size_t n, size_t k);
void kern_pack_f32(void *packed, const float *w, size_t w_stride, size_t n, size_t k, size_t n0,
                   size_t n1);
void kern_pack_bf16(void *packed, const float *w, size_t w_stride, size_t n, size_t k, size_t n0,
                    size_t n1);
void kern_pack_int8(void *packed, const float *w, size_t w_stride, size_t n, size_t k, size_t n0,
                    size_t n1);
size_t kern_prep_f32_bytes(size_t m, size_t k);
size_t kern_prep_bf16_bytes(size_t m, size_t k);
size_t kern_prep_int8_bytes(size_t m, size_t k);
void kern_prep_f32(void *prepared, const float *x, size_t x_stride, size_t m, size_t k, size_t m0,
                   size_t m1);

void kern_conv3_rows(float *out, const float *x, size_t t_in, size_t channels, size_t stride,
                     size_t t0, size_t t1);

/* f32 heads: one layout at every level, packed by generic/attn.c: q [T][D], scaled; v [T][D];
 * then k in panels of 16 keys, [panel][D][16], padded with zeros. This is how the run functions
 * see it. */
struct kern_head_f32 {
    const float *q, *v, *panels;
    size_t t, d;
    float *out;
    size_t out_stride;
};

static inline struct kern_head_f32 kern_head_f32_of(const void *packed, size_t t, size_t d,
                                                    float *out, size_t out_stride)
{
    const float *q = packed;
    return (struct kern_head_f32){q, q + t * d, q + 2 * t * d, t, d, out, out_stride};
}

size_t kern_heads_packed_bytes_f32(size_t t, size_t d);
void kern_heads_pack_f32(void *packed, const float *q, const float *k, const float *v,
                         size_t stride, size_t t, size_t d, float scale, size_t t0, size_t t1);
size_t kern_heads_scratch_bytes_f32(size_t t, size_t d);

/* bf16 heads of AMX. */
size_t kern_heads_packed_bytes_amx(size_t t, size_t d);
void kern_heads_pack_amx(void *packed, const float *q, const float *k, const float *v,
                         size_t stride, size_t t, size_t d, float scale, size_t t0, size_t t1);
size_t kern_heads_scratch_bytes_amx(size_t t, size_t d);

/* Out of the other kernels of a table. */
void kern_soften(const struct kern_ops *ops, const struct kern_soften_job *job);
void kern_soften_avx512vnni(const struct kern_ops *ops, const struct kern_soften_job *job);

#define KERN_DECLARE_LEVEL(level)                                                                 \
    double kern_peak_##level(enum kern_type type, size_t rounds);                                 \
    void kern_prep_bf16_##level(void *prepared, const float *x, size_t x_stride, size_t m,        \
                                size_t k, size_t m0, size_t m1);                                  \
    void kern_prep_int8_##level(void *prepared, const float *x, size_t x_stride, size_t m,        \
                                size_t k, size_t m0, size_t m1);                                  \
    void kern_prep_int8_pairs_##level(void *prepared, const float *x, size_t x_stride, size_t m,  \
                                      size_t k, size_t i0, size_t i1);                            \
    void kern_gemm_f32_##level(const struct kern_gemm_job *job, size_t m0, size_t m1, size_t n0,  \
                               size_t n1);                                                        \
    void kern_gemm_bf16_##level(const struct kern_gemm_job *job, size_t m0, size_t m1, size_t n0, \
                                size_t n1);                                                       \
    void kern_gemm_int8_##level(const struct kern_gemm_job *job, size_t m0, size_t m1, size_t n0, \
                                size_t n1);                                                       \
    void kern_heads_run_##level(const void *packed, size_t t, size_t d, float *out,               \
                                size_t out_stride, size_t t0, size_t t1, void *scratch);          \
    void kern_attn_row_##level(const struct kern_attn_row_job *job);                              \
    void kern_layer_norm_##level(float *out, const float *x, const float *gamma,                  \
                                 const float *beta, size_t d, float eps);                         \
    void kern_gelu_##level(float *x, size_t n);                                                   \
    void kern_add_##level(float *out, const float *a, const float *b, size_t n);                  \
    void kern_int8_residual_##level(float *out, const float *x, size_t n);                        \
    void kern_spread_##level(float *out, const float *x, size_t n);                               \
    void kern_softmax_##level(float *x, size_t n);                                                \
    float kern_log_sum_exp_##level(const float *x, size_t n);                                     \
    float kern_max_##level(const float *x, size_t n, size_t *index);                              \
    float kern_dot_##level(const float *a, const float *b, size_t n);

/* Packing in vector code, the same bytes. */
void kern_pack_int8_avx512vnni(void *packed, const float *w, size_t w_stride, size_t n, size_t k,
                               size_t n0, size_t n1);

/* A variant of avx2 for processors with AVX-VNNI. */
void kern_gemm_int8_avx2vnni(const struct kern_gemm_job *job, size_t m0, size_t m1, size_t n0,
                             size_t n1);

/* A variant of neon for processors with dot products. */
void kern_gemm_int8_neondot(const struct kern_gemm_job *job, size_t m0, size_t m1, size_t n0,
                            size_t n1);

/* Rows of one block of 16. */
void kern_gemm_int8_few_amx(const struct kern_gemm_job *job, size_t m0, size_t m1, size_t n0,
                            size_t n1);

KERN_DECLARE_LEVEL(generic)
KERN_DECLARE_LEVEL(avx2)
KERN_DECLARE_LEVEL(avx512vnni)
KERN_DECLARE_LEVEL(amx)
KERN_DECLARE_LEVEL(neon)
KERN_DECLARE_LEVEL(i8mm)

#endif
