/* Log-mel spectrogram as Whisper computes it.
 *
 * Periodic Hann of 400, FFT of 400, hop 160, reflected padding of 200 on both sides, power, Slaney
 * filters (computed here, not read from a file), log10 with floor 1e-10. Clipping to (maximum - 8)
 * and (x + 4) / 4 come last, because the maximum may span a whole file.
 *
 * A frame's values depend on its own 400 samples alone: any split of the frames into calls, and
 * every kernel level, gives the same bits.
 * Source: openai/whisper audio.py; fixtures mel/ and whisper-micro/ref/mel.npy.                  */
#ifndef AUDIO_MEL_H
#define AUDIO_MEL_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "kern/kern.h"

#define AUDIO_MEL_HOP            160
#define AUDIO_MEL_FFT            400
#define AUDIO_MEL_WINDOW_FRAMES  3000 /* 30 s */
#define AUDIO_MEL_WINDOW_SAMPLES (AUDIO_MEL_WINDOW_FRAMES * AUDIO_MEL_HOP)
#define AUDIO_MEL_MAX_BINS       200

struct audio_mel; /* filters, window, twiddles: immutable after creation, shared by threads */

/* The part of a signal that is in memory. The signal has `total` samples and is mirrored at its two
 * true ends; positions inside [0, total) that are not in memory read as zero (a tail of silence
 * need not be stored). Frame f looks at positions [160 f - 200, 160 f + 200).                    */
struct audio_span {
    const float *samples; /* samples[0] stands at position `first` */
    int64_t first;
    size_t count;
    int64_t total; /* frames 0 to total / 160 - 1 exist */
};

/* n_bins 80 or 128 (any from 1 to 200 works). Errors: INVALID, NOMEM. */
AURICLE_MUST_CHECK enum auricle_error audio_mel_create(int n_bins, const struct kern_ops *ops,
                                                       struct audio_mel **out);
void audio_mel_destroy(struct audio_mel *mel);
int audio_mel_bins(const struct audio_mel *mel);
/* Filter weights [n_bins, 201], dense, for inspection and tests. */
void audio_mel_filters(const struct audio_mel *mel, float *out);

/* log10 mel of frames [f0, f1) of the signal.
 *   out [f1 - f0, n_bins] f32, TIME MAJOR (the convolution wants rows of channels)
 *   max the largest value seen is folded into *max (start at -INFINITY)
 * Thread: any.  Allocates: never.                                                               */
void audio_mel_log(const struct audio_mel *mel, const struct audio_span *signal, int64_t f0,
                   int64_t f1, float *out, float *max);

/* In place: x = (fmaxf(x, max - 8) + 4) / 4. */
void audio_mel_normalise(float *x, size_t n, float max);

/* One window for a single decode: n samples (those past 480000 are ignored) stand for 30 s with
 * silence after them, the maximum is that of the window. out [3000, n_bins].
 * Thread: any.  Allocates: never.                                                               */
void audio_mel_window(const struct audio_mel *mel, const float *samples, size_t n, float *out);

#endif
