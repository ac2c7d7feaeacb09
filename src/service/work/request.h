/* A request: one recording to be transcribed, whoever asked and by whichever protocol.
 *
 * Life: service_admit (before the body is received, so that a full server refuses early) ->
 * service_request_start (media decoding begins, the model is leased, a session joins the scheduler)
 * -> the sink hears of segments -> on_done, exactly once. Cancelling at any point makes on_done
 * come with CANCELLED within the time of one batch.
 *
 * Thread: functions any; the sink is called on the scheduler's thread and must return at once:
 * it posts to its own thread. What it is given is borrowed for the call.                         */
#ifndef SERVICE_REQUEST_H
#define SERVICE_REQUEST_H

#include "auricle/auricle.h"
#include "service/service.h"

/* ---- Admission ------------------------------------------------------------------------------- */

struct service_ticket; /* opaque: a place in the queue, and bytes reserved */

/* Reserve a place and `bytes` of memory (what the caller will hold in memory at the worst).
 * Errors: LIMIT: full or draining; *retry_after_seconds says when to come again. NOMEM.          */
AURICLE_MUST_CHECK enum auricle_error service_admit(struct service *service, uint64_t bytes,
                                                    struct service_ticket **out,
                                                    double *retry_after_seconds,
                                                    struct au_fault *fault);
/* More bytes for the same place. LIMIT as above; the ticket stays valid. */
AURICLE_MUST_CHECK enum auricle_error service_ticket_grow(struct service_ticket *ticket,
                                                          uint64_t more_bytes,
                                                          struct au_fault *fault);
/* More bytes of its recording lie in a file, until the release. One thread at a time. Errors: AGAIN
 * when the recordings of all would take too much of the disk.                                    */
AURICLE_MUST_CHECK enum auricle_error service_ticket_spool(struct service_ticket *ticket,
                                                           uint64_t more_bytes,
                                                           struct au_fault *fault);
void service_ticket_release(struct service_ticket *ticket); /* NULL is fine */

/* ---- Requests -------------------------------------------------------------------------------- */

enum service_priority {
    SERVICE_PRIORITY_LIVE,      /* somebody is speaking */
    SERVICE_PRIORITY_WAITING,   /* somebody waits for the answer */
    SERVICE_PRIORITY_BACKGROUND /* nobody waits */
};

struct service_timings {
    double receive, queue, decode_audio, load_model, mel, encoder, decoder, total; /* seconds */
};

struct service_outcome {
    enum auricle_error error; /* OK, CANCELLED, NO_AUDIO (not one sample), or what failed */
    const char *sentence;     /* of the error */
    const struct auricle_result *result; /* NULL with an error; what was final with CANCELLED */
    const char *model;                   /* its name as listed; NULL where it was not loaded */
    const struct auricle_engine *engine; /* what its tokens mean; as model */
    struct audio_info media;             /* what was found in the recording */
    struct service_timings timings;
};

struct service_sink {
    void *context;
    void (*on_started)(void *context); /* the session is being worked on; may be NULL */
    void (*on_segment)(void *context, const struct auricle_segment *segment);      /* may be NULL */
    void (*on_progress)(void *context, double seconds_done, double seconds_total); /* may be NULL */
    void (*on_done)(void *context, const struct service_outcome *outcome);
};

struct service_request_spec {
    const char *id;                        /* request id, for the log; copied */
    const char *model;                     /* NULL: the default */
    const struct auricle_options *options; /* copied */
    const char *name;                      /* of the recording, for sentences; copied */
    int fd;                                /* the recording: taken, on failure too */
    enum service_priority priority;
    double receive_seconds;        /* time spent receiving it, for the timings */
    struct service_ticket *ticket; /* taken, on failure too */
};

struct service_request; /* opaque */

/* Errors: INVALID (options), NOT_FOUND (model), NOMEM, IO; on_done is then not called. */
AURICLE_MUST_CHECK enum auricle_error service_request_start(struct service *service,
                                                            const struct service_request_spec *spec,
                                                            const struct service_sink *sink,
                                                            struct service_request **out,
                                                            struct au_fault *fault);
/* What the tokens of its segments mean. For the sink, while it is told of them. */
const struct auricle_engine *service_request_engine(const struct service_request *request);
/* Ask it to end; on_done still comes. */
void service_request_cancel(struct service_request *request);
/* Give the handle back, after on_done or before (the request then goes on unless cancelled). */
void service_request_release(struct service_request *request);

#endif
