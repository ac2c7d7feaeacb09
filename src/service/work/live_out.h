/* The way of a live session's events: to the sink while somebody is attached, else kept.
 *
 * Kept are all events but partials, of those the newest; and the finals and the outcome told
 * last, for a connection that was lost may not have carried them. The sink is called under the
 * lock, so that it is never called after a detach has returned.                                  */
#ifndef SERVICE_LIVE_OUT_H
#define SERVICE_LIVE_OUT_H

#include <pthread.h>
#include <stdatomic.h>

#include "auricle/auricle.h"
#include "base/error.h"
#include "service/work/live.h"

struct service_kept_event;

struct service_live_out {
    pthread_mutex_t lock; /* guards the rest, but for what is atomic */
    struct service_live_sink sink;
    bool attached;
    bool ended_for_good; /* nobody will come back: nothing is kept */
    bool resumable;      /* somebody else may come */
    struct service_kept_event *first, *last;
    struct service_kept_event *told_first, *told_last; /* finals that have been told */
    size_t n_told;
    int64_t n_finals;
    bool lost; /* an event could not be kept for want of memory */
    /* The outcome. */
    bool over, told; /* told: to who is attached */
    enum auricle_error error;
    char sentence[AU_FAULT_TEXT_BYTES];
    double audio_seconds;
    _Atomic int64_t detached_ns; /* 0: attached */
};

void service_live_out_init(struct service_live_out *out, const struct service_live_sink *sink,
                           bool resumable);
void service_live_out_deinit(struct service_live_out *out);

/* Any thread. False: somebody is attached already. */
bool service_live_out_attach(struct service_live_out *out, const struct service_live_sink *sink);
void service_live_out_detach(struct service_live_out *out, bool for_good);

/* The scheduler's thread. */
void service_live_out_tell(struct service_live_out *out, const struct auricle_stream_event *event);
void service_live_out_flush(struct service_live_out *out); /* what was kept, if somebody came */
/* The outcome, told to who is attached and was not told; the first one holds. */
void service_live_out_over(struct service_live_out *out, enum auricle_error error,
                           const char *sentence, double audio_seconds);
/* Somebody came back for the outcome, and is to be told. */
bool service_live_out_waits(struct service_live_out *out);
/* Nobody will come for it any more. Who was told may have been lost, and come back, as long as they
 * have not let go for good. */
bool service_live_out_done(struct service_live_out *out);
bool service_live_out_lost(struct service_live_out *out);

#endif
