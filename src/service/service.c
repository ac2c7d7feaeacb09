/* The service as a whole: making its parts and taking them down in order. See service.h. */
#include "service/service.h"

#include "base/mem.h"
#include "service/core.h"

/* Pipes are live sessions: as many as may be, and silent as long as one may be (work/live.c ends
 * those that are longer).                                                                        */
static int pipes_for(const struct service *service)
{
    return service->max_pipes ? service->max_pipes : service_get_limits(service).max_live;
}

static enum auricle_error take_bytes(void *context, uint64_t bytes, struct au_fault *fault)
{
    const struct service *service = context;
    return service_spool_take(service->admission, bytes, fault);
}

static void give_bytes(void *context, uint64_t bytes)
{
    const struct service *service = context;
    service_spool_give(service->admission, bytes);
}

static struct service_media_config media_for(struct service *service,
                                             const struct service_config *config)
{
    struct service_media_config media = config->media;
    media.max_pipes = pipes_for(service);
    media.take_bytes = take_bytes;
    media.give_bytes = give_bytes;
    media.context = service;
    if (!(media.max_wait_seconds > 0))
        media.max_wait_seconds = 2 * SERVICE_LIVE_IDLE_SECONDS;
    return media;
}

static enum auricle_error build(struct service *service, const struct service_config *config,
                                struct au_fault *fault)
{
    struct service_engines_config engines = config->engines;
    enum auricle_error error = service_metrics_create(&service->metrics);
    if (!error)
        error = service_admission_create(&config->limits, service->metrics, &service->admission);
    if (!error) {
        const struct service_media_config media = media_for(service, config);
        error = service_media_create(&media, &service->media, fault);
    }
    engines.metrics = service->metrics;
    if (!error)
        error = service_engines_create(&engines, &service->engines, fault);
    if (!error)
        error = service_scheduler_create(service->metrics, &service->scheduler);
    return error;
}

enum auricle_error service_create(const struct service_config *config, struct service **out,
                                  struct au_fault *fault)
{
    struct service *service = au_calloc(1, sizeof(*service));
    if (!service)
        return au_fail(fault, AURICLE_E_NOMEM, "out of memory");
    pthread_mutex_init(&service->lives_lock, NULL);
    service->max_pipes = config->media.max_pipes > 0 ? config->media.max_pipes : 0;
    service->max_beams = config->engines.max_beams ? config->engines.max_beams : 5;
    struct au_fault own = {0};
    enum auricle_error error = build(service, config, &own);
    if (error) {
        service_destroy(service);
        if (own.code && fault)
            *fault = own;
        return own.code ? error : au_fail(fault, error, "out of memory, or of threads");
    }
    *out = service;
    return AURICLE_OK;
}

void service_destroy(struct service *service)
{
    if (!service)
        return;
    service_scheduler_stop(service->scheduler);
    /* A model that was still being loaded for somebody pokes the scheduler, which stands yet. */
    service_engines_destroy(service->engines);
    service_media_destroy(service->media);
    service_scheduler_destroy(service->scheduler);
    service_admission_destroy(service->admission);
    service_metrics_destroy(service->metrics);
    pthread_mutex_destroy(&service->lives_lock);
    au_free(service);
}

void service_set_limits(struct service *service, const struct service_limits *limits,
                        double max_audio_seconds)
{
    service_admission_set_limits(service->admission, limits);
    service_media_set_limits(service->media, pipes_for(service), max_audio_seconds);
}

struct service_engines *service_engines_of(struct service *service)
{
    return service->engines;
}

struct service_metrics *service_metrics_of(struct service *service)
{
    return service->metrics;
}

bool service_making_progress(const struct service *service, struct au_fault *why)
{
    return service_scheduler_progresses(service->scheduler, why);
}

enum auricle_error service_sessions(struct service *service, struct service_session_info **out,
                                    size_t *n)
{
    return service_scheduler_list(service->scheduler, out, n);
}
