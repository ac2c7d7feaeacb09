/* Loading and freeing models, and the thread that does both while others are served. See pool.h. */
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "service/engines/load.h"
#include "service/engines/pool.h"
#include "service/metrics/metrics.h"

/* ---- Freeing, outside the lock -------------------------------------------------------------- */

void service_loader_free(struct service_engine *e)
{
    if (!e)
        return;
    auricle_engine_destroy(e->engine);
    au_free(e->name);
    au_free(e->path);
    au_free(e);
}

void service_loader_free_all(struct service_engines *pool, struct service_engine *gone)
{
    while (gone) {
        struct service_engine *next = gone->next;
        au_log(AU_LOG_INFO, "model %s freed: %.1f MB", gone->name, (double)gone->bytes * 1e-6);
        if (pool->config.metrics)
            service_count(pool->config.metrics, SERVICE_COUNT_MODEL_EVICTIONS, 1);
        service_loader_free(gone);
        gone = next;
    }
}

void service_job_free(struct service_job *job)
{
    if (!job)
        return;
    au_free(job->name);
    au_free(job->path);
    au_free(job);
}

void service_job_answer(struct service_job *job, struct service_engine *lease,
                        const struct au_fault *fault)
{
    job->ready(job->context, lease, fault);
    service_job_free(job);
}

/* ---- Loading -------------------------------------------------------------------------------- */

static enum auricle_error load_engine(const struct service_engines *pool, const char *path,
                                      struct auricle_engine **out, struct au_fault *fault)
{
    struct auricle_engine_options options = AURICLE_ENGINE_OPTIONS_INIT;
    options.model = path;
    options.vad_model = pool->vad_model;
    options.threads = pool->config.threads;
    options.compute = pool->config.compute;
    options.cpu_level = pool->cpu_level;
    options.max_windows = pool->config.max_windows;
    options.max_beams = pool->config.max_beams;
    options.cache_folder = pool->cache_folder;
    return service_engine_load(&options, pool->config.cache_bytes, out, fault);
}

static void tell_loaded(const struct service_engines *pool, const char *name,
                        const struct auricle_model_info *info)
{
    au_log(AU_LOG_INFO,
           "model %s: %s, %.1f million parameters, %s, %.1f MB in memory, %s, %d threads, loaded "
           "in %.0f ms%s",
           name, info->format, (double)info->parameters / 1e6, info->compute,
           (double)info->weight_bytes / 1e6, info->cpu_level, info->threads,
           1e3 * info->load_seconds, info->cached ? " from the cache" : "");
    if (!pool->config.metrics)
        return;
    service_count(pool->config.metrics, SERVICE_COUNT_MODEL_LOADS, 1);
    if (info->cached)
        service_count(pool->config.metrics, SERVICE_COUNT_CACHE_HITS, 1);
}

enum auricle_error service_loader_load(struct service_engines *pool, const char *name,
                                       const char *path, struct service_engine **out,
                                       struct au_fault *fault)
{
    struct service_engine *e = au_calloc(1, sizeof *e);
    if (!e)
        return au_fail(fault, AURICLE_E_NOMEM, "out of memory for the model %s", name);
    struct auricle_model_info info;
    enum auricle_error error = AURICLE_OK;
    e->pool = pool;
    e->name = au_strdup(name);
    e->path = au_strdup(path);
    if (!e->name || !e->path)
        error = au_fail(fault, AURICLE_E_NOMEM, "out of memory for the model %s", name);
    if (!error)
        error = load_engine(pool, path, &e->engine, fault);
    if (error) {
        service_loader_free(e);
        return error;
    }
    auricle_engine_info(e->engine, &info);
    e->bytes = info.weight_bytes;
    e->last_used_ns = au_now_ns();
    tell_loaded(pool, name, &info);
    *out = e;
    return AURICLE_OK;
}

/* ---- The loader's thread -------------------------------------------------------------------- */

static bool all_places_pinned(const struct service_engines *pool)
{
    return service_shelf_tally(pool).n_pinned >= pool->config.max_loaded;
}

/* Whether the first job can go on: it is loaded already, a place is free or can be made free, or it
 * never will be.                                                                                 */
static bool can_go_on(const struct service_engines *pool)
{
    return pool->jobs && (service_shelf_find(pool, pool->jobs->path) || all_places_pinned(pool) ||
                          service_shelf_tally(pool).n_busy < pool->config.max_loaded);
}

/* Wait for something to do; the lock is held. */
static void wait_for_work(struct service_engines *pool)
{
    int64_t expiry = service_shelf_next_expiry_ns(pool);
    if (expiry == INT64_MAX) {
        pthread_cond_wait(&pool->wake, &pool->lock);
        return;
    }
    struct timespec until = {(time_t)(expiry / 1000000000), (long)(expiry % 1000000000)};
    pthread_cond_timedwait(&pool->wake, &pool->lock, &until);
}

/* Take out all jobs for the same path, in order; those with a lease hold it. The lock is held. */
static struct service_job *take_jobs(struct service_engines *pool, const char *path,
                                     struct service_engine *lease)
{
    struct service_job *first = NULL, **end = &first;
    struct service_job **at = &pool->jobs;
    while (*at) {
        struct service_job *job = *at;
        if (!au_str_equal(job->path, path)) {
            at = &job->next;
            continue;
        }
        *at = job->next;
        job->next = NULL;
        job->lease = lease;
        if (lease)
            service_shelf_take(lease);
        *end = job;
        end = &job->next;
    }
    pool->last_job = at;
    return first;
}

enum auricle_error service_loader_settle(struct service_engines *pool, struct service_engine *e,
                                         struct service_engine **gone, struct au_fault *fault)
{
    e->next = pool->loaded;
    pool->loaded = e;
    *gone = service_shelf_unlink_surplus(pool, e, 0);
    struct service_tally t = service_shelf_tally(pool);
    if (!pool->config.max_bytes || t.bytes <= pool->config.max_bytes)
        return AURICLE_OK;
    pool->loaded = e->next;
    e->next = *gone;
    *gone = e;
    service_shelf_tell(pool);
    if (e->bytes > pool->config.max_bytes)
        return au_fail(fault, AURICLE_E_UNSUPPORTED,
                       "the model %s needs %.1f MB, and models may take %.1f MB here", e->name,
                       (double)e->bytes * 1e-6, (double)pool->config.max_bytes * 1e-6);
    return au_fail(
        fault, AURICLE_E_AGAIN,
        "the model %s needs %.1f MB, and others that are in use hold %.1f MB of the %.1f "
        "MB that models may take",
        e->name, (double)e->bytes * 1e-6, (double)(t.bytes - e->bytes) * 1e-6,
        (double)pool->config.max_bytes * 1e-6);
}

/* Do the first job, and all that ask for the same. Called and left with the lock held. */
static void do_first_job(struct service_engines *pool)
{
    const char *name = pool->jobs->name, *path = pool->jobs->path; /* stay while it is queued */
    struct au_fault fault = {0};
    struct service_engine *e = service_shelf_find(pool, path), *gone = NULL;
    enum auricle_error error = AURICLE_OK;
    if (!e && all_places_pinned(pool)) {
        error = au_fail(&fault, AURICLE_E_AGAIN,
                        "the model %s cannot be loaded: all places for models are pinned", name);
    } else if (!e) {
        gone = service_shelf_unlink_surplus(pool, NULL, pool->jobs->bytes);
        pthread_mutex_unlock(&pool->lock);
        service_loader_free_all(pool, gone);
        gone = NULL;
        error = service_loader_load(pool, name, path, &e, &fault);
        pthread_mutex_lock(&pool->lock);
        if (!error)
            error = service_loader_settle(pool, e, &gone, &fault);
    }
    struct service_job *jobs = take_jobs(pool, path, error ? NULL : e);
    pthread_mutex_unlock(&pool->lock);
    if (error)
        au_log(AU_LOG_WARN, "%s", fault.text);
    service_loader_free_all(pool, gone);
    while (jobs) {
        struct service_job *next = jobs->next;
        service_job_answer(jobs, jobs->lease, &fault);
        jobs = next;
    }
    pthread_mutex_lock(&pool->lock);
}

static void *run_loader(void *context)
{
    struct service_engines *pool = context;
    pthread_mutex_lock(&pool->lock);
    while (!pool->stopping) {
        struct service_engine *gone = service_shelf_unlink_surplus(pool, NULL, 0);
        if (gone) {
            pthread_mutex_unlock(&pool->lock);
            service_loader_free_all(pool, gone);
            pthread_mutex_lock(&pool->lock);
        } else if (can_go_on(pool)) {
            do_first_job(pool);
        } else {
            wait_for_work(pool);
        }
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

enum auricle_error service_loader_start(struct service_engines *pool, struct au_fault *fault)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pool->wake_made = pthread_cond_init(&pool->wake, &attributes) == 0;
    pthread_condattr_destroy(&attributes);
    pool->lock_made = pthread_mutex_init(&pool->lock, NULL) == 0;
    if (pool->wake_made && pool->lock_made)
        pool->loader_made = pthread_create(&pool->loader, NULL, run_loader, pool) == 0;
    return pool->loader_made ? AURICLE_OK
                             : au_fail(fault, AURICLE_E_NOMEM, "no thread for loading models");
}
