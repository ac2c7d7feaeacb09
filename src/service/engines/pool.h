/* What the files of the pool share: its models, its queue, and who does what.
 *
 * shelf.c keeps the list of loaded models; loader.c is the thread that loads and frees them, and
 * the queue of those who wait; engines.c makes the pool and lends models; listing.c tells what
 * there is. Internal to src/service/engines.                                                     */
#ifndef SERVICE_ENGINES_POOL_H
#define SERVICE_ENGINES_POOL_H

#include <pthread.h>

#include "service/engines/engines.h"
#include "service/registry/local.h"

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
struct service_job {
    struct service_job *next;
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
    struct service_job *jobs, **last_job;
};

/* ---- The shelf: the lock is held ------------------------------------------------------------- */

struct service_tally {
    int n, n_busy, n_pinned;
    uint64_t bytes;
};

struct service_engine *service_shelf_find(const struct service_engines *pool, const char *path);
struct service_engine *service_shelf_find_named(const struct service_engines *pool,
                                                const char *name);
/* Count another lease. */
void service_shelf_take(struct service_engine *e);
struct service_tally service_shelf_tally(const struct service_engines *pool);
/* Tell the metrics what is loaded. */
void service_shelf_tell(const struct service_engines *pool);
/* Take out what must go: too many, too large (with `coming` bytes more), or unused for too long,
 * but not `spared`. Returns a list.                                                              */
struct service_engine *service_shelf_unlink_surplus(struct service_engines *pool,
                                                    const struct service_engine *spared,
                                                    uint64_t coming);
/* When the next idle model will have been unused for too long; INT64_MAX: never. */
int64_t service_shelf_next_expiry_ns(const struct service_engines *pool);

/* ---- The loader ------------------------------------------------------------------------------ */

/* Make the lock and the thread. */
AURICLE_MUST_CHECK enum auricle_error service_loader_start(struct service_engines *pool,
                                                           struct au_fault *fault);
/* Load a model, outside the lock: it is not in the list yet. */
AURICLE_MUST_CHECK enum auricle_error service_loader_load(struct service_engines *pool,
                                                          const char *name, const char *path,
                                                          struct service_engine **out,
                                                          struct au_fault *fault);
/* Put a model that was loaded into the list and make room for it. Where it is too large beside what
 * is in use it must go itself: LIMIT. The lock is held.                                          */
AURICLE_MUST_CHECK enum auricle_error service_loader_settle(struct service_engines *pool,
                                                            struct service_engine *e,
                                                            struct service_engine **gone,
                                                            struct au_fault *fault);
/* Free one, or a list that was taken out; outside the lock. */
void service_loader_free(struct service_engine *e);
void service_loader_free_all(struct service_engines *pool, struct service_engine *gone);
/* Tell who waits, and free the job. Outside the lock. */
void service_job_answer(struct service_job *job, struct service_engine *lease,
                        const struct au_fault *fault);
void service_job_free(struct service_job *job);

#endif
