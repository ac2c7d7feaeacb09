/* Batched long form: stretches of speech packed into windows of at most 30 s that are decoded
 * together.
 *
 * Voice activity cuts the recording, so windows are cut in silence and silence costs nothing. Each
 * window is independent: its own mel maximum, no text carried over, so the order of decoding does
 * not matter and as many windows as the engine allows are in work at once. Segments come out in
 * order. Memory does not grow with the length of the recording, but for the transcript.          */
#ifndef RECOG_BATCHED_H
#define RECOG_BATCHED_H

#include "recog/session.h"

/* Errors: NOMEM, INVALID (options that need sequential decoding). */
AURICLE_MUST_CHECK enum auricle_error recog_batched_create(struct auricle_session *session,
                                                           struct recog_strategy *out,
                                                           struct au_fault *fault);

#endif
