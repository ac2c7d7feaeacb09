/* Loaded models, one copy each for everybody.
 *
 * Names are those of --model, of the registry, or OpenAI's ("whisper-1" and the like stand for the
 * default model). Loading happens on a thread of its own: the new model is loaded before old ones
 * are freed, unless the byte budget leaves no room for both. When more than max_loaded models or
 * max_bytes are held, the one unused for longest goes; one in use or pinned never does. One that
 * nobody used for ttl_seconds goes as well.
 * Thread: any.                                                                                   */
#ifndef SERVICE_ENGINES_H
#define SERVICE_ENGINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auricle/auricle.h"
#include "base/error.h"

struct service_engines; /* opaque */
struct service_engine;  /* opaque: a lease on one loaded model */
struct service_metrics;

struct service_engines_config {
    const char *model;     /* the default: a name or a path; NULL: as the command line chooses */
    const char *model_dir; /* as --model-dir */
    const char *vad_model;
    const char *cache_folder; /* of packed weights; NULL: in the user's cache folder; "off": none */
    uint64_t cache_bytes;     /* it may hold; 0: 20 GB */
    int threads;
    enum auricle_compute compute;
    const char *cpu_level;
    int max_windows, max_beams;
    int max_loaded;     /* 0: 2 */
    uint64_t max_bytes; /* 0: no limit */
    double ttl_seconds; /* negative: never; 0: as soon as nobody uses it */
    const char *pinned; /* names of models, separated by commas, that are loaded at the start and
                           never go; NULL: none */
    struct service_metrics *metrics; /* told of loads; NULL: none */
};

/* Loads the default model and the pinned ones, so that a server that is up can answer. The strings
 * of config are copied. Errors: of finding and loading; INVALID: more pinned than max_loaded.    */
AURICLE_MUST_CHECK enum auricle_error service_engines_create(
    const struct service_engines_config *config, struct service_engines **out,
    struct au_fault *fault);
/* No lease may be held. */
void service_engines_destroy(struct service_engines *engines);

/* Another max_loaded. Errors: INVALID: more are pinned. */
AURICLE_MUST_CHECK enum auricle_error service_engines_check_max_loaded(
    struct service_engines *engines, int max_loaded, struct au_fault *fault);
void service_engines_set_max_loaded(struct service_engines *engines, int max_loaded);

/* lease NULL: the fault says why: NOT_FOUND names what is installed; AGAIN: no room beside
 * others that are in use or pinned; UNSUPPORTED: none even alone; CANCELLED: the pool ends;
 * those of loading. Called exactly once: at once, on the caller's thread, where the model is
 * loaded or cannot be had; else on the loader's thread. Where max_loaded models are in use, the
 * load waits until one is released.                                                              */
typedef void service_engine_ready(void *context, struct service_engine *lease,
                                  const struct au_fault *fault);
void service_engines_acquire(struct service_engines *engines, const char *name,
                             service_engine_ready *ready, void *context);
void service_engine_release(struct service_engine *lease);

struct auricle_engine *service_engine_get(const struct service_engine *lease);
const char *service_engine_name(const struct service_engine *lease); /* as models are listed */

/* name NULL: the default model. Whether a name could be had, without loading: NOT_FOUND with a
 * sentence otherwise. */
AURICLE_MUST_CHECK enum auricle_error service_engines_check(struct service_engines *engines,
                                                            const char *name,
                                                            struct au_fault *fault);

/* The same, with the name that the model is listed under: a new string (au_free). */
AURICLE_MUST_CHECK enum auricle_error service_engines_resolve(struct service_engines *engines,
                                                              const char *name, char **listed,
                                                              struct au_fault *fault);

/* What computes, as found when the first model was loaded. */
struct service_machine {
    char model[128]; /* the default, as listed */
    char compute[16], cpu_level[32];
    int threads;
    uint64_t weight_bytes; /* of the default model */
    char detector[128];    /* the model of voice activity, as listed; "": loudness decides */
};
const struct service_machine *service_engines_machine(const struct service_engines *engines);

/* Every model that could be named, for /v1/models; loaded or not. */
struct service_engine_entry {
    char name[128];
    bool loaded, pinned, is_default;
    int in_use;
    uint64_t bytes;           /* in memory when loaded, else on disk */
    int64_t installed_unix_s; /* its file's time */
};
/* Those that are loaded, at most max of them, in constant time: nothing is looked up on disk. */
size_t service_engines_loaded(struct service_engines *engines, struct service_engine_entry *out,
                              size_t max);
/* A new array (au_free). */
AURICLE_MUST_CHECK enum auricle_error service_engines_list(struct service_engines *engines,
                                                           struct service_engine_entry **out,
                                                           size_t *n);

#endif
