/* Headerless samples that arrive in pieces of any size, to mono f32 at 16 kHz.
 *
 * The pushing counterpart of decode.h, for live audio: bytes of any of the raw types go in as they
 * come, a frame may be cut anywhere. The same samples come out however the bytes were cut: state is
 * carried over block borders. All memory is reserved at creation.
 * Owner: one thread at a time.                                                                   */
#ifndef AUDIO_PUSH_H
#define AUDIO_PUSH_H

#include <stddef.h>
#include <stdint.h>

#include "audio/decode.h"
#include "base/error.h"

struct audio_push; /* opaque */

/* Errors: INVALID (type), UNSUPPORTED (rate, channels), NOMEM; the sentence says what is accepted.
 */
AURICLE_MUST_CHECK enum auricle_error audio_push_create(enum audio_raw_type type, int rate_hz,
                                                        int channels, struct audio_push **out,
                                                        struct au_fault *fault);
void audio_push_destroy(struct audio_push *push); /* NULL is fine */

/* Convert. Takes *n_used of n bytes, fewer only when the room for samples is used up, and writes
 * *n_out, at most max, samples; some come later, the resampler looks ahead. After the last input
 * call with bytes NULL until *n_out is 0. Errors: NOMEM.  Allocates: never (soxr may).           */
AURICLE_MUST_CHECK enum auricle_error audio_push_run(struct audio_push *push, const uint8_t *bytes,
                                                     size_t n, size_t *n_used, float *out,
                                                     size_t max, size_t *n_out);

#endif
