/* Streams: audio that is spoken now (include/auricle/auricle.h, "Streams").
 *
 * Two threads meet here. The feeding one appends samples to a ring and leaves marks (flush, close).
 * The session's owner listens: a detector says where utterances begin and end (endpoint.h); each is
 * heard by a pass (pass.h), a session of its own over the samples in the ring, whose units the
 * stream hands on as its own. While an utterance goes on, quick passes over what there is of it
 * give partials, of which two in a row agree on a stable beginning (agree.h). One pass at a time,
 * finals first. What was heard leaves the ring; what was told is forgotten: memory is flat however
 * long somebody speaks.                                                                          */
#ifndef RECOG_STREAM_H
#define RECOG_STREAM_H

#include "recog/longform/strategy.h"

struct recog_stream; /* opaque */
struct auricle_session;

/* Make the stream the session's strategy; it belongs to the session from now on, on failure too.
 * Errors: INVALID, NOT_FOUND (no detector), NOMEM.                                               */
AURICLE_MUST_CHECK enum auricle_error recog_stream_start(struct recog_stream *stream,
                                                         struct auricle_session *session,
                                                         struct au_fault *fault);

void recog_stream_destroy(struct recog_stream *stream); /* NULL is fine */

#endif
