/* The gRPC server: settings of the C core, its two threads, the mailbox, drain and shutdown. See
 * rpc.h. What it exports is the one table of module.h.                                           */
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <grpc/grpc_security.h>
#include <grpc/support/log.h>

#include "api/grpc/rpc.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"

#define DEFAULT_MESSAGE_SECONDS 15.0
#define DEFAULT_MESSAGE_BYTES   ((size_t)100 * 1000 * 1000)
#define DEFAULT_BUFFERED_BYTES  ((uint64_t)512 << 20)

#define server_of(event, member) \
    ((struct rpc_server *)(void *)((char *)(event)-offsetof(struct rpc_server, member)))

/* ---- Mailbox --------------------------------------------------------------------------------- */

void rpc_post(struct rpc_server *server, struct rpc_event *event, bool ok)
{
    event->next = NULL;
    event->ok = ok;
    pthread_mutex_lock(&server->lock);
    *server->last = event;
    server->last = &event->next;
    pthread_cond_signal(&server->wake);
    pthread_mutex_unlock(&server->lock);
}

/* Everything posted so far, waiting for it until the time has come. */
static struct rpc_event *take_posted(struct rpc_server *server, int64_t until_ns)
{
    struct timespec until = {.tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000};
    pthread_mutex_lock(&server->lock);
    int error = 0;
    while (!server->first && !error)
        error = until_ns < 0 ? pthread_cond_wait(&server->wake, &server->lock)
                             : pthread_cond_timedwait(&server->wake, &server->lock, &until);
    struct rpc_event *events = server->first;
    server->first = NULL;
    server->last = &server->first;
    pthread_mutex_unlock(&server->lock);
    return events;
}

/* ---- Threads --------------------------------------------------------------------------------- */

static void *poll_queue(void *context)
{
    struct rpc_server *server = context;
    for (;;) {
        grpc_event event = grpc_completion_queue_next(server->queue,
                                                      gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
        if (event.type == GRPC_QUEUE_SHUTDOWN)
            return NULL;
        if (event.type == GRPC_OP_COMPLETE)
            rpc_post(server, event.tag, event.success != 0);
    }
}

/* One call at a time waits to be accepted; the C core keeps the others meanwhile. */
static void accept_next(struct rpc_server *server)
{
    if (server->accepting || server->stopping)
        return;
    struct rpc_call *call = rpc_call_create(server);
    if (!call)
        return; /* tried again after the next event */
    server->accepting = rpc_call_accept(call, server->core, server->queue);
    if (!server->accepting)
        rpc_call_unref(call);
}

/* When ticks are due, if the last ones were now; -1: nobody wants one. */
static int64_t next_tick(const struct rpc_server *server)
{
    if (server->n_ticking[RPC_TICK_SOON])
        return au_now_ns() + RPC_TICK_SOON_MS * (int64_t)1000000;
    if (server->n_ticking[RPC_TICK_RARELY])
        return au_now_ns() + RPC_TICK_RARELY_MS * (int64_t)1000000;
    return -1;
}

static void *serve(void *context)
{
    struct rpc_server *server = context;
    int64_t tick_ns = -1; /* when the next one is due */
    while (!server->finished || server->n_calls) {
        accept_next(server);
        int64_t next_ns = next_tick(server);
        if (next_ns < 0 || tick_ns < 0 || next_ns < tick_ns)
            tick_ns = next_ns;
        struct rpc_event *event = take_posted(server, tick_ns);
        while (event) {
            struct rpc_event *next = event->next;
            event->run(event, event->ok);
            event = next;
        }
        if (tick_ns >= 0 && au_now_ns() >= tick_ns) {
            rpc_server_tick(server, false);
            tick_ns = -1;
        }
    }
    grpc_completion_queue_shutdown(server->queue);
    return NULL;
}

/* ---- Drain and shutdown ---------------------------------------------------------------------- */

static void on_drain(struct rpc_event *event, bool ok)
{
    (void)ok;
    rpc_server_tick(server_of(event, drain), true);
}

static void drain(struct rpc_server *server)
{
    if (!atomic_exchange(&server->draining, true))
        rpc_post(server, &server->drain, true);
}

static void on_shut_down(struct rpc_event *event, bool ok)
{
    (void)ok;
    server_of(event, shut_down)->finished = true;
}

static void on_stop(struct rpc_event *event, bool ok)
{
    (void)ok;
    struct rpc_server *server = server_of(event, stop);
    server->stopping = true;
    grpc_server_shutdown_and_notify(server->core, server->queue, &server->shut_down);
    grpc_server_cancel_all_calls(server->core);
}

static void release(struct rpc_server *server)
{
    if (server->core)
        grpc_server_destroy(server->core);
    if (server->queue)
        grpc_completion_queue_destroy(server->queue);
    rpc_certificate_destroy(server->certificate);
    pthread_cond_destroy(&server->wake);
    pthread_mutex_destroy(&server->lock);
    au_free(server->spool_folder);
    au_free(server);
    grpc_shutdown();
}

static enum auricle_error renew_certificate(struct rpc_server *server, struct au_fault *fault)
{
    return server->certificate ? rpc_certificate_renew(server->certificate, fault) : AURICLE_OK;
}

static void destroy(struct rpc_server *server)
{
    if (!server)
        return;
    drain(server);
    rpc_post(server, &server->stop, true);
    pthread_join(server->thread, NULL);
    pthread_join(server->poller, NULL);
    release(server);
}

static int port_of(const struct rpc_server *server)
{
    return server->port;
}

static size_t active(const struct rpc_server *server)
{
    return atomic_load(&server->n_sharing[RPC_WORK]);
}

/* ---- What is served -------------------------------------------------------------------------- */

const char *rpc_server_service(size_t index)
{
    static const char *const names[] = {"auricle.v1.Auricle", "grpc.health.v1.Health",
                                        "grpc.reflection.v1.ServerReflection",
                                        "grpc.reflection.v1alpha.ServerReflection"};
    return index < sizeof names / sizeof *names ? names[index] : NULL;
}

enum rpc_serving rpc_server_serving(struct rpc_server *server, const char *service)
{
    const char *name = service;
    for (size_t i = 0; *service && (name = rpc_server_service(i)) != NULL; i++)
        if (au_str_equal(name, service))
            break;
    if (!name)
        return RPC_SERVING_UNKNOWN;
    if (atomic_load(&server->draining) || server->host.draining(server->host.service))
        return RPC_NOT_SERVING;
    return server->host.making_progress(server->host.service, NULL) ? RPC_SERVING : RPC_NOT_SERVING;
}

const struct rpc_method *rpc_server_method(const char *path, size_t n)
{
    const struct rpc_method *const tables[] = {rpc_transcribe_methods, rpc_listen_methods,
                                               rpc_health_methods, rpc_reflection_methods};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        for (const struct rpc_method *method = tables[i]; method->path; method++)
            if (strlen(method->path) == n && memcmp(method->path, path, n) == 0)
                return method;
    return NULL;
}

/* ---- Settings -------------------------------------------------------------------------------- */

static grpc_arg integer(const char *key, int value)
{
    return (grpc_arg){
        .type = GRPC_ARG_INTEGER, .key = (char *)(uintptr_t)key, .value.integer = value};
}

static grpc_server *create_core(const struct api_grpc_config *config)
{
    grpc_resource_quota *quota = grpc_resource_quota_create("auricle");
    grpc_resource_quota_resize(quota, config->max_buffered_bytes);
    int message = (int)config->max_message_bytes, keepalive = config->keepalive_seconds * 1000;
    grpc_arg args[] = {
        integer(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, message),
        integer(GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, message),
        integer(GRPC_ARG_MAX_CONCURRENT_STREAMS, 1024),
        integer(GRPC_ARG_KEEPALIVE_TIME_MS, keepalive),
        integer(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20 * 1000),
        integer(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1),
        integer(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5 * 1000),
        integer(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, 15 * 1000),
        /* A second server on the port is an error, not a partner. */
        integer(GRPC_ARG_ALLOW_REUSEPORT, 0),
        /* Identity alone: the C core's limit on a message does not hold for what it unpacks. */
        integer(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1),
        integer(GRPC_ARG_ENABLE_CHANNELZ, 0),
        {.type = GRPC_ARG_POINTER,
         .key = (char *)(uintptr_t)GRPC_ARG_RESOURCE_QUOTA,
         .value.pointer = {.p = quota, .vtable = grpc_resource_quota_arg_vtable()}},
    };
    grpc_channel_args list = {.num_args = sizeof args / sizeof *args, .args = args};
    grpc_server *core = grpc_server_create(&list, NULL);
    grpc_resource_quota_unref(quota);
    return core;
}

static enum auricle_error make_credentials(struct rpc_server *server,
                                           const struct api_grpc_config *config,
                                           grpc_server_credentials **out, struct au_fault *fault)
{
    if (!config->tls_certificate && !config->tls_key) {
        *out = grpc_insecure_server_credentials_create();
        return AURICLE_OK;
    }
    if (!config->tls_certificate || !config->tls_key)
        return au_fail(fault, AURICLE_E_INVALID, "TLS needs a certificate and its key");
    enum auricle_error error = rpc_certificate_create(config->tls_certificate, config->tls_key,
                                                      &server->certificate, fault);
    if (!error)
        *out = rpc_certificate_credentials(server->certificate);
    return error;
}

/* The C core does not say why it could not listen: try the same, and see. */
static enum auricle_error explain_port(const struct api_grpc_config *config, const char *port,
                                       struct au_fault *fault)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found = NULL;
    int problem = getaddrinfo(config->host, port, &hints, &found);
    if (problem)
        return au_fail(fault, AURICLE_E_INVALID, "gRPC cannot listen on %s: %s", config->host,
                       gai_strerror(problem));
    int error = 0;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, found->ai_addr, found->ai_addrlen))
        error = errno;
    if (fd >= 0)
        close(fd);
    freeaddrinfo(found);
    if (error)
        return au_fail_errno(fault, error, "gRPC cannot listen on %s port %s", config->host, port);
    return au_fail(fault, AURICLE_E_INVALID,
                   "gRPC cannot listen on %s port %s; is the certificate the key's?", config->host,
                   port);
}

static enum auricle_error listen_on(struct rpc_server *server, const struct api_grpc_config *config,
                                    struct au_fault *fault)
{
    char port[16];
    snprintf(port, sizeof port, "%d", config->port);
    /* An IPv6 address stands in brackets before a port. */
    bool bare_ipv6 = strchr(config->host, ':') && config->host[0] != '[';
    char *address = au_sprintf(bare_ipv6 ? "[%s]:%s" : "%s:%s", config->host, port);
    if (!address)
        return au_fail(fault, AURICLE_E_NOMEM, "no memory for an address");
    grpc_server_credentials *credentials = NULL;
    enum auricle_error error = make_credentials(server, config, &credentials, fault);
    if (!error) {
        server->port = grpc_server_add_http2_port(server->core, address, credentials);
        grpc_server_credentials_release(credentials);
        if (server->port <= 0)
            error = explain_port(config, port, fault);
    }
    au_free(address);
    return error;
}

static enum auricle_error check_config(struct api_grpc_config *config, struct au_fault *fault)
{
    if (!config->max_message_bytes)
        config->max_message_bytes = DEFAULT_MESSAGE_BYTES;
    if (!config->max_buffered_bytes)
        config->max_buffered_bytes = DEFAULT_BUFFERED_BYTES;
    if (!config->keepalive_seconds)
        config->keepalive_seconds = 30;
    if (!(config->message_seconds > 0))
        config->message_seconds = DEFAULT_MESSAGE_SECONDS;
    if (!config->host || config->port < 0 || config->port > 65535)
        return au_fail(fault, AURICLE_E_INVALID, "gRPC port %d is not between 0 and 65535",
                       config->port);
    if (config->max_message_bytes > INT32_MAX || config->keepalive_seconds < 0 ||
        config->keepalive_seconds > 86400 || config->max_buffered_bytes > SIZE_MAX / 2)
        return au_fail(fault, AURICLE_E_INVALID,
                       "gRPC messages of %zu bytes with a ping every %d s: up to 2 GiB and a day "
                       "are possible",
                       config->max_message_bytes, config->keepalive_seconds);
    return AURICLE_OK;
}

/* The C core has one log for the process, and so has this. */
static _Atomic(__typeof__(au_log) *) core_log;

static void pass_on_log(gpr_log_func_args *args)
{
    __typeof__(au_log) *log = atomic_load(&core_log);
    if (log && args->severity >= GPR_LOG_SEVERITY_ERROR)
        log(AU_LOG_INFO, "grpc: %s", args->message);
}

static struct rpc_server *make(const struct api_grpc_config *config,
                               const struct api_grpc_host *host)
{
    struct rpc_server *server = au_calloc(1, sizeof *server);
    if (!server)
        return NULL;
    if (config->spool_folder && !(server->spool_folder = au_strdup(config->spool_folder))) {
        au_free(server);
        return NULL;
    }
    server->host = *host;
    server->config = (struct api_grpc_config){.max_message_bytes = config->max_message_bytes,
                                              .message_seconds = config->message_seconds,
                                              .authorize = config->authorize,
                                              .release = config->release,
                                              .context = config->context};
    server->last = &server->first;
    server->stop.run = on_stop;
    server->drain.run = on_drain;
    server->shut_down.run = on_shut_down;
    atomic_init(&server->draining, false);
    pthread_mutex_init(&server->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&server->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    atomic_store(&core_log, host->log);
    gpr_set_log_function(pass_on_log);
    grpc_init();
    server->queue = grpc_completion_queue_create_for_next(NULL);
    server->core = create_core(config);
    grpc_server_register_completion_queue(server->core, server->queue, NULL);
    return server;
}

/* No thread was started; the C core wants to be told all the same. */
static void unmake(struct rpc_server *server)
{
    grpc_server_shutdown_and_notify(server->core, server->queue, &server->shut_down);
    grpc_completion_queue_shutdown(server->queue);
    while (
        grpc_completion_queue_next(server->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL).type !=
        GRPC_QUEUE_SHUTDOWN) {
    }
    release(server);
}

/* The server is released on failure. */
static enum auricle_error start(struct rpc_server *server, struct au_fault *fault)
{
    grpc_server_start(server->core);
    if (pthread_create(&server->thread, NULL, serve, server)) {
        unmake(server);
    } else if (pthread_create(&server->poller, NULL, poll_queue, server)) {
        rpc_post(server, &server->stop, true);
        poll_queue(server); /* somebody has to, until all is over */
        pthread_join(server->thread, NULL);
        release(server);
    } else {
        return AURICLE_OK;
    }
    return au_fail(fault, AURICLE_E_NOMEM, "no thread could be started for gRPC");
}

/* Threads of ours and of the C core leave signals to the program: they are made with all
 * blocked. */
static enum auricle_error create(const struct api_grpc_config *given,
                                 const struct api_grpc_host *host, struct rpc_server **out,
                                 struct au_fault *fault)
{
    struct api_grpc_config config = *given;
    enum auricle_error error = check_config(&config, fault);
    if (error)
        return error;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    struct rpc_server *server = make(&config, host);
    if (!server) {
        error = au_fail(fault, AURICLE_E_NOMEM, "no memory for the gRPC server");
    } else {
        error = listen_on(server, &config, fault);
        if (error)
            unmake(server);
        else
            error = start(server, fault);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!error)
        *out = server;
    return error;
}

__attribute__((visibility("default"))) extern const struct api_grpc_module api_grpc_module;
const struct api_grpc_module api_grpc_module = {
    .size = sizeof(struct api_grpc_module),
    .host_size = sizeof(struct api_grpc_host),
    .config_size = sizeof(struct api_grpc_config),
    .create = create,
    .port = port_of,
    .drain = drain,
    .active = active,
    .renew_certificate = renew_certificate,
    .destroy = destroy,
};
