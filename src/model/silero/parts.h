/* Silero from the inside, for its two files and its tests. */
#ifndef MODEL_SILERO_PARTS_H
#define MODEL_SILERO_PARTS_H

#include "model/silero/silero.h"
#include "tensor/linear.h"

/* A chunk with its context is 576 (288) samples; reflected at the end it gives 4 frames, and the
 * strides leave 4, 2, 1 and 1 of them after the convolutions.                                    */
enum { SILERO_FRAMES = 4, SILERO_FRAMES_2 = 2 };

struct silero_model {
    const struct kern_ops *ops;
    uint64_t bytes;
    int rate_hz;
    size_t n_fft, hop, context, chunk, bins; /* 256, 128, 64, 512, 129 at 16 kHz */
    size_t width[4];                         /* after each convolution: 128, 64, 64, 128 */
    size_t hidden;                           /* of the LSTM: 128 */

    struct tensor_linear stft;    /* [2 * bins, n_fft]: cosines, then sines, windowed */
    struct tensor_linear conv[4]; /* [width, 3 * channels]: column = tap * channels + channel; the
                                     last one keeps the middle tap alone: it sees one frame */
    struct tensor_linear lstm;    /* [4 * hidden, width[3] + hidden]: gates i, f, g, o */
    float *out_weight;            /* [hidden] */
    float out_bias;
};

/* Tests look at what passes between the stages; NULL in use. x is [rows, width] of all streams. */
struct silero_trace {
    void (*stage)(void *context, const char *name, const float *x, size_t rows, size_t width);
    void *context;
};
void silero_run_traced(const struct silero_model *model, struct tensor_workspace *ws, size_t n,
                       const float *const *chunks, struct silero_state *const *states, float *out,
                       const struct silero_trace *trace);

#endif
