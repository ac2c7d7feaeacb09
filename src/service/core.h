/* The parts of a service, for the files that are it. Nothing outside src/service includes this.
 *
 * Locks, each held for moments and none while another is taken unless said so:
 *   admission.lock     counts, limits, pace (work/admission.c)
 *   scheduler.wake     the scheduler's sleep (work/scheduler.c)
 *   scheduler.board    who is there and how far, for /sessions (work/scheduler.c)
 *   lives_lock         the list of live sessions; a live's `out` lock may be taken inside it
 *   a live's `in`      audio on its way to the session (work/live_audio.c)
 *   a live's `out`     its sink and kept events; held while the sink is called (work/live.c)     */
#ifndef SERVICE_CORE_H
#define SERVICE_CORE_H

#include <pthread.h>

#include "service/metrics/metrics.h"
#include "service/service.h"
#include "service/work/admission.h"
#include "service/work/scheduler.h"

/* A live session that nobody feeds for so long is closed. */
enum { SERVICE_LIVE_IDLE_SECONDS = 15 * 60 };

struct service_live;

struct service {
    struct service_metrics *metrics;
    struct service_media *media;
    struct service_engines *engines;
    struct service_scheduler *scheduler;
    struct service_admission *admission;
    int max_beams; /* of every engine */
    int max_pipes; /* of the media, as configured; 0: as many as live sessions */
    pthread_mutex_t lives_lock;
    struct service_live *lives; /* those that may be attached to */
};

/* No live session takes more audio: what was said so far is heard, then they are done. */
void service_lives_close(struct service *service);

#endif
