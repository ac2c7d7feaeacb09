/* Events of a live session as JSON, named as Deepgram's. All append to out, which keeps errors.
 * Thread: any.                                                                                   */
#ifndef LIVE_LIVE_EVENTS_H
#define LIVE_LIVE_EVENTS_H

#include <stdbool.h>

#include "auricle/auricle.h"
#include "base/buf.h"

struct live_opened {
    const char *request_id, *session_id;
    bool resumed;
    double resume_seconds;
};
void live_write_open(struct au_buf *out, const struct live_opened *opened);

struct live_voice {
    const char *request_id;
    const char *model; /* as asked for; NULL: the default */
    bool vad_events;
    bool from_finalize;
    int64_t n_final;      /* of the session's, from 1; 0: none */
    double last_word_end; /* of the utterance that ends; negative: not known */
};
/* Nothing is written for events that the client did not ask for. */
void live_write_event(struct au_buf *out, const struct auricle_stream_event *event,
                      const struct live_voice *voice);
void live_write_metadata(struct au_buf *out, const char *request_id, const char *session_id,
                         double audio_seconds, int channels);
void live_write_error(struct au_buf *out, const char *code, const char *sentence);

#endif
