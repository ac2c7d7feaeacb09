/* The pool of loaded models. See engines.h.
 *
 * One lock guards the list of loaded models and the queue of loads. Models are loaded and freed by
 * the loader's thread alone, outside the lock, so that neither holds up those who want a model that
 * is there. This file makes the pool and lends models; pool.h names the others.                  */
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "service/engines/names.h"
#include "service/engines/pool.h"

#define MAX_LOADED 2

/* ---- Start and end -------------------------------------------------------------------------- */

/* What --model, of the registry or a path, is called when models are listed. */
static enum auricle_error find_default(struct service_engines *pool, const char *model,
                                       struct au_fault *fault)
{
    bool bundled;
    enum auricle_error error =
        model ? service_local_find(&pool->folders, model, &pool->default_path, fault)
              : service_local_find_default(&pool->folders, false, &pool->default_path, &bundled,
                                           fault);
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
    return service_local_find_vad(&pool->folders, &pool->vad_model, fault);
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
    struct service_engine *e = service_shelf_find(pool, path), *gone = NULL;
    enum auricle_error error = AURICLE_OK;
    if (!e) {
        error = service_loader_load(pool, name, path, &e, fault);
        if (!error)
            error = service_loader_settle(pool, e, &gone, fault);
        service_loader_free_all(pool, gone);
    }
    if (!error)
        e->pinned = e->pinned || pinned;
    return error;
}

static enum auricle_error check_pins(const struct service_engines *pool, int max_loaded,
                                     struct au_fault *fault)
{
    int n = service_shelf_tally(pool).n_pinned;
    if (n <= max_loaded)
        return AURICLE_OK;
    return au_fail(fault, AURICLE_E_INVALID,
                   "%d models are pinned, but only %d may be loaded: pin fewer, or allow more", n,
                   max_loaded);
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
    return error ? error : check_pins(pool, pool->config.max_loaded, fault);
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
    char *detector = pool->vad_model ? service_local_name(pool->vad_model) : NULL;
    au_str_copy(m->detector, sizeof m->detector, detector ? detector : "");
    au_free(detector);
}

const struct service_machine *service_engines_machine(const struct service_engines *engines)
{
    return &engines->machine;
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
        error = service_loader_start(pool, fault);
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
    for (struct service_job *job = pool->jobs, *next; job; job = next) {
        next = job->next;
        service_job_answer(job, NULL, &fault);
    }
    for (struct service_engine *e = pool->loaded, *next; e; e = next) {
        next = e->next;
        service_loader_free(e);
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

enum auricle_error service_engines_check_max_loaded(struct service_engines *pool, int max_loaded,
                                                    struct au_fault *fault)
{
    pthread_mutex_lock(&pool->lock);
    enum auricle_error error = check_pins(pool, max_loaded > 0 ? max_loaded : MAX_LOADED, fault);
    pthread_mutex_unlock(&pool->lock);
    return error;
}

void service_engines_set_max_loaded(struct service_engines *pool, int max_loaded)
{
    pthread_mutex_lock(&pool->lock);
    pool->config.max_loaded = max_loaded > 0 ? max_loaded : MAX_LOADED;
    pthread_cond_signal(&pool->wake); /* one may have to go, or may come */
    pthread_mutex_unlock(&pool->lock);
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
                                             struct service_job *job)
{
    pthread_mutex_lock(&pool->lock);
    struct service_engine *e = job ? service_shelf_find(pool, job->path)
                                   : service_shelf_find_named(pool, name);
    if (e) {
        service_shelf_take(e);
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
    struct service_job *job = au_calloc(1, sizeof *job);
    enum auricle_error error = job ? resolve(pool, name, &job->name, &job->path, &job->bytes,
                                             &fault)
                                   : au_fail(&fault, AURICLE_E_NOMEM, "out of memory");
    if (error) {
        service_job_free(job);
        ready(context, NULL, &fault);
        return;
    }
    job->ready = ready;
    job->context = context;
    e = acquire_loaded(pool, name, job); /* another name of a loaded one? */
    if (e)
        service_job_answer(job, e, &fault);
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
    bool loaded = service_shelf_find_named(pool, name) != NULL;
    pthread_mutex_unlock(&pool->lock);
    if (loaded)
        return AURICLE_OK;
    char *listed = NULL;
    enum auricle_error error = service_engines_resolve(pool, name, &listed, fault);
    au_free(listed);
    return error;
}

enum auricle_error service_engines_resolve(struct service_engines *pool, const char *name,
                                           char **listed, struct au_fault *fault)
{
    char *found = NULL, *path = NULL;
    uint64_t bytes;
    enum auricle_error error = resolve(pool, name, &found, &path, &bytes, fault);
    au_free(path);
    if (error)
        au_free(found);
    else
        *listed = found;
    return error;
}
