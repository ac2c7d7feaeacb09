/* Who is let in: places, bytes, and an honest guess when there will be room. See request.h.
 * Thread: any.                                                                                   */
#ifndef SERVICE_ADMISSION_H
#define SERVICE_ADMISSION_H

#include <pthread.h>

#include "service/metrics/metrics.h"
#include "service/service.h"
#include "service/work/request.h"

struct service_admission {
    pthread_mutex_t lock; /* guards the rest */
    struct service_limits limits;
    struct service_metrics *metrics;
    bool draining;
    size_t n_waiting, n_live;
    size_t n_active; /* tickets and live sessions not yet over */
    uint64_t reserved_bytes, spooled_bytes;
    double pace_seconds;  /* between two requests that ended while others waited; 0: not known */
    int64_t last_done_ns; /* 0: the queue was empty since */
};

AURICLE_MUST_CHECK enum auricle_error service_admission_create(const struct service_limits *limits,
                                                               struct service_metrics *metrics,
                                                               struct service_admission **out);
void service_admission_destroy(struct service_admission *admission);

void service_admission_set_limits(struct service_admission *admission,
                                  const struct service_limits *limits);

/* The request is over for those who wait outside; the ticket itself still counts as active. */
void service_ticket_leave(struct service_ticket *ticket);

/* Bytes in files: a recording as it came, what was decoded of one. Errors: AGAIN. */
AURICLE_MUST_CHECK enum auricle_error service_spool_take(struct service_admission *admission,
                                                         uint64_t bytes, struct au_fault *fault);
void service_spool_give(struct service_admission *admission, uint64_t bytes);

/* A live session's place. Errors: LIMIT. */
AURICLE_MUST_CHECK enum auricle_error service_admission_live(struct service_admission *admission,
                                                             double *retry_after_seconds,
                                                             struct au_fault *fault);
void service_admission_live_over(struct service_admission *admission);

#endif
