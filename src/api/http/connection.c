/* Connections: accepting and counting them, looking at their first header, noticing their end while
 * nothing is read from them, and ending those that take too long or are refused.
 *
 * libmicrohttpd owns the descriptor once it has it. It watches a connection only while it wants
 * to read or write; a request that waits for its answer is suspended, and its client may leave
 * unnoticed. So every connection also lies in our own epoll set, edge-triggered, for its end.    */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/http/gate.h"
#include "api/http/internal.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#define ACCEPTS_PER_EVENT    64
#define ACCEPT_PAUSE_SECONDS 0.1 /* when descriptors have run out */
#define LINGER_SECONDS       2.0
#define MAX_LINGERING        64 /* refused connections kept open to be read to their end */
#define PROBE_SECONDS        5.0
#define REREAD_SECONDS       0.02
#define PROBE_LATE_SECONDS   0.1 /* the second probe: the client may have closed after the first */

static void lost(struct http_connection *connection)
{
    struct http_request *request = connection->request;
    if (request && request->suspended) {
        request->gone = true;
        http_request_resume(request);
    }
}

static void on_end(struct http_watch *watch, uint32_t events)
{
    struct http_connection *connection = (struct http_connection *)(void *)watch;
    if (events & (EPOLLERR | EPOLLHUP)) {
        lost(connection);
    } else if (events & EPOLLRDHUP) {
        connection->half_closed = true;
        http_connection_probe(connection);
    }
}

/* libmicrohttpd reads edge-triggered, and takes a short read for the last: where the end came
 * together with data it goes unseen. Resuming makes it read again.                               */
static void read_again(struct http_connection *connection)
{
    MHD_suspend_connection(connection->mhd);
    MHD_resume_connection(connection->mhd);
    connection->server->resumed = true;
    http_timer_set(connection->server, &connection->probe, REREAD_SECONDS);
}

void http_connection_probe(struct http_connection *connection)
{
    static const char interim[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct http_request *request = connection->request;
    if (!request || request->phase == HTTP_RECEIVING) {
        if (connection->mhd)
            read_again(connection);
        return;
    }
    if (!request->suspended || connection->cut)
        return;
    if (request->phase == HTTP_WAITING && !request->http_1_0) {
        /* An interim answer may come at any time; clients skip it. One that is gone resets. */
        if (send(connection->fd, interim, sizeof interim - 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 &&
            errno != EAGAIN) {
            lost(connection);
            return;
        }
    } else if (request->phase == HTTP_SENDING && request->stream.events) {
        http_stream_write(request, ":\n\n", 3); /* a comment */
    } else {
        return;
    }
    http_timer_set(connection->server, &connection->probe,
                   connection->n_probes++ ? PROBE_SECONDS : PROBE_LATE_SECONDS);
}

static void on_probe(struct http_timer *timer)
{
    size_t at = offsetof(struct http_connection, probe);
    http_connection_probe((struct http_connection *)(void *)((char *)timer - at));
}

/* ---- Cutting off ----------------------------------------------------------------------------- */

static void on_linger_end(struct http_timer *timer)
{
    size_t at = offsetof(struct http_connection, linger);
    struct http_connection *connection = (struct http_connection *)(void *)((char *)timer - at);
    if (connection->mhd)
        shutdown(connection->fd, SHUT_RDWR); /* libmicrohttpd sees the end, and closes */
    else
        http_connection_free(connection);
}

void http_connection_cut(struct http_connection *connection, const void *bytes, size_t n)
{
    if (connection->cut)
        return;
    connection->cut = true;
    /* What does not fit the socket's buffer is for a client that reads nothing: it is let go. */
    (void)!send(connection->fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    shutdown(connection->fd, SHUT_WR);
    http_timer_set(connection->server, &connection->linger, LINGER_SECONDS);
}

/* A refused connection, never handed over: read until its end, or the timer. */
static void on_lingering(struct http_watch *watch, uint32_t events)
{
    struct http_connection *connection = (struct http_connection *)(void *)watch;
    char waste[4096];
    ssize_t n;
    (void)events;
    do {
        n = recv(connection->fd, waste, sizeof waste, MSG_DONTWAIT);
    } while (n > 0 || (n < 0 && errno == EINTR));
    if (n == 0 || errno != EAGAIN)
        http_connection_free(connection);
}

/* ---- Life ------------------------------------------------------------------------------------ */

static struct http_connection *new_connection(struct http_server *server, int fd,
                                              const struct sockaddr_storage *address,
                                              socklen_t n_address)
{
    struct http_connection *connection = au_calloc(1, sizeof *connection);
    if (!connection)
        return NULL;
    connection->server = server;
    connection->fd = fd;
    connection->since_ns = au_now_ns();
    connection->address = *address;
    connection->n_address = n_address;
    connection->linger.fn = on_linger_end;
    connection->probe.fn = on_probe;
    if (address->ss_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr,
                  connection->peer, sizeof connection->peer);
    else
        inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)address)->sin_addr,
                  connection->peer, sizeof connection->peer);
    connection->next = server->connections;
    connection->link = &server->connections;
    if (connection->next)
        connection->next->link = &connection->next;
    server->connections = connection;
    atomic_fetch_add_explicit(&server->n_connections, 1, memory_order_relaxed);
    return connection;
}

void http_connection_free(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    http_timer_cancel(server, &connection->linger);
    http_timer_cancel(server, &connection->probe);
    *connection->link = connection->next;
    if (connection->next)
        connection->next->link = connection->link;
    atomic_fetch_sub_explicit(&server->n_connections, 1, memory_order_relaxed);
    if (!connection->mhd && connection->fd >= 0)
        close(connection->fd);
    au_free(connection->uri);
    au_free(connection);
}

void http_connection_notify(void *context, struct MHD_Connection *mhd, void **socket_context,
                            enum MHD_ConnectionNotificationCode code)
{
    struct http_server *server = context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        server->adding->mhd = mhd;
        *socket_context = server->adding;
    } else {
        struct http_connection *connection = *socket_context;
        if (server->adding == connection)
            server->adding = NULL;
        http_server_watch(server, EPOLL_CTL_DEL, connection->fd, NULL, 0);
        http_connection_free(connection); /* libmicrohttpd closes the descriptor next */
    }
}

static void refuse_when_full(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    connection->watch.fn = on_lingering;
    http_server_watch(server, EPOLL_CTL_ADD, connection->fd, &connection->watch, EPOLLIN);
    http_request_refuse_connection(connection, 503,
                                   "All connections of this server are taken. Try again shortly.");
}

/* To libmicrohttpd, which owns the descriptor from then on. */
static void hand_over(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    connection->watch.fn = on_end;
    http_server_watch(server, EPOLL_CTL_MOD, connection->fd, &connection->watch,
                      EPOLLRDHUP | EPOLLET);
    server->adding = connection;
    /* A failure closes the descriptor; the record was freed if the notification had come so far. */
    if (MHD_add_connection(server->daemon, connection->fd,
                           (const struct sockaddr *)&connection->address,
                           connection->n_address) != MHD_YES) {
        au_log(AU_LOG_WARN, "http: a connection could not be taken: %s", strerror(errno));
        if (server->adding) {
            connection->fd = -1;
            http_connection_free(connection);
        }
    }
    server->adding = NULL;
    server->resumed = true; /* it has something to read */
}

static void refuse_at_gate(struct http_connection *connection, int status, const char *sentence)
{
    connection->watch.fn = on_lingering;
    http_server_watch(connection->server, EPOLL_CTL_MOD, connection->fd, &connection->watch,
                      EPOLLIN);
    http_request_refuse_connection(connection, status, sentence);
}

/* More of the first header has come, or the end. Edge-triggered: what was looked at stays. */
static void on_gate(struct http_watch *watch, uint32_t events)
{
    struct http_connection *connection = (struct http_connection *)(void *)watch;
    struct http_server *server = connection->server;
    size_t max = server->config.max_header_bytes;
    int status;
    const char *sentence;
    ssize_t n = recv(connection->fd, server->peeked, max, MSG_PEEK | MSG_DONTWAIT);
    bool over = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    if (n <= 0) {
        if (over || (n == 0 || (errno != EAGAIN && errno != EINTR)))
            http_connection_free(connection);
        return;
    }
    connection->half_closed = (events & EPOLLRDHUP) != 0;
    switch (http_gate_look(server->peeked, (size_t)n, max, &status, &sentence)) {
    case HTTP_GATE_PASS: hand_over(connection); break;
    case HTTP_GATE_REFUSE: refuse_at_gate(connection, status, sentence); break;
    case HTTP_GATE_WAIT:
        if (over)
            http_connection_free(connection);
        break;
    }
}

static void let_in(struct http_connection *connection)
{
    connection->watch.fn = on_gate;
    http_server_watch(connection->server, EPOLL_CTL_ADD, connection->fd, &connection->watch,
                      EPOLLIN | EPOLLRDHUP | EPOLLET);
}

/* Of the client's own socket: behind TLS the server has another. */
static void set_options(int fd)
{
    static const int on = 1, keep_idle = 30, keep_interval = 10, keep_count = 3;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    /* A peer that vanished without a word is noticed within a minute. */
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &keep_idle, sizeof keep_idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &keep_interval, sizeof keep_interval);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &keep_count, sizeof keep_count);
}

/* Connections, and the clients of the TLS relay that outlive theirs. */
static size_t n_open(const struct http_server *server)
{
    size_t connections = http_server_connections(server);
    size_t links = server->tls ? http_tls_links(server->tls) : 0;
    return links > connections ? links : connections;
}

void http_connection_accept(struct http_listener *listener)
{
    struct http_server *server = listener->server;
    for (int i = 0; i < ACCEPTS_PER_EVENT; i++) {
        struct sockaddr_storage address;
        socklen_t n = sizeof address;
        struct http_connection *connection;
        size_t open = n_open(server);
        int fd = accept4(listener->fd, (struct sockaddr *)&address, &n,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
            au_log(AU_LOG_WARN, "http: no more connections can be taken: %s", strerror(errno));
            http_server_listen(server, false);
            http_timer_set(server, &server->listen_again, ACCEPT_PAUSE_SECONDS);
        }
        if (fd < 0 && errno != ECONNABORTED && errno != EINTR)
            return;
        if (fd < 0)
            continue;
        if (open >= (size_t)server->config.max_connections + MAX_LINGERING) {
            close(fd);
            continue;
        }
        set_options(fd);
        if (server->tls)
            fd = http_tls_take(server->tls, fd);
        if (fd < 0)
            continue;
        connection = new_connection(server, fd, &address, n);
        if (!connection)
            close(fd);
        else if (open >= (size_t)server->config.max_connections)
            refuse_when_full(connection);
        else
            let_in(connection);
    }
}

/* ---- Those that take too long ---------------------------------------------------------------- */

static double seconds_since(int64_t ns)
{
    return (double)(au_now_ns() - ns) * 1e-9;
}

static bool header_is_late(const struct http_connection *connection)
{
    const struct http_server_config *config = &connection->server->config;
    double limit = config->header_seconds;
    /* Between requests it may be idle; when the first byte of the next came is not known. */
    if (connection->answered_before && !connection->uri)
        limit += config->idle_seconds;
    return seconds_since(connection->since_ns) > limit;
}

static bool body_is_slow(struct http_request *request)
{
    const struct http_server_config *config = &request->server->config;
    double seconds = seconds_since(request->window_ns);
    if (seconds < config->body_seconds)
        return false;
    if ((double)request->window_bytes < config->min_body_bytes_per_s * seconds)
        return true;
    request->window_ns = au_now_ns();
    request->window_bytes = 0;
    return false;
}

void http_connection_sweep(struct http_server *server)
{
    static const char late[] = "The header of the request did not come in time.";
    struct http_connection *next;
    for (struct http_connection *c = server->connections; c; c = next) {
        struct http_request *request = c->request;
        next = c->next;
        if (c->cut)
            continue;
        if (!c->mhd && header_is_late(c))
            refuse_at_gate(c, 408, late);
        else if (!request && header_is_late(c))
            http_request_refuse_connection(c, 408, late);
        if (request && request->phase == HTTP_RECEIVING && body_is_slow(request)) {
            if (!request->status)
                http_request_refuse(request, 408, "The body of the request came too slowly.");
            http_answer_raw(request);
        }
    }
}
