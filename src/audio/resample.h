/* Mono sample-rate conversion in blocks, over soxr.
 *
 * Linear phase with the delay taken out: output sample k stands at input position k * from / to,
 * and after the flush ceil or floor of n * to / from samples have come out, none lost at either
 * end.
 * Owner: one thread.                                                                             */
#ifndef AUDIO_RESAMPLE_H
#define AUDIO_RESAMPLE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct audio_resampler; /* opaque */

/* finest: soxr's very high quality (28 bit) instead of high (20 bit). Errors: INVALID, NOMEM. */
AURICLE_MUST_CHECK enum auricle_error audio_resampler_create(int from_hz, int to_hz, bool finest,
                                                             struct audio_resampler **out);
void audio_resampler_destroy(struct audio_resampler *resampler);

/* Convert. Consumes *n_used of n_in samples and writes *n_out, at most max, samples. After the last
 * input call with in NULL until *n_out is 0. Errors: NOMEM.                                      */
AURICLE_MUST_CHECK enum auricle_error audio_resampler_run(struct audio_resampler *resampler,
                                                          const float *in, size_t n_in,
                                                          size_t *n_used, float *out, size_t max,
                                                          size_t *n_out);

#endif
