/* What a stream has to tell, in order, until its owner asks.
 *
 * Events own copies of all they point to. A partial that was not told yet leaves the queue when
 * something newer of its utterance comes: a slow reader misses partials, never finals.
 * Owner: one stream.                                                                             */
#ifndef RECOG_EVENTS_H
#define RECOG_EVENTS_H

#include "auricle/auricle.h"

struct recog_events {
    struct recog_event *first, *last; /* oldest first */
    struct recog_event *told;         /* the last one handed out */
};

void recog_events_deinit(struct recog_events *events); /* a zeroed one is empty */

/* Append a copy: text, and a segment with its words where there is one. Errors: NOMEM. */
AURICLE_MUST_CHECK enum auricle_error recog_events_add(struct recog_events *events,
                                                       const struct auricle_stream_event *event);
/* As auricle_stream_next_event. */
bool recog_events_next(struct recog_events *events, struct auricle_stream_event *out);

#endif
