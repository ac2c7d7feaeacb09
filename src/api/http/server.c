/* The server: its sockets, and the loop of the network thread.
 *
 * One epoll set holds libmicrohttpd's own descriptor, the listening sockets, every connection (for
 * its end, which libmicrohttpd does not watch while a request waits for its answer), WebSockets and
 * one eventfd. A round dispatches what epoll reports, runs timers and what other threads posted,
 * lets libmicrohttpd work, and sends what WebSockets were given. Only the end of a round frees what
 * events may point to. See docs/adr/060-http-library.md and 061-one-loop.md.                     */
#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/http/internal.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#define EVENTS_PER_ROUND 128
#define POOL_BYTES       (64 * 1024) /* of a connection: header, read buffer, answer's header */
#define SWEEP_SECONDS    0.25
#define STOP_ROUNDS      64
#define STOP_NS          INT64_C(1000000000)
#define LISTEN_QUEUE     512

void http_server_watch(struct http_server *server, int operation, int fd, struct http_watch *watch,
                       uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};
    if (epoll_ctl(server->epoll_fd, operation, fd, &event) && operation != EPOLL_CTL_DEL)
        au_log(AU_LOG_ERROR, "http: epoll_ctl: %s", strerror(errno));
}

void http_server_listen(struct http_server *server, bool on)
{
    if (on == server->listening)
        return;
    server->listening = on;
    for (int i = 0; i < server->n_listeners; i++)
        http_server_watch(server, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, server->listeners[i].fd,
                          &server->listeners[i].watch, EPOLLIN);
}

static void listen_again(struct http_timer *timer)
{
    size_t at = offsetof(struct http_server, listen_again);
    http_server_listen((struct http_server *)(void *)((char *)timer - at), true);
}

static void on_listener(struct http_watch *watch, uint32_t events)
{
    (void)events;
    http_connection_accept((struct http_listener *)(void *)watch);
}

/* libmicrohttpd is run in every round; its event only ends the wait. */
static void on_mhd(struct http_watch *watch, uint32_t events)
{
    (void)watch, (void)events;
}

static void on_wake(struct http_watch *watch, uint32_t events)
{
    size_t at = offsetof(struct http_server, wake_watch);
    struct http_server *server = (struct http_server *)(void *)((char *)watch - at);
    uint64_t count;
    (void)events;
    while (read(server->wake_fd, &count, sizeof count) < 0 && errno == EINTR)
        ;
}

static void on_sweep(struct http_timer *timer)
{
    size_t at = offsetof(struct http_server, sweep);
    struct http_server *server = (struct http_server *)(void *)((char *)timer - at);
    http_connection_sweep(server);
    http_timer_set(server, timer, SWEEP_SECONDS);
}

static void wake(struct http_server *server)
{
    static const uint64_t one = 1;
    /* EAGAIN: the counter is full, so the thread will wake. */
    while (write(server->wake_fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

/* ---- Posts ----------------------------------------------------------------------------------- */

/* A stack that many threads push onto and one takes whole. */
void http_post(struct http_server *server, struct http_post_node *node)
{
    struct http_post_node *head = atomic_load_explicit(&server->posted, memory_order_relaxed);
    do {
        node->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&server->posted, &head, node,
                                                    memory_order_release, memory_order_relaxed));
    if (!head)
        wake(server);
}

static void run_posts(struct http_server *server)
{
    struct http_post_node *stack, *queue = NULL;
    stack = atomic_exchange_explicit(&server->posted, NULL, memory_order_acquire);
    while (stack) { /* the last posted lies on top */
        struct http_post_node *node = stack;
        stack = node->next;
        node->next = queue;
        queue = node;
    }
    while (queue) {
        struct http_post_node *node = queue;
        queue = node->next;
        node->fn(node);
    }
}

/* ---- Loop ------------------------------------------------------------------------------------ */

static int wait_ms(struct http_server *server)
{
    MHD_UNSIGNED_LONG_LONG mhd_ms;
    int64_t due = http_timer_next_ns(server), ms = 1000;
    if (server->unsent || server->resumed ||
        atomic_load_explicit(&server->posted, memory_order_relaxed))
        return 0;
    if (due != INT64_MAX) {
        int64_t left = (due - au_now_ns() + 999999) / 1000000;
        ms = left < ms ? left : ms;
    }
    if (MHD_get_timeout(server->daemon, &mhd_ms) == MHD_YES && mhd_ms < (uint64_t)(ms < 0 ? 0 : ms))
        ms = (int64_t)mhd_ms;
    return ms < 0 ? 0 : (int)ms;
}

static enum auricle_error run_round(struct http_server *server, struct au_fault *fault)
{
    struct epoll_event events[EVENTS_PER_ROUND];
    int n = epoll_wait(server->epoll_fd, events, EVENTS_PER_ROUND, wait_ms(server));
    if (n < 0 && errno != EINTR)
        return au_fail_errno(fault, errno, "the network thread cannot wait for events");
    for (int i = 0; i < n; i++) {
        struct http_watch *watch = events[i].data.ptr;
        watch->fn(watch, events[i].events);
    }
    http_timer_run(server);
    run_posts(server);
    server->resumed = false;
    MHD_run(server->daemon);
    http_request_suspend_all(server);
    http_socket_flush(server);
    return AURICLE_OK;
}

/* Whatever is still open is closed, so that every handler hears of its end. */
static void close_everything(struct http_server *server)
{
    struct au_fault ignored;
    http_server_listen(server, false);
    http_socket_abort_all(server);
    for (int i = 0; i < STOP_ROUNDS && server->connections; i++) {
        struct http_connection *next;
        for (struct http_connection *c = server->connections; c; c = next) {
            next = c->next;
            if (!c->mhd) {
                http_connection_free(c);
                continue;
            }
            shutdown(c->fd, SHUT_RDWR);
            if (c->request) {
                c->request->gone = true;
                http_request_resume(c->request);
            }
        }
        wake(server);
        if (run_round(server, &ignored))
            break;
    }
}

/* What was said last goes out before everything is closed: a moment for good-byes under way. */
static void finish_sockets(struct http_server *server)
{
    struct au_fault ignored;
    int64_t until = au_now_ns() + STOP_NS;
    run_posts(server);
    http_socket_flush(server);
    while (http_socket_busy(server) && au_now_ns() < until)
        if (run_round(server, &ignored))
            break;
}

enum auricle_error http_server_run(struct http_server *server, struct au_fault *fault)
{
    enum auricle_error error = AURICLE_OK;
    http_timer_set(server, &server->sweep, SWEEP_SECONDS);
    http_server_listen(server, true);
    while (!error && !atomic_load(&server->stop))
        error = run_round(server, fault);
    http_server_listen(server, false);
    finish_sockets(server);
    http_timer_cancel(server, &server->sweep);
    http_timer_cancel(server, &server->listen_again);
    close_everything(server);
    return error;
}

void http_server_stop(struct http_server *server)
{
    atomic_store(&server->stop, true);
    wake(server);
}

/* ---- Making one ------------------------------------------------------------------------------ */

static int port_of(int fd)
{
    struct sockaddr_storage address;
    socklen_t n = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &n))
        return 0;
    return ntohs(address.ss_family == AF_INET6
                     ? ((const struct sockaddr_in6 *)(const void *)&address)->sin6_port
                     : ((const struct sockaddr_in *)(const void *)&address)->sin_port);
}

/* One listening socket, or -1 with errno. */
static int listen_at(const struct addrinfo *info, int port)
{
    struct sockaddr_storage address;
    int one = 1, saved, fd;
    memcpy(&address, info->ai_addr, info->ai_addrlen);
    if (info->ai_family == AF_INET6)
        ((struct sockaddr_in6 *)(void *)&address)->sin6_port = htons((uint16_t)port);
    else
        ((struct sockaddr_in *)(void *)&address)->sin_port = htons((uint16_t)port);
    fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (info->ai_family == AF_INET6 && info->ai_next) /* the other family has its own socket */
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    if (bind(fd, (const struct sockaddr *)&address, info->ai_addrlen) || listen(fd, LISTEN_QUEUE)) {
        saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

static enum auricle_error open_listeners(struct http_server *server, struct au_fault *fault)
{
    struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM}, *list = NULL;
    const char *host = server->config.host ? server->config.host : "127.0.0.1";
    int saved = 0, status, port = server->config.port;
    if (port < 0 || port > 65535)
        return au_fail(fault, AURICLE_E_INVALID, "port %d is not from 0 to 65535", port);
    status = getaddrinfo(host, NULL, &hints, &list);
    if (status)
        return au_fail(fault, AURICLE_E_INVALID, "cannot listen on '%s': %s", host,
                       gai_strerror(status));
    for (const struct addrinfo *info = list; info; info = info->ai_next) {
        struct http_listener *listener = &server->listeners[server->n_listeners];
        if (server->n_listeners == HTTP_MAX_LISTENERS ||
            (info->ai_family != AF_INET && info->ai_family != AF_INET6))
            continue;
        listener->fd = listen_at(info, port);
        if (listener->fd < 0) {
            saved = errno;
            /* A name may stand for an address this machine does not have. */
            if (saved != EADDRNOTAVAIL && saved != EAFNOSUPPORT)
                break;
            continue;
        }
        listener->watch.fn = on_listener;
        listener->server = server;
        server->n_listeners++;
        port = server->port = port_of(listener->fd);
        saved = 0;
    }
    freeaddrinfo(list);
    if (saved || !server->n_listeners)
        return au_fail_errno(fault, saved ? saved : EADDRNOTAVAIL, "cannot listen on %s, port %d",
                             host, port);
    return AURICLE_OK;
}

static void mhd_says(void *context, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));
static void mhd_says(void *context, const char *format, va_list arguments)
{
    char text[256];
    size_t n;
    (void)context;
    if (!au_log_enabled(AU_LOG_DEBUG))
        return;
    vsnprintf(text, sizeof text, format, arguments);
    n = strlen(text);
    if (n && text[n - 1] == '\n')
        text[n - 1] = '\0';
    au_log(AU_LOG_DEBUG, "http: %s", text);
}

static enum auricle_error start_daemon(struct http_server *server, struct au_fault *fault)
{
    const struct http_server_config *config = &server->config;
    size_t pool = 2 * config->max_header_bytes;
    pool = pool < POOL_BYTES ? POOL_BYTES : pool;
    server->daemon = MHD_start_daemon(
        MHD_USE_NO_LISTEN_SOCKET | MHD_USE_EPOLL | MHD_USE_ITC | MHD_USE_ERROR_LOG |
            MHD_ALLOW_UPGRADE | MHD_ALLOW_SUSPEND_RESUME,
        0, NULL, NULL, http_request_handle, server, MHD_OPTION_EXTERNAL_LOGGER, mhd_says, NULL,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, pool, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)config->max_connections + 1, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)(config->idle_seconds + 0.999), MHD_OPTION_NOTIFY_COMPLETED,
        http_request_completed, server, MHD_OPTION_NOTIFY_CONNECTION, http_connection_notify,
        server, MHD_OPTION_URI_LOG_CALLBACK, http_request_note_uri, server, MHD_OPTION_END);
    if (!server->daemon)
        return au_fail(fault, AURICLE_E_IO, "libmicrohttpd did not start");
    return AURICLE_OK;
}

static enum auricle_error open_epoll(struct http_server *server, struct au_fault *fault)
{
    const union MHD_DaemonInfo *info;
    server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    server->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (server->epoll_fd < 0 || server->wake_fd < 0)
        return au_fail_errno(fault, errno, "cannot make the descriptors of the network thread");
    info = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (!info)
        return au_fail(fault, AURICLE_E_UNSUPPORTED, "libmicrohttpd was built without epoll");
    server->wake_watch.fn = on_wake;
    server->mhd_watch.fn = on_mhd;
    http_server_watch(server, EPOLL_CTL_ADD, server->wake_fd, &server->wake_watch, EPOLLIN);
    http_server_watch(server, EPOLL_CTL_ADD, info->epoll_fd, &server->mhd_watch, EPOLLIN);
    return AURICLE_OK;
}

static void fill_defaults(struct http_server_config *config)
{
    config->max_connections = config->max_connections > 0 ? config->max_connections : 1024;
    config->max_header_bytes = config->max_header_bytes ? config->max_header_bytes : 32 * 1024;
    config->header_seconds = config->header_seconds > 0 ? config->header_seconds : 15;
    config->idle_seconds = config->idle_seconds > 0 ? config->idle_seconds : 60;
    config->body_seconds = config->body_seconds > 0 ? config->body_seconds : 10;
    if (config->min_body_bytes_per_s <= 0)
        config->min_body_bytes_per_s = 512;
}

enum auricle_error http_server_create(const struct http_server_config *config,
                                      struct http_server **out, struct au_fault *fault)
{
    enum auricle_error error;
    struct http_server *server = au_calloc(1, sizeof *server);
    if (!server)
        return au_fail(fault, AURICLE_E_NOMEM, "no memory for the server");
    server->config = *config;
    server->epoll_fd = server->wake_fd = -1;
    server->sweep.fn = on_sweep;
    server->listen_again.fn = listen_again;
    fill_defaults(&server->config);
    server->peeked = au_alloc(server->config.max_header_bytes);
    if (!server->peeked) {
        http_server_destroy(server);
        return au_fail(fault, AURICLE_E_NOMEM, "no memory for the server");
    }
    error = open_listeners(server, fault);
    if (!error && server->config.certificate)
        error = http_tls_create(server->config.certificate, server->config.header_seconds,
                                server->config.idle_seconds, &server->tls, fault);
    if (!error)
        error = start_daemon(server, fault);
    if (!error)
        error = open_epoll(server, fault);
    if (error) {
        http_server_destroy(server);
        return error;
    }
    *out = server;
    return AURICLE_OK;
}

void http_server_destroy(struct http_server *server)
{
    if (!server)
        return;
    run_posts(server);
    if (server->daemon)
        MHD_stop_daemon(server->daemon);
    http_tls_destroy(server->tls);
    for (int i = 0; i < server->n_listeners; i++)
        close(server->listeners[i].fd);
    if (server->epoll_fd >= 0)
        close(server->epoll_fd);
    if (server->wake_fd >= 0)
        close(server->wake_fd);
    au_free(server->peeked);
    au_free(server);
}

void http_server_use_certificate(struct http_server *server, struct http_certificate *certificate)
{
    http_tls_use(server->tls, certificate);
}

int http_server_port(const struct http_server *server)
{
    return server->port;
}

void *http_server_context(const struct http_server *server)
{
    return server->config.context;
}

size_t http_server_connections(const struct http_server *server)
{
    return atomic_load_explicit(&server->n_connections, memory_order_relaxed);
}
