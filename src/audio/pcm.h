/* Headerless samples: their names, sizes and values; channels to one; numbers that are none.
 * Thread: any.  Allocates: never.                                                                */
#ifndef AUDIO_PCM_H
#define AUDIO_PCM_H

#include <stddef.h>
#include <stdint.h>

#include "audio/decode.h"

size_t audio_pcm_bytes(enum audio_raw_type type); /* of one sample; 0 for NONE */

/* n samples, channels as they lie, to f32 in [-1, 1] (f32le as it comes). */
void audio_pcm_convert(enum audio_raw_type type, const uint8_t *in, size_t n, float *out);

/* mono[i] = average over channels of frames[i * channels + c]. */
void audio_mix(float *mono, const float *frames, size_t n, int channels);

/* NaN and infinities become 0 (returns how many there were), the rest is held within [-8, 8]. */
size_t audio_sanitise(float *samples, size_t n);

#endif
