/* What the program and its gRPC module say to each other.
 *
 * auricle-grpc.so holds the gRPC server; the program loads it when gRPC is on (front.h) and nobody
 * else pays for its libraries. The module links no part of the program that has state: it reaches
 * the service through the functions it is handed here, so there is one service however many fronts
 * it has (ADR 066). Program and module come from one build: a table of another size is refused.  */
#ifndef API_GRPC_MODULE_H
#define API_GRPC_MODULE_H

#include "base/log.h"
#include "service/metrics/metrics.h"
#include "service/service.h"
#include "service/work/live.h"
#include "service/work/request.h"

/* The service, as its headers describe it. */
struct api_grpc_host {
    size_t size; /* of this struct */
    struct service *service;
    struct service_metrics *metrics;

    __typeof__(service_draining) *draining;
    __typeof__(service_get_limits) *limits;
    __typeof__(service_making_progress) *making_progress;
    /* Every model that could be named, in a new array (au_free). */
    enum auricle_error (*models)(struct service *service, struct service_engine_entry **out,
                                 size_t *n);

    __typeof__(service_admit) *admit;
    __typeof__(service_ticket_grow) *ticket_grow;
    __typeof__(service_ticket_spool) *ticket_spool;
    __typeof__(service_ticket_release) *ticket_release;
    __typeof__(service_request_start) *request_start;
    __typeof__(service_request_cancel) *request_cancel;
    __typeof__(service_request_release) *request_release;

    __typeof__(service_live_open) *live_open;
    __typeof__(service_live_session_id) *live_session_id;
    __typeof__(service_live_feed) *live_feed;
    __typeof__(service_live_finalize) *live_finalize;
    __typeof__(service_live_close) *live_close;
    __typeof__(service_live_detach) *live_detach;
    __typeof__(service_live_attach) *live_attach;
    __typeof__(service_live_abort) *live_abort;

    __typeof__(auricle_options_default) *options_default;
    __typeof__(auricle_options_strict) *options_strict;
    __typeof__(auricle_options_reference) *options_reference;

    __typeof__(service_count) *count;
    __typeof__(service_count_request) *count_request;
    __typeof__(service_count_error) *count_error;
    __typeof__(au_log_enabled) *log_enabled;
    __typeof__(au_log) *log;
    __typeof__(au_log_with) *log_with;
};

struct api_grpc_config {
    const char *host;                      /* name or address to listen on */
    int port;                              /* 0: any free one */
    const char *tls_certificate, *tls_key; /* PEM files; NULL: no TLS */
    size_t max_message_bytes;              /* either way; 0: 100 MB */
    uint64_t max_buffered_bytes; /* of messages that are still arriving; 0: 512 MB. The library
                                    ends calls when it is exceeded */
    int keepalive_seconds;       /* a ping to a silent client that often; 0: 30 */
    double message_seconds;      /* for a call's first message; 0: 15. A recording has more */
    /* For recordings over 16 MiB, in files without a name; NULL: the temporary one. */
    const char *spool_folder;
    /* Asked on the gRPC thread for every call but those of the health service. key: what follows
     * "Bearer " in its metadata, NULL without. INVALID: not let in (UNAUTHENTICATED). LIMIT: not
     * now (RESOURCE_EXHAUSTED, *retry_after_seconds). *grant is given back by `release` when the
     * call is over. NULL: everybody is let in.                                                   */
    enum auricle_error (*authorize)(void *context, const char *key, const char *peer, void **grant,
                                    double *retry_after_seconds, struct au_fault *fault);
    void (*release)(void *context, void *grant); /* NULL: grants need none */
    void *context;
};

struct rpc_server; /* opaque: the module's own */

/* The one symbol that the module exports: api_grpc_module. */
struct api_grpc_module {
    size_t size; /* of this struct */
    size_t host_size, config_size;
    /* Listens and serves from the return on, with threads of its own. host and config are copied,
     * what they point to is not needed after the return, but the service must outlive the server.
     * Errors: INVALID (address, certificate), IO (the port is taken), NOMEM.                     */
    enum auricle_error (*create)(const struct api_grpc_config *config,
                                 const struct api_grpc_host *host, struct rpc_server **out,
                                 struct au_fault *fault);
    int (*port)(const struct rpc_server *server);
    /* Health says NOT_SERVING and new work is refused from now on; returns at once. Any thread. */
    void (*drain)(struct rpc_server *server);
    /* Calls for work whose end the client has not yet taken. Any thread. */
    size_t (*active)(const struct rpc_server *server);
    /* Reads the files of certificate and key again, for connections to come. Without TLS nothing.
     * Errors: NOT_FOUND, IO, NOMEM; nothing has changed then. Any thread.                        */
    enum auricle_error (*renew_certificate)(struct rpc_server *server, struct au_fault *fault);
    /* Cancels what is left, waits until the service has let go of it, and ends. NULL is fine. */
    void (*destroy)(struct rpc_server *server);
};

#define API_GRPC_MODULE_SYMBOL "api_grpc_module"

#endif
