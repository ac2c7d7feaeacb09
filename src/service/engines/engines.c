/* The pool of loaded models. See engines.h.
 *
 * One lock guards the list of loaded models and the queue of loads. Models are loaded and freed by
 * the loader's thread alone, outside the lock, so that neither holds up those who want a model that
 * is there.                                                                                      */
#include "service/engines/engines.h"

#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "service/engines/load.h"
#include "service/engines/names.h"
#include "service/metrics/metrics.h"
#include "service/registry/local.h"

#define MAX_LOADED 2

/* A loaded model; every lease on it is this same object, counted. */
struct service_engine {
    struct service_engines *pool;
    struct service_engine *next;
    char *name, *path;
    struct auricle_engine *engine;
    uint64_t bytes;
    int in_use;
    bool pinned;
    int64_t last_used_ns;
};

/* Somebody waits for a model. */
struct job {
    struct job *next;
    char *name, *path;
    uint64_t bytes; /* on disk */
    service_engine_ready *ready;
    void *context;
    struct service_engine *lease; /* once it is answered */
};

struct service_engines {
    struct service_engines_config config; /* without its strings: copies are below */
    char *cache_folder, *cpu_level, *vad_model;
    struct service_model_folders folders;
    char *default_name, *default_path;
    char *pinned;
    struct service_machine machine;

    pthread_mutex_t lock;
    pthread_cond_t wake; /* the loader: a job, a release, the end */
    pthread_t loader;
    bool lock_made, wake_made, loader_made;
    bool stopping;
    struct service_engine *loaded;
    struct job *jobs, **last_job;
};

/* ---- Under the lock ------------------------------------------------------------------------- */

static struct service_engine *find_loaded(const struct service_engines *pool, const char *path)
{
    struct service_engine *e = pool->loaded;
    while (e && !au_str_equal(e->path, path))
        e = e->next;
    return e;
}

static struct service_engine *find_by_name(const struct service_engines *pool, const char *name)
{
    if (service_name_is_default(name))
        name = pool->default_name;
    struct service_engine *e = pool->loaded;
    while (e && !au_str_equal(e->name, name))
        e = e->next;
    return e;
}

static void take(struct service_engine *e)
{
    e->in_use++;
    e->last_used_ns = au_now_ns();
}

static bool is_idle(const struct service_engine *e)
{
    return e->in_use == 0 && !e->pinned;
}

static int64_t ttl_ns(const struct service_engines *pool)
{
    double seconds = pool->config.ttl_seconds;
    return seconds < 0 || seconds > 1e9 ? INT64_MAX : (int64_t)(seconds * 1e9);
}

struct tally {
    int n, n_busy, n_pinned;
    uint64_t bytes;
};

static struct tally tally(const struct service_engines *pool)
{
    struct tally t = {0, 0, 0, 0};
    for (const struct service_engine *e = pool->loaded; e; e = e->next) {
        t.n++;
        t.n_busy += !is_idle(e);
        t.n_pinned += e->pinned;
        t.bytes += e->bytes;
    }
    return t;
}

static void tell_gauges(const struct service_engines *pool)
{
    if (!pool->config.metrics)
        return;
    struct tally t = tally(pool);
    service_gauge_set(pool->config.metrics, SERVICE_GAUGE_MODELS, t.n);
    service_gauge_set(pool->config.metrics, SERVICE_GAUGE_MODEL_BYTES, (int64_t)t.bytes);
}

/* Take out of the list the idle model unused for longest, but not `spared`; NULL: none is idle. */
static struct service_engine *unlink_oldest(struct service_engines *pool,
                                            const struct service_engine *spared)
{
    struct service_engine **oldest = NULL;
    for (struct service_engine **at = &pool->loaded; *at; at = &(*at)->next)
        if (is_idle(*at) && *at != spared &&
            (!oldest || (*at)->last_used_ns < (*oldest)->last_used_ns))
            oldest = at;
    if (!oldest)
        return NULL;
    struct service_engine *e = *oldest;
    *oldest = e->next;
    return e;
}

/* Take out what must go: too many, too large (with `coming` bytes more), or unused for too long.
 * Returns a list.                                                                                */
static struct service_engine *unlink_surplus(struct service_engines *pool,
                                             const struct service_engine *spared, uint64_t coming)
{
    struct service_engine *gone = NULL, *e;
    for (;;) {
        struct tally t = tally(pool);
        bool surplus = t.n > pool->config.max_loaded ||
                       (pool->config.max_bytes && t.bytes + coming > pool->config.max_bytes);
        if (!surplus || !(e = unlink_oldest(pool, spared)))
            break;
        e->next = gone;
        gone = e;
    }
    int64_t ttl = ttl_ns(pool), now = au_now_ns();
    for (struct service_engine **at = &pool->loaded; *at;) {
        e = *at;
        if (is_idle(e) && e != spared && now - e->last_used_ns >= ttl) {
            *at = e->next;
            e->next = gone;
            gone = e;
        } else {
            at = &e->next;
        }
    }
    tell_gauges(pool);
    return gone;
}

/* When the next idle model will have been unused for too long; INT64_MAX: never. */
static int64_t next_expiry_ns(const struct service_engines *pool)
{
    int64_t ttl = ttl_ns(pool), first = INT64_MAX;
    for (const struct service_engine *e = pool->loaded; e && ttl != INT64_MAX; e = e->next)
        if (is_idle(e) && e->last_used_ns + ttl < first)
            first = e->last_used_ns + ttl;
    return first;
}

/* ---- Freeing, outside the lock -------------------------------------------------------------- */

static void free_engine(struct service_engine *e)
{
    if (!e)
        return;
    auricle_engine_destroy(e->engine);
    au_free(e->name);
    au_free(e->path);
    au_free(e);
}

static void free_gone(struct service_engines *pool, struct service_engine *gone)
{
    while (gone) {
        struct service_engine *next = gone->next;
        au_log(AU_LOG_INFO, "model %s freed: %.1f MB", gone->name, (double)gone->bytes * 1e-6);
        if (pool->config.metrics)
            service_count(pool->config.metrics, SERVICE_COUNT_MODEL_EVICTIONS, 1);
        free_engine(gone);
        gone = next;
    }
}

static void free_job(struct job *job)
{
    if (!job)
        return;
    au_free(job->name);
    au_free(job->path);
    au_free(job);
}

static void answer(struct job *job, struct service_engine *lease, const struct au_fault *fault)
{
    job->ready(job->context, lease, fault);
    free_job(job);
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

static enum auricle_error load(struct service_engines *pool, const char *name, const char *path,
                               struct service_engine **out, struct au_fault *fault)
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
        free_engine(e);
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
    return tally(pool).n_pinned >= pool->config.max_loaded;
}

/* Whether the first job can go on: it is loaded already, a place is free or can be made free, or it
 * never will be.                                                                                 */
static bool can_go_on(const struct service_engines *pool)
{
    return pool->jobs && (find_loaded(pool, pool->jobs->path) || all_places_pinned(pool) ||
                          tally(pool).n_busy < pool->config.max_loaded);
}

/* Wait for something to do; the lock is held. */
static void wait_for_work(struct service_engines *pool)
{
    int64_t expiry = next_expiry_ns(pool);
    if (expiry == INT64_MAX) {
        pthread_cond_wait(&pool->wake, &pool->lock);
        return;
    }
    struct timespec until = {(time_t)(expiry / 1000000000), (long)(expiry % 1000000000)};
    pthread_cond_timedwait(&pool->wake, &pool->lock, &until);
}

/* Take out all jobs for the same path, in order; those with a lease hold it. The lock is held. */
static struct job *take_jobs(struct service_engines *pool, const char *path,
                             struct service_engine *lease)
{
    struct job *first = NULL, **end = &first;
    struct job **at = &pool->jobs;
    while (*at) {
        struct job *job = *at;
        if (!au_str_equal(job->path, path)) {
            at = &job->next;
            continue;
        }
        *at = job->next;
        job->next = NULL;
        job->lease = lease;
        if (lease)
            take(lease);
        *end = job;
        end = &job->next;
    }
    pool->last_job = at;
    return first;
}

/* Put a model that was loaded into the list and make room for it. Where it is too large beside what
 * is in use it must go itself: LIMIT. The lock is held.                                          */
static enum auricle_error settle(struct service_engines *pool, struct service_engine *e,
                                 struct service_engine **gone, struct au_fault *fault)
{
    e->next = pool->loaded;
    pool->loaded = e;
    *gone = unlink_surplus(pool, e, 0);
    struct tally t = tally(pool);
    if (!pool->config.max_bytes || t.bytes <= pool->config.max_bytes)
        return AURICLE_OK;
    pool->loaded = e->next;
    e->next = *gone;
    *gone = e;
    tell_gauges(pool);
    return au_fail(
        fault, AURICLE_E_LIMIT,
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
    struct service_engine *e = find_loaded(pool, path), *gone = NULL;
    enum auricle_error error = AURICLE_OK;
    if (!e && all_places_pinned(pool)) {
        error = au_fail(&fault, AURICLE_E_LIMIT,
                        "the model %s cannot be loaded: all places for models are pinned", name);
    } else if (!e) {
        gone = unlink_surplus(pool, NULL, pool->jobs->bytes);
        pthread_mutex_unlock(&pool->lock);
        free_gone(pool, gone);
        gone = NULL;
        error = load(pool, name, path, &e, &fault);
        pthread_mutex_lock(&pool->lock);
        if (!error)
            error = settle(pool, e, &gone, &fault);
    }
    struct job *jobs = take_jobs(pool, path, error ? NULL : e);
    pthread_mutex_unlock(&pool->lock);
    if (error)
        au_log(AU_LOG_WARN, "%s", fault.text);
    free_gone(pool, gone);
    while (jobs) {
        struct job *next = jobs->next;
        answer(jobs, jobs->lease, &fault);
        jobs = next;
    }
    pthread_mutex_lock(&pool->lock);
}

static void *run_loader(void *context)
{
    struct service_engines *pool = context;
    pthread_mutex_lock(&pool->lock);
    while (!pool->stopping) {
        struct service_engine *gone = unlink_surplus(pool, NULL, 0);
        if (gone) {
            pthread_mutex_unlock(&pool->lock);
            free_gone(pool, gone);
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

/* ---- Start and end -------------------------------------------------------------------------- */

/* What --model, of the registry or a path, is called when models are listed. */
static enum auricle_error find_default(struct service_engines *pool, const char *model,
                                       struct au_fault *fault)
{
    bool bundled;
    enum auricle_error error =
        model ? service_local_find(&pool->folders, model, &pool->default_path, fault)
              : service_local_find_default(&pool->folders, &pool->default_path, &bundled, fault);
    if (error)
        return error;
    pool->default_name = service_local_name(pool->default_path);
    return pool->default_name ? AURICLE_OK : au_fail(fault, AURICLE_E_NOMEM, "out of memory");
}

static enum auricle_error find_vad(struct service_engines *pool, const char *vad_model,
                                   struct au_fault *fault)
{
    if (vad_model)
        return service_local_find(&pool->folders, vad_model, &pool->vad_model, fault);
    pool->vad_model = service_local_find_vad(&pool->folders);
    return AURICLE_OK;
}

static bool copy(char **to, const char *text)
{
    *to = text ? au_strdup(text) : NULL;
    return *to || !text;
}

static enum auricle_error configure(struct service_engines *pool,
                                    const struct service_engines_config *config,
                                    struct au_fault *fault)
{
    pool->config = *config;
    if (pool->config.max_loaded <= 0)
        pool->config.max_loaded = MAX_LOADED;
    pool->last_job = &pool->jobs;
    pool->cache_folder = service_cache_folder(config->cache_folder);
    if (!copy(&pool->cpu_level, config->cpu_level) || !copy(&pool->pinned, config->pinned) ||
        service_model_folders_init(config->model_dir, &pool->folders) != AURICLE_OK)
        return au_fail(fault, AURICLE_E_NOMEM, "out of memory");
    enum auricle_error error = find_default(pool, config->model, fault);
    return error ? error : find_vad(pool, config->vad_model, fault);
}

/* Load a model before the loader's thread runs. */
static enum auricle_error load_first(struct service_engines *pool, const char *name,
                                     const char *path, bool pinned, struct au_fault *fault)
{
    struct service_engine *e = find_loaded(pool, path), *gone = NULL;
    enum auricle_error error = AURICLE_OK;
    if (!e) {
        error = load(pool, name, path, &e, fault);
        if (!error)
            error = settle(pool, e, &gone, fault);
        free_gone(pool, gone);
    }
    if (!error)
        e->pinned = e->pinned || pinned;
    return error;
}

static enum auricle_error load_pinned(struct service_engines *pool, struct au_fault *fault)
{
    struct service_local_list list = {0};
    char *rest = pool->pinned, *name;
    enum auricle_error error = AURICLE_OK;
    if (rest && service_local_list_init(&pool->folders, &list) != AURICLE_OK)
        return au_fail(fault, AURICLE_E_NOMEM, "out of memory");
    while (!error && (name = strsep(&rest, ","))) {
        size_t i = 0;
        if (service_name_is_default(name) || au_str_equal(name, pool->default_name)) {
            error = load_first(pool, pool->default_name, pool->default_path, true, fault);
            continue;
        }
        error = service_name_resolve(&list, name, &i, fault);
        if (!error)
            error = load_first(pool, list.entries[i].name, list.entries[i].path, true, fault);
    }
    service_local_list_deinit(&list);
    if (!error && tally(pool).n_pinned > pool->config.max_loaded)
        error = au_fail(fault, AURICLE_E_INVALID,
                        "%d models are pinned, but only %d may be loaded: pin fewer, or allow more",
                        tally(pool).n_pinned, pool->config.max_loaded);
    return error;
}

static void note_machine(struct service_engines *pool)
{
    struct auricle_model_info info;
    auricle_engine_info(pool->loaded->engine, &info);
    struct service_machine *m = &pool->machine;
    au_str_copy(m->model, sizeof m->model, pool->default_name);
    au_str_copy(m->compute, sizeof m->compute, info.compute);
    au_str_copy(m->cpu_level, sizeof m->cpu_level, info.cpu_level);
    m->threads = info.threads;
    m->weight_bytes = info.weight_bytes;
    m->silero = pool->vad_model != NULL;
}

const struct service_machine *service_engines_machine(const struct service_engines *engines)
{
    return &engines->machine;
}

static enum auricle_error start_loader(struct service_engines *pool, struct au_fault *fault)
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

enum auricle_error service_engines_create(const struct service_engines_config *config,
                                          struct service_engines **out, struct au_fault *fault)
{
    struct service_engines *pool = au_calloc(1, sizeof *pool);
    if (!pool)
        return au_fail(fault, AURICLE_E_NOMEM, "out of memory");
    enum auricle_error error = configure(pool, config, fault);
    if (!error)
        error = load_first(pool, pool->default_name, pool->default_path, false, fault);
    if (!error)
        note_machine(pool);
    if (!error)
        error = load_pinned(pool, fault);
    if (!error)
        error = start_loader(pool, fault);
    if (error) {
        service_engines_destroy(pool);
        return error;
    }
    *out = pool;
    return AURICLE_OK;
}

void service_engines_destroy(struct service_engines *pool)
{
    if (!pool)
        return;
    if (pool->loader_made) {
        pthread_mutex_lock(&pool->lock);
        pool->stopping = true;
        pthread_cond_signal(&pool->wake);
        pthread_mutex_unlock(&pool->lock);
        pthread_join(pool->loader, NULL);
    }
    struct au_fault fault = {0};
    au_fail(&fault, AURICLE_E_CANCELLED, "the server is shutting down");
    for (struct job *job = pool->jobs, *next; job; job = next) {
        next = job->next;
        answer(job, NULL, &fault);
    }
    for (struct service_engine *e = pool->loaded, *next; e; e = next) {
        next = e->next;
        free_engine(e);
    }
    if (pool->wake_made)
        pthread_cond_destroy(&pool->wake);
    if (pool->lock_made)
        pthread_mutex_destroy(&pool->lock);
    service_model_folders_deinit(&pool->folders);
    au_free(pool->cache_folder);
    au_free(pool->cpu_level);
    au_free(pool->vad_model);
    au_free(pool->default_name);
    au_free(pool->default_path);
    au_free(pool->pinned);
    au_free(pool);
}

/* ---- Leases --------------------------------------------------------------------------------- */

/* What and where the model of that name is. new_name and path: new strings. */
static enum auricle_error resolve(const struct service_engines *pool, const char *name,
                                  char **new_name, char **path, uint64_t *bytes,
                                  struct au_fault *fault)
{
    struct service_local_list list = {0};
    enum auricle_error error = AURICLE_OK;
    size_t i = 0;
    *bytes = 0;
    if (service_name_is_default(name) || au_str_equal(name, pool->default_name)) {
        *new_name = au_strdup(pool->default_name);
        *path = au_strdup(pool->default_path);
    } else {
        error = service_local_list_init(&pool->folders, &list);
        if (!error)
            error = service_name_resolve(&list, name, &i, fault);
        if (error != AURICLE_OK && error != AURICLE_E_NOMEM)
            goto done;
        *new_name = error ? NULL : au_strdup(list.entries[i].name);
        *path = error ? NULL : au_strdup(list.entries[i].path);
        *bytes = error ? 0 : list.entries[i].bytes;
    }
    if (!*new_name || !*path)
        error = au_fail(fault, AURICLE_E_NOMEM, "out of memory");
done:
    service_local_list_deinit(&list);
    return error;
}

/* A lease on a loaded model, by name or, where job is not NULL, by its path; else the job joins the
 * queue. */
static struct service_engine *acquire_loaded(struct service_engines *pool, const char *name,
                                             struct job *job)
{
    pthread_mutex_lock(&pool->lock);
    struct service_engine *e = job ? find_loaded(pool, job->path) : find_by_name(pool, name);
    if (e) {
        take(e);
    } else if (job) {
        *pool->last_job = job;
        pool->last_job = &job->next;
        pthread_cond_signal(&pool->wake);
    }
    pthread_mutex_unlock(&pool->lock);
    return e;
}

void service_engines_acquire(struct service_engines *pool, const char *name,
                             service_engine_ready *ready, void *context)
{
    struct au_fault fault = {0};
    struct service_engine *e = acquire_loaded(pool, name, NULL);
    if (e) {
        ready(context, e, &fault);
        return;
    }
    struct job *job = au_calloc(1, sizeof *job);
    enum auricle_error error = job ? resolve(pool, name, &job->name, &job->path, &job->bytes,
                                             &fault)
                                   : au_fail(&fault, AURICLE_E_NOMEM, "out of memory");
    if (error) {
        free_job(job);
        ready(context, NULL, &fault);
        return;
    }
    job->ready = ready;
    job->context = context;
    e = acquire_loaded(pool, name, job); /* another name of a loaded one? */
    if (e)
        answer(job, e, &fault);
}

void service_engine_release(struct service_engine *lease)
{
    if (!lease)
        return;
    struct service_engines *pool = lease->pool;
    pthread_mutex_lock(&pool->lock);
    lease->in_use--;
    lease->last_used_ns = au_now_ns();
    pthread_cond_signal(&pool->wake); /* it may have to go, or make room for a waiting one */
    pthread_mutex_unlock(&pool->lock);
}

struct auricle_engine *service_engine_get(const struct service_engine *lease)
{
    return lease->engine;
}

const char *service_engine_name(const struct service_engine *lease)
{
    return lease->name;
}

enum auricle_error service_engines_check(struct service_engines *pool, const char *name,
                                         struct au_fault *fault)
{
    pthread_mutex_lock(&pool->lock);
    bool loaded = find_by_name(pool, name) != NULL;
    pthread_mutex_unlock(&pool->lock);
    if (loaded)
        return AURICLE_OK;
    char *found = NULL, *path = NULL;
    uint64_t bytes;
    enum auricle_error error = resolve(pool, name, &found, &path, &bytes, fault);
    au_free(found);
    au_free(path);
    return error;
}

/* ---- Listing -------------------------------------------------------------------------------- */

static void describe(const struct service_engines *pool, const struct service_engine *e,
                     struct service_engine_entry *out)
{
    memset(out, 0, sizeof *out);
    au_str_copy(out->name, sizeof out->name, e->name);
    out->is_default = au_str_equal(e->name, pool->default_name);
    out->loaded = true;
    out->pinned = e->pinned;
    out->in_use = e->in_use;
    out->bytes = e->bytes;
}

size_t service_engines_loaded(struct service_engines *pool, struct service_engine_entry *out,
                              size_t max)
{
    size_t n = 0;
    pthread_mutex_lock(&pool->lock);
    for (const struct service_engine *e = pool->loaded; e && n < max; e = e->next)
        describe(pool, e, &out[n++]);
    pthread_mutex_unlock(&pool->lock);
    return n;
}

/* A model on disk, loaded or not. */
static void describe_installed(const struct service_engines *pool, const char *name,
                               const char *path, uint64_t bytes, struct service_engine_entry *out)
{
    struct stat status;
    const struct service_engine *e = find_loaded(pool, path);
    memset(out, 0, sizeof *out);
    if (e)
        describe(pool, e, out);
    else
        out->bytes = bytes;
    au_str_copy(out->name, sizeof out->name, name);
    out->is_default = au_str_equal(name, pool->default_name);
    if (stat(path, &status) == 0)
        out->installed_unix_s = (int64_t)status.st_mtime;
}

static bool listed(const struct service_engine_entry *entries, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (au_str_equal(entries[i].name, name))
            return true;
    return false;
}

enum auricle_error service_engines_list(struct service_engines *pool,
                                        struct service_engine_entry **out, size_t *n)
{
    struct service_local_list list = {0};
    enum auricle_error error = service_local_list_init(&pool->folders, &list);
    if (error)
        return error;
    struct service_engine_entry *entries = au_alloc_array(list.n + 1, sizeof *entries);
    if (!entries) {
        service_local_list_deinit(&list);
        return AURICLE_E_NOMEM;
    }
    size_t count = 0;
    pthread_mutex_lock(&pool->lock);
    describe_installed(pool, pool->default_name, pool->default_path, 0, &entries[count++]);
    for (size_t i = 0; i < list.n; i++) {
        const struct service_local_entry *e = &list.entries[i];
        if (au_str_equal(e->path, pool->default_path) && entries[0].bytes == 0)
            entries[0].bytes = e->bytes;
        if (!e->vad && !listed(entries, count, e->name))
            describe_installed(pool, e->name, e->path, e->bytes, &entries[count++]);
    }
    pthread_mutex_unlock(&pool->lock);
    service_local_list_deinit(&list);
    *out = entries;
    *n = count;
    return AURICLE_OK;
}
