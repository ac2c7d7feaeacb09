/* The scheduler: one thread that drives all sessions of all engines.
 *
 * A turn: take what is new; ask every session that may go on for units; run what was chosen as one
 * batch per engine; give the units back; tell the sinks. Then the next turn, or sleep until
 * somebody pokes.
 *
 * Who comes first: live, then those who wait, then the background; in turns within a class.
 * Decoder steps of all run together, they cost little more than one. Encoder windows are what
 * others wait for, so: a batch of them takes about 150 ms at most (so that cancelling does, too);
 * while live sessions are open those of others go one at a time; and while a live session has work
 * they take a third of the time. Recordings on one engine share its windows evenly.
 *
 * Nothing here waits for anything but compute: media, models and audio come by poking.           */
#ifndef SERVICE_SCHEDULER_H
#define SERVICE_SCHEDULER_H

#include "service/metrics/metrics.h"
#include "service/work/work.h"

struct service_scheduler; /* opaque */

AURICLE_MUST_CHECK enum auricle_error service_scheduler_create(struct service_metrics *metrics,
                                                               struct service_scheduler **out);
/* Ends all that is under way with CANCELLED, then the thread. Works must not be added any more; a
 * poke is still fine until destroy.                                                              */
void service_scheduler_stop(struct service_scheduler *scheduler);
void service_scheduler_destroy(struct service_scheduler *scheduler); /* after stop; NULL is fine */

/* Fill the common part: one reference, the caller's. model and id are copied. */
void service_work_init(struct service_work *work, struct service_scheduler *scheduler,
                       const struct service_work_ops *ops, enum service_priority priority,
                       const char *id, const char *model);
/* Hand it to the scheduler and ask for its model. */
void service_work_start(struct service_work *work, struct service_engines *engines,
                        const char *model);
/* Any thread: look at this one. */
void service_work_poke(struct service_work *work);
/* How far it is, for /sessions. The scheduler's thread. */
void service_work_show(struct service_work *work, double done, double total);
void service_work_show_detached(struct service_work *work, bool detached); /* any thread */

AURICLE_MUST_CHECK enum auricle_error service_scheduler_list(struct service_scheduler *scheduler,
                                                             struct service_session_info **out,
                                                             size_t *n);
bool service_scheduler_progresses(struct service_scheduler *scheduler, struct au_fault *why);

#endif
