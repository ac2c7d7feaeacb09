/* Attention of few queries over many keys that do not change: a decoder's look at the audio.
 *
 * Keys and values of a head are packed once like weights, in the model's own type, and both halves
 * of attention are then ordinary products: scores [M, T] with the keys as T outputs, and results
 * [M, D] with the values as D outputs over a reduction of T. What holds for products holds here: a
 * query's bits do not depend on how many stand beside it, and with int8 a step reads one byte per
 * element. int8 keeps a scale per key and per value column; queries and softmax weights, which must
 * not lose their small entries, go in as the sum of two int8 rows (16 bits in all).
 * Thread: packing on disjoint keys or heads, running on disjoint outputs and scratch.            */
#ifndef TENSOR_CROSS_H
#define TENSOR_CROSS_H

#include "kern/kern.h"

struct tensor_cross {
    const struct kern_ops *ops;
    enum kern_type type;
    size_t n_keys, d; /* keys and columns of a head */
};

#define TENSOR_CROSS_QUERIES 8 /* most queries of one call */

/* Bytes of one packed head. */
size_t tensor_cross_bytes(const struct tensor_cross *cross);

/* Pack keys [t0, t1) of k [T, D]; k points at row t0; t0 is a multiple of the kernel's tile_n. */
void tensor_cross_pack_keys(const struct tensor_cross *cross, void *head, const float *k,
                            size_t stride, size_t t0, size_t t1);
/* Pack all values v [T, D]; turned is scratch [D, T]. */
void tensor_cross_pack_values(const struct tensor_cross *cross, void *head, const float *v,
                              size_t stride, float *turned);

size_t tensor_cross_scratch_bytes(const struct tensor_cross *cross);

/* out[m, D] = softmax(q[m, D] * scale . keys) values, m up to TENSOR_CROSS_QUERIES.
 *   scores  NULL, or m pointers of which each may be NULL: receive [T] products before softmax
 * Allocates: never.                                                                             */
void tensor_cross_run(const struct tensor_cross *cross, const void *head, const float *const *q,
                      float *const *out, float *const *scores, size_t m, float scale,
                      void *scratch);

#endif
