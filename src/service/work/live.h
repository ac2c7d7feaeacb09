/* Live audio: somebody speaks, words come back while they do.
 *
 * Wraps a streaming session (auricle_session_create_stream) for the scheduler: audio in any of the
 * accepted forms goes in, events come out. The session outlives the connection that feeds it: after
 * service_live_detach it waits resume_seconds for another connection to attach by its id; events
 * of that time are kept (finals all, of the partials the newest), and so are the last finals from
 * before it, and the outcome: a connection is dead for a while before that is noticed.
 *
 * Thread: feed, finalize and close belong to one thread at a time (the connection's); the rest any.
 * The sink is called on the scheduler's thread and posts to its own; it must not call this session.
 * A session that nobody feeds for 15 minutes is closed, and done with TIMEOUT.                   */
#ifndef SERVICE_LIVE_H
#define SERVICE_LIVE_H

#include "audio/decode.h"
#include "auricle/auricle.h"
#include "service/service.h"

struct service_live; /* opaque */

struct service_live_spec {
    const char *id;    /* request id, for the log; copied */
    const char *model; /* NULL: the default */
    const struct auricle_options *options;
    const struct auricle_stream_options *stream;
    enum audio_raw_type raw; /* NONE: a container (WebM or Ogg Opus, WAV ...) as it arrives */
    int raw_rate_hz, raw_channels;
    double resume_seconds; /* 0: a session ends with its connection */
};

struct service_live_sink {
    void *context;
    /* event: borrowed for the call. n_final: which of the session's finals it is, from 1; 0: none.
     * One that may have been lost with a connection is told to the next again, as the same.      */
    void (*on_event)(void *context, const struct auricle_stream_event *event, int64_t n_final);
    /* The last call: everything was said, or it failed (error, sentence). The handle stays until
     * the connection ends: abort where that was in good order, detach where it was lost. */
    void (*on_done)(void *context, enum auricle_error error, const char *sentence,
                    double audio_seconds);
};

/* Takes a place of its own in the admission. Errors: LIMIT (*retry_after_seconds), INVALID,
 * NOT_FOUND, NOMEM. The model may still be loading when this returns: audio is kept meanwhile.   */
AURICLE_MUST_CHECK enum auricle_error service_live_open(struct service *service,
                                                        const struct service_live_spec *spec,
                                                        const struct service_live_sink *sink,
                                                        struct service_live **out,
                                                        double *retry_after_seconds,
                                                        struct au_fault *fault);
/* A random name for resuming, 128 bits in hexadecimal. */
const char *service_live_session_id(const struct service_live *live);

/* Bytes of audio as they come. Returns how many were taken: fewer than n when the session cannot
 * keep up (the connection stops reading until on_event or a later try). What comes after the
 * session ended by itself is dropped: on_done says why. Errors: STATE (after
 * service_live_close), NOMEM. */
AURICLE_MUST_CHECK enum auricle_error service_live_feed(struct service_live *live,
                                                        const uint8_t *bytes, size_t n,
                                                        size_t *n_taken, struct au_fault *fault);
void service_live_finalize(struct service_live *live); /* make final what was heard so far */
void service_live_close(struct service_live *live);    /* no more audio: hear the tail, then done */

/* The connection was lost. The handle is given back; the session lives on for resume_seconds, also
 * where its outcome was told: it is told again to who attaches. */
void service_live_detach(struct service_live *live);
/* NOT_FOUND when the id is unknown, over or attached elsewhere. Kept events come at once. */
AURICLE_MUST_CHECK enum auricle_error service_live_attach(struct service *service,
                                                          const char *session_id,
                                                          const struct service_live_sink *sink,
                                                          struct service_live **out,
                                                          struct au_fault *fault);
/* End it at once, or after on_done: all of it arrived. Gives the handle back; on_done is not called
 * any more after the return. */
void service_live_abort(struct service_live *live);

#endif
