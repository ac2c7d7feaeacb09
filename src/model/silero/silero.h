/* Silero voice activity detection: the probability that a chunk of 32 ms holds speech.
 *
 * A plain function over (weights, states, chunks): the model is immutable and shared, the state of
 * a stream is plain data that its owner keeps, batch is the first axis, and a stream's result never
 * depends on the others in the batch. Widths come from the tensors, so narrower models of the same
 * architecture load too; the length of the Fourier basis tells 16 kHz (256) from 8 kHz (128).
 * Source: snakers4/silero-vad v6.2: STFT as a convolution, magnitude, four convolutions of width 3
 * with ReLU (strides 1, 2, 2, 1), LSTM cell, ReLU, linear, sigmoid.                              */
#ifndef MODEL_SILERO_H
#define MODEL_SILERO_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/pool.h"
#include "format/weights.h"
#include "kern/kern.h"
#include "tensor/workspace.h"

#define SILERO_MAX_HIDDEN  256
#define SILERO_MAX_CONTEXT 64

struct silero_model; /* opaque, immutable after loading */

/* What a stream remembers: copy it freely, begin with silero_state_reset. */
struct silero_state {
    float h[SILERO_MAX_HIDDEN], c[SILERO_MAX_HIDDEN];
    float context[SILERO_MAX_CONTEXT]; /* the last samples of the previous chunk */
};
void silero_state_reset(struct silero_state *state);

/* Bind by name, check every shape, pack for `ops`. The weights may be closed afterwards.
 * Errors: NOT_FOUND (a tensor; named), SHAPE, UNSUPPORTED (not a Silero model), NOMEM.           */
AURICLE_MUST_CHECK enum auricle_error silero_model_create(const struct format_weights *weights,
                                                          const struct kern_ops *ops,
                                                          struct silero_model **out,
                                                          struct au_fault *fault);
void silero_model_destroy(struct silero_model *model);
int silero_rate_hz(const struct silero_model *model);          /* 16000 or 8000 */
size_t silero_chunk_samples(const struct silero_model *model); /* 512 or 256 */
uint64_t silero_model_bytes(const struct silero_model *model);

/* One chunk of each of n streams.
 *   chunks  [n] pointers to chunk_samples f32 in [-1, 1]; borrowed
 *   states  [n] advanced by one chunk; no state twice
 *   out     [n] probabilities
 * Thread: any; one call at a time per workspace. Allocates: never (silero_plan).                 */
void silero_run(const struct silero_model *model, struct tensor_workspace *ws, size_t n,
                const float *const *chunks, struct silero_state *const *states, float *out);
/* Pass over a chunk that is known to be quiet: the next one sees its end, the memory stays. */
void silero_state_skip(const struct silero_model *model, struct silero_state *state,
                       const float *chunk);
size_t silero_plan(const struct silero_model *model, size_t n);

#endif
