/* The arguments of `auricle serve`, and the files that share them. */
#ifndef APP_SERVE_H
#define APP_SERVE_H

#include "app/transcribe.h"
#include "service/service.h"

#define APP_MAX_ORIGINS 32

struct app_serve_args {
    struct app_transcribe_args base; /* first; of it the model and --batch-size, --vad-model */
    const char *host;
    int port, grpc_port;
    const char *keys_file;
    bool insecure_bind, rest, websocket;
    const char *tls_certificate, *tls_key;
    const char *origins[APP_MAX_ORIGINS + 1]; /* ends with NULL */
    size_t n_origins;
    struct service_limits limits;
    double max_audio_seconds, live_idle_seconds, live_resume_seconds;
    double model_ttl_seconds, drain_seconds; /* -1: never */
    int models_loaded, max_beams;
    uint64_t model_budget_bytes;
    const char *pinned, *spool_folder;
};

extern const struct app_group *const app_serve_groups[];
void app_serve_args_init(struct app_serve_args *args);

/* ---- Signals --------------------------------------------------------------------------------- */

struct app_watch; /* opaque: a thread that waits for signals */

/* Functions are called on its thread. */
struct app_watch_calls {
    void *context;
    /* The first SIGTERM or SIGINT; the next one ends the process. */
    void (*end)(void *context, int number);
    void (*reload)(void *context); /* SIGHUP */
};
/* Keep the signals for the watch, in this thread and those it makes. Before any other is made. */
void app_watch_block(void);
AURICLE_MUST_CHECK enum auricle_error app_watch_create(const struct app_watch_calls *calls,
                                                       struct app_watch **out,
                                                       struct au_fault *fault);
void app_watch_destroy(struct app_watch *watch);

/* Tell the system's service manager, if it asked to be told ($NOTIFY_SOCKET): "READY=1" and the
 * like, as in sd_notify(3). */
void app_notify_manager(const char *state);

#endif
