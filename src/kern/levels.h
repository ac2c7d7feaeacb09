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

#define KERN_DECLARE_LEVEL(level)                                                                 \
    void kern_prep_bf16_##level(void *prepared, const float *x, size_t x_stride, size_t m,        \
                                size_t k, size_t m0, size_t m1);                                  \
    void kern_prep_int8_##level(void *prepared, const float *x, size_t x_stride, size_t m,        \
                                size_t k, size_t m0, size_t m1);                                  \
    void kern_gemm_f32_##level(const struct kern_gemm_job *job, size_t m0, size_t m1, size_t n0,  \
                               size_t n1);                                                        \
    void kern_gemm_bf16_##level(const struct kern_gemm_job *job, size_t m0, size_t m1, size_t n0, \
                                size_t n1);                                                       \
    void kern_gemm_int8_##level(const struct kern_gemm_job *job, size_t m0, size_t m1, size_t n0, \
                                size_t n1);                                                       \
    size_t kern_attn_scratch_bytes_##level(size_t n_keys, size_t d);                              \
    void kern_attn_##level(const struct kern_attn_job *job, size_t t0, size_t t1);                \
    void kern_attn_row_##level(const struct kern_attn_row_job *job);                              \
    void kern_layer_norm_##level(float *out, const float *x, const float *gamma,                  \
                                 const float *beta, size_t d, float eps);                         \
    void kern_gelu_##level(float *x, size_t n);                                                   \
    void kern_add_##level(float *out, const float *a, const float *b, size_t n);                  \
    void kern_softmax_##level(float *x, size_t n);                                                \
    float kern_log_sum_exp_##level(const float *x, size_t n);                                     \
    float kern_max_##level(const float *x, size_t n, size_t *index);                              \
    float kern_dot_##level(const float *a, const float *b, size_t n);

KERN_DECLARE_LEVEL(generic)
KERN_DECLARE_LEVEL(avx2)
KERN_DECLARE_LEVEL(avx512vnni)
KERN_DECLARE_LEVEL(amx)
KERN_DECLARE_LEVEL(neon)
KERN_DECLARE_LEVEL(i8mm)

#endif
