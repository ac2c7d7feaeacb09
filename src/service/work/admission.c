/* Admission. See admission.h and request.h.
 *
 * A place is held from before the body is received until the request is answered. The pace is how
 * often requests end while others wait, smoothed: a full queue of n moves on by a quarter in about
 * n / 4 times that, which is when it is worth coming again.                                      */
#include "service/work/admission.h"

#include <math.h>

#include "base/clock.h"
#include "base/mem.h"
#include "service/core.h"

struct service_ticket {
    struct service *service;
    uint64_t bytes;
    uint64_t spooled; /* the network's or gRPC's thread, then whoever releases it */
    bool left;        /* its place and bytes were given back */
};

static struct service_limits with_defaults(const struct service_limits *given)
{
    struct service_limits limits = *given;
    if (limits.max_waiting <= 0)
        limits.max_waiting = 256;
    if (!limits.max_reserved)
        limits.max_reserved = (uint64_t)2 << 30;
    if (!limits.max_spooled)
        limits.max_spooled = (uint64_t)16 << 30;
    if (!limits.max_upload_bytes)
        limits.max_upload_bytes = 500u * 1000 * 1000;
    if (limits.max_live <= 0)
        limits.max_live = 64;
    return limits;
}

enum auricle_error service_admission_create(const struct service_limits *limits,
                                            struct service_metrics *metrics,
                                            struct service_admission **out)
{
    struct service_admission *a = au_calloc(1, sizeof(*a));
    if (!a)
        return AURICLE_E_NOMEM;
    *a = (struct service_admission){.limits = with_defaults(limits), .metrics = metrics};
    pthread_mutex_init(&a->lock, NULL);
    *out = a;
    return AURICLE_OK;
}

void service_admission_destroy(struct service_admission *a)
{
    if (!a)
        return;
    pthread_mutex_destroy(&a->lock);
    au_free(a);
}

void service_admission_set_limits(struct service_admission *a, const struct service_limits *limits)
{
    pthread_mutex_lock(&a->lock);
    a->limits = with_defaults(limits);
    pthread_mutex_unlock(&a->lock);
}

static void publish(struct service_admission *a)
{
    service_gauge_set(a->metrics, SERVICE_GAUGE_WAITING, (int64_t)a->n_waiting);
    service_gauge_set(a->metrics, SERVICE_GAUGE_RESERVED_BYTES, (int64_t)a->reserved_bytes);
    service_gauge_set(a->metrics, SERVICE_GAUGE_SPOOLED_BYTES, (int64_t)a->spooled_bytes);
    service_gauge_set(a->metrics, SERVICE_GAUGE_LIVE, (int64_t)a->n_live);
}

/* Seconds until it is worth coming again. */
static double hint(const struct service_admission *a)
{
    double pace = a->pace_seconds > 0 ? a->pace_seconds : 1;
    return fmin(fmax(ceil(pace * (double)a->n_waiting / 4), 1), 120);
}

static enum auricle_error refuse(struct service_admission *a, uint64_t bytes,
                                 struct au_fault *fault)
{
    if (a->draining)
        return au_fail(fault, AURICLE_E_LIMIT,
                       "the server is shutting down and takes no new work: try another, or later");
    if (a->n_waiting >= (size_t)a->limits.max_waiting)
        return au_fail(fault, AURICLE_E_LIMIT,
                       "the server is full: %zu requests are being worked on or wait, which is as "
                       "many as it takes; come again later",
                       a->n_waiting);
    return au_fail(fault, AURICLE_E_LIMIT,
                   "the server is full: requests hold %.0f MB and this one needs %.0f MB more, of "
                   "%.0f MB in all; come again later",
                   (double)a->reserved_bytes * 1e-6, (double)bytes * 1e-6,
                   (double)a->limits.max_reserved * 1e-6);
}

static bool has_bytes(const struct service_admission *a, uint64_t bytes)
{
    return a->reserved_bytes <= a->limits.max_reserved &&
           bytes <= a->limits.max_reserved - a->reserved_bytes;
}

enum auricle_error service_admit(struct service *service, uint64_t bytes,
                                 struct service_ticket **out, double *retry_after_seconds,
                                 struct au_fault *fault)
{
    struct service_admission *a = service->admission;
    enum auricle_error error = AURICLE_OK;
    struct service_ticket *ticket = au_calloc(1, sizeof(*ticket));
    if (!ticket)
        return au_fail(fault, AURICLE_E_NOMEM, "out of memory");
    *ticket = (struct service_ticket){.service = service, .bytes = bytes};
    pthread_mutex_lock(&a->lock);
    if (a->draining || a->n_waiting >= (size_t)a->limits.max_waiting || !has_bytes(a, bytes)) {
        error = refuse(a, bytes, fault);
        *retry_after_seconds = hint(a);
    } else {
        a->n_waiting++;
        a->n_active++;
        a->reserved_bytes += bytes;
        publish(a);
    }
    pthread_mutex_unlock(&a->lock);
    if (error)
        au_free(ticket);
    else
        *out = ticket;
    return error;
}

enum auricle_error service_ticket_grow(struct service_ticket *ticket, uint64_t more_bytes,
                                       struct au_fault *fault)
{
    struct service_admission *a = ticket->service->admission;
    enum auricle_error error = AURICLE_OK;
    pthread_mutex_lock(&a->lock);
    if (has_bytes(a, more_bytes)) {
        a->reserved_bytes += more_bytes;
        ticket->bytes += more_bytes;
        publish(a);
    } else {
        error = au_fail(fault, AURICLE_E_LIMIT,
                        "the server is full: requests hold %.0f MB of %.0f MB in all; come again "
                        "later",
                        (double)a->reserved_bytes * 1e-6, (double)a->limits.max_reserved * 1e-6);
    }
    pthread_mutex_unlock(&a->lock);
    return error;
}

/* How much a recording becomes is known when it is decoded: whoever grows last is refused. */
enum auricle_error service_spool_take(struct service_admission *a, uint64_t bytes,
                                      struct au_fault *fault)
{
    enum auricle_error error = AURICLE_OK;
    pthread_mutex_lock(&a->lock);
    if (a->spooled_bytes <= a->limits.max_spooled &&
        bytes <= a->limits.max_spooled - a->spooled_bytes) {
        a->spooled_bytes += bytes;
        publish(a);
    } else {
        error = au_fail(fault, AURICLE_E_AGAIN,
                        "the server is full: recordings and what was decoded of them take %.0f MB "
                        "of disk, of %.0f MB in all; come again later",
                        (double)a->spooled_bytes * 1e-6, (double)a->limits.max_spooled * 1e-6);
    }
    pthread_mutex_unlock(&a->lock);
    return error;
}

void service_spool_give(struct service_admission *a, uint64_t bytes)
{
    pthread_mutex_lock(&a->lock);
    a->spooled_bytes -= bytes;
    publish(a);
    pthread_mutex_unlock(&a->lock);
}

enum auricle_error service_ticket_spool(struct service_ticket *ticket, uint64_t more_bytes,
                                        struct au_fault *fault)
{
    enum auricle_error error = service_spool_take(ticket->service->admission, more_bytes, fault);
    if (!error)
        ticket->spooled += more_bytes;
    return error;
}

static void note_pace(struct service_admission *a)
{
    int64_t now = au_now_ns();
    if (a->last_done_ns) {
        double gap = (double)(now - a->last_done_ns) * 1e-9;
        a->pace_seconds = a->pace_seconds > 0 ? 0.8 * a->pace_seconds + 0.2 * gap : gap;
    }
    a->last_done_ns = a->n_waiting ? now : 0;
}

static void leave(struct service_ticket *ticket, bool worked)
{
    struct service_admission *a = ticket->service->admission;
    if (ticket->left)
        return;
    ticket->left = true;
    a->n_waiting--;
    a->reserved_bytes -= ticket->bytes;
    if (worked)
        note_pace(a);
    publish(a);
}

void service_ticket_leave(struct service_ticket *ticket)
{
    struct service_admission *a = ticket->service->admission;
    pthread_mutex_lock(&a->lock);
    leave(ticket, true);
    pthread_mutex_unlock(&a->lock);
}

void service_ticket_release(struct service_ticket *ticket)
{
    if (!ticket)
        return;
    struct service_admission *a = ticket->service->admission;
    pthread_mutex_lock(&a->lock);
    a->spooled_bytes -= ticket->spooled;
    leave(ticket, false);
    publish(a);
    a->n_active--;
    pthread_mutex_unlock(&a->lock);
    au_free(ticket);
}

enum auricle_error service_admission_live(struct service_admission *a, double *retry_after_seconds,
                                          struct au_fault *fault)
{
    enum auricle_error error = AURICLE_OK;
    pthread_mutex_lock(&a->lock);
    if (a->draining) {
        error = refuse(a, 0, fault);
    } else if (a->n_live >= (size_t)a->limits.max_live) {
        error = au_fail(fault, AURICLE_E_LIMIT,
                        "%zu live sessions are open, which is as many as the server takes; come "
                        "again later",
                        a->n_live);
    } else {
        a->n_live++;
        a->n_active++;
        publish(a);
    }
    if (error)
        *retry_after_seconds = 10; /* how long people speak is not known */
    pthread_mutex_unlock(&a->lock);
    return error;
}

void service_admission_live_over(struct service_admission *a)
{
    pthread_mutex_lock(&a->lock);
    a->n_live--;
    a->n_active--;
    publish(a);
    pthread_mutex_unlock(&a->lock);
}

/* ---- The service's own calls ----------------------------------------------------------------- */

void service_drain(struct service *service)
{
    pthread_mutex_lock(&service->admission->lock);
    service->admission->draining = true;
    pthread_mutex_unlock(&service->admission->lock);
    service_lives_close(service);
}

bool service_draining(const struct service *service)
{
    pthread_mutex_lock(&service->admission->lock);
    bool draining = service->admission->draining;
    pthread_mutex_unlock(&service->admission->lock);
    return draining;
}

size_t service_active(const struct service *service)
{
    pthread_mutex_lock(&service->admission->lock);
    size_t n = service->admission->n_active;
    pthread_mutex_unlock(&service->admission->lock);
    return n;
}

struct service_limits service_get_limits(const struct service *service)
{
    pthread_mutex_lock(&service->admission->lock);
    struct service_limits limits = service->admission->limits;
    pthread_mutex_unlock(&service->admission->lock);
    return limits;
}
