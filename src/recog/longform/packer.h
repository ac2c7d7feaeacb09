/* Cutting a recording into windows of speech.
 *
 * With voice activity detection, stretches of speech are laid side by side until a window is full.
 * Without it, the recording is cut into windows at their quietest moment near the end. Clips and
 * offsets of the options are kept. Only stretches inside them are packed.
 * Owner: one session.                                                                           */
#ifndef RECOG_PACKER_H
#define RECOG_PACKER_H

#include "recog/longform/timeline.h"
#include "recog/session.h"

struct recog_packer; /* opaque */

/* window_samples: what a window holds. Errors: NOMEM, INVALID (voice activity options). */
AURICLE_MUST_CHECK enum auricle_error recog_packer_create(struct auricle_session *session,
                                                          size_t window_samples,
                                                          struct recog_packer **out,
                                                          struct au_fault *fault);
void recog_packer_destroy(struct recog_packer *packer);

/* Fill the next window: samples [window_samples], *n of them so far, and the timeline of where they
 * come from. Both begin empty, at every window; after AGAIN the call is made again with what they
 * hold. *n stays 0 at the end. Errors: as recog_source_read.                                     */
AURICLE_MUST_CHECK enum auricle_error recog_packer_fill(struct recog_packer *packer, float *samples,
                                                        size_t *n, struct recog_timeline *timeline,
                                                        struct au_fault *fault);

#endif
