/* What a server does, whichever protocol asks: models, media, a scheduler, admission, metrics.
 *
 * Protocol code calls service_admit and service_request_start (work/request.h) for recordings and
 * service_live_open (work/live.h) for live audio, and answers when the sink is told. Nothing here
 * knows of HTTP or gRPC.
 * Thread: create, drain and destroy belong to the main thread.                                   */
#ifndef SERVICE_SERVICE_H
#define SERVICE_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "service/engines/engines.h"
#include "service/media/media.h"

struct service; /* opaque */

struct service_limits {
    int max_waiting;           /* requests admitted and not yet done; 0: 256 */
    uint64_t max_reserved;     /* bytes they may hold; 0: 2 GiB */
    uint64_t max_spooled;      /* bytes of all recordings in files: as they came, and decoded;
                                  0: 16 GiB */
    uint64_t max_upload_bytes; /* MAX_FILE_SIZE; 0: 500 MB */
    int max_live;              /* live sessions; 0: 64 */
};

struct service_config {
    struct service_engines_config engines;
    struct service_media_config media;
    struct service_limits limits;
};

AURICLE_MUST_CHECK enum auricle_error service_create(const struct service_config *config,
                                                     struct service **out, struct au_fault *fault);
/* Everything must be over: see service_drain. */
void service_destroy(struct service *service);

/* Refuse the new from now on, take no more audio of live sessions (what was said is heard, then
 * they are done); returns at once. */
void service_drain(struct service *service);
bool service_draining(const struct service *service);
/* Requests and live sessions not yet over; a drain is complete at 0. */
size_t service_active(const struct service *service);

/* New limits (SIGHUP), and another on the length of recordings (0: the default). What is under way
 * goes on as it began.                                                                           */
void service_set_limits(struct service *service, const struct service_limits *limits,
                        double max_audio_seconds);
struct service_limits service_get_limits(const struct service *service);

struct service_engines *service_engines_of(struct service *service);
struct service_metrics *service_metrics_of(struct service *service);

/* False, with a sentence, when work is waiting and none was finished for some time. */
bool service_making_progress(const struct service *service, struct au_fault *why);

/* One line per session, for /sessions. */
enum { SERVICE_ID_BYTES = 72 }; /* of a request's name: 64 characters, and some */
struct service_session_info {
    char id[SERVICE_ID_BYTES];
    char model[128];
    bool live;
    double age_seconds, audio_seconds_done, audio_seconds_total; /* total < 0: unknown */
    /* "receiving", "decoding", "queued", "running", "ending" (its outcome was told), "detached" */
    char state[16];
};
/* A new array (au_free). */
AURICLE_MUST_CHECK enum auricle_error service_sessions(struct service *service,
                                                       struct service_session_info **out,
                                                       size_t *n);

#endif
