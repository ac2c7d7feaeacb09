/* Log-mel spectrogram as Whisper computes it.
 *
 * Periodic Hann of 400, FFT of 400, hop 160, reflected padding of 200 on both sides, power, Slaney
 * filters (computed here, not read from a file), log10 with floor 1e-10. Clipping to (maximum - 8)
 * and (x + 4) / 4 come last, because the maximum may span a whole file.
 * Source: openai/whisper audio.py; fixtures mel/ and whisper-micro/ref/mel.npy.                  */
#ifndef AUDIO_MEL_H
#define AUDIO_MEL_H

#include "base/error.h"
#include "kern/kern.h"

#define AUDIO_MEL_HOP           160
#define AUDIO_MEL_FFT           400
#define AUDIO_MEL_WINDOW_FRAMES 3000 /* 30 s */

struct audio_mel; /* filters, window, twiddles: immutable after creation, shared by threads */

/* n_bins 80 or 128 (any from 1 to 200 works). Errors: INVALID, NOMEM. */
AURICLE_MUST_CHECK enum auricle_error audio_mel_create(int n_bins, const struct kern_ops *ops,
                                                       struct audio_mel **out);
void audio_mel_destroy(struct audio_mel *mel);
int audio_mel_bins(const struct audio_mel *mel);

/* log10 mel of frames [f0, f1) of a signal of n samples; samples outside [0, n) are mirrored at
 * both ends when `reflect`, as the original does for a whole array.
 *   out [f1 - f0, n_bins] f32, TIME MAJOR (the convolution wants rows of channels)
 *   max the largest value seen is folded into *max (start at -INFINITY)
 * Thread: any.  Allocates: never.                                                               */
void audio_mel_log(const struct audio_mel *mel, const float *samples, size_t n, size_t f0,
                   size_t f1, float *out, float *max);

/* In place: x = (fmaxf(x, max - 8) + 4) / 4. */
void audio_mel_normalise(float *x, size_t n, float max);

/* One window for a single decode: n samples at most 480000 are zero-padded to 30 s, the maximum is that
 * of the window. out [3000, n_bins]. Thread: any. Allocates: never (scratch 480400 floats inside ws
 * is the caller's: `padded` [480000]).                                                          */
void audio_mel_window(const struct audio_mel *mel, const float *samples, size_t n, float *padded,
                      float *out);

#endif
