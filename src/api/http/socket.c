/* WebSockets (RFC 6455): frames by wslay, everything around them here.
 *
 * A socket begins as a request that asked to be upgraded; libmicrohttpd sends the 101 and hands the
 * descriptor over, which then lies in our epoll set. Its end goes the other way: the descriptor is
 * given back, libmicrohttpd completes the request, and with it the socket is freed. Handlers are
 * called while frames are read; what they send is queued and goes out at the end of the round, so a
 * send never calls back. Closing: both close frames, or a time limit; then our side is shut down
 * and the client's last bytes are read, so that it sees the close frame and not a reset.         */
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <wslay/wslay.h>

#include "api/http/handshake.h"
#include "api/http/internal.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#define DEFAULT_MESSAGE_BYTES ((size_t)1 << 20)
#define DEFAULT_PING_SECONDS  20.0
#define MAX_BACKLOG_BYTES     ((size_t)8 << 20)   /* a client that leaves more untaken is cut off */
#define MAX_QUEUED            4096                /* messages: above it no more are read */
#define READ_BYTES_PER_ROUND  ((size_t)256 << 10) /* then others have their turn */
#define UNSENT_BYTES_KEPT     (16 * 1024)         /* in the kernel: the backlog is known here */
#define MESSAGE_BYTES_KEPT    (16 * 1024)         /* of memory, from one message to the next */
#define DRAIN_SECONDS         30.0                /* for what was sent before our close frame */
#define CLOSE_SECONDS         3.0                 /* for the other's close frame */
#define LINGER_SECONDS        1.0
#define MAX_REASON_BYTES      123

struct http_socket {
    struct http_watch watch;
    struct http_server *server;
    struct http_connection *connection;
    struct http_socket *next, **link; /* in server->sockets */
    struct http_socket *next_unsent;
    bool is_unsent;
    const struct http_socket_handler *handler;
    void *state;
    wslay_event_context_ptr frames;
    struct MHD_UpgradeResponseHandle *upgrade; /* NULL: not yet, or given back */
    int fd;
    uint8_t *early; /* came together with the request's header */
    size_t n_early, early_taken, budget;
    uint32_t events;
    bool held; /* something was left unread because the queue was full */
    bool paused, closing, broken, lingering, told, owes_drained, heard;
    bool inside_frame; /* the last write ended in one */
    bool reread;       /* bytes may wait that epoll does not know of: in wslay, in `early` */
    bool in_control;   /* the frame being read is no part of a message */
    bool close_queued;
    uint16_t close_code;
    char close_reason[MAX_REASON_BYTES + 1];
    struct au_buf message; /* what has come of the one being read */
    int n_unanswered;
    struct http_timer ping, deadline;
};

static void mark_unsent(struct http_socket *socket)
{
    if (socket->is_unsent)
        return;
    socket->is_unsent = true;
    socket->next_unsent = socket->server->unsent;
    socket->server->unsent = socket;
}

/* ---- The end --------------------------------------------------------------------------------- */

static void tell(struct http_socket *socket, int code)
{
    if (socket->told)
        return;
    socket->told = true;
    http_timer_cancel(socket->server, &socket->ping);
    if (socket->handler->closed)
        socket->handler->closed(socket, code);
}

/* Give the descriptor back. The request, and the socket, end in libmicrohttpd's next turn. */
static void finish(struct http_socket *socket, int code)
{
    struct MHD_UpgradeResponseHandle *upgrade = socket->upgrade;
    tell(socket, code);
    if (!upgrade)
        return;
    socket->upgrade = NULL;
    http_timer_cancel(socket->server, &socket->deadline);
    http_server_watch(socket->server, EPOLL_CTL_MOD, socket->fd, &socket->watch, 0);
    shutdown(socket->fd, SHUT_RDWR);
    MHD_upgrade_action(upgrade, MHD_UPGRADE_ACTION_CLOSE);
}

static void on_deadline(struct http_timer *timer)
{
    size_t at = offsetof(struct http_socket, deadline);
    finish((struct http_socket *)(void *)((char *)timer - at), 1006);
}

void http_socket_request_over(struct http_socket *socket)
{
    tell(socket, 1006);
    http_timer_cancel(socket->server, &socket->deadline);
    for (struct http_socket **link = &socket->server->unsent; *link; link = &(*link)->next_unsent) {
        if (*link == socket) {
            *link = socket->next_unsent;
            break;
        }
    }
    *socket->link = socket->next;
    if (socket->next)
        socket->next->link = socket->link;
    wslay_event_context_free(socket->frames);
    au_buf_deinit(&socket->message);
    au_free(socket->early);
    au_free(socket);
}

/* Every ping is answered, and an answer without content adds nothing to the length of the queue:
 * only their number tells of a client that asks and does not listen.                             */
static bool is_full(const struct http_socket *socket)
{
    return wslay_event_get_queued_msg_count(socket->frames) >= MAX_QUEUED;
}

static bool may_read(const struct http_socket *socket)
{
    return !socket->paused && !is_full(socket) && wslay_event_want_read(socket->frames);
}

/* ---- wslay's callbacks ----------------------------------------------------------------------- */

static ssize_t on_recv(wslay_event_context_ptr frames, uint8_t *out, size_t n, int flags,
                       void *context)
{
    struct http_socket *socket = context;
    ssize_t got;
    (void)flags;
    socket->held |= is_full(socket);
    if (socket->paused || socket->budget == 0 || socket->held) {
        wslay_event_set_error(frames, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    if (socket->early_taken < socket->n_early) {
        size_t left = socket->n_early - socket->early_taken;
        n = n < left ? n : left;
        memcpy(out, socket->early + socket->early_taken, n);
        socket->early_taken += n;
        return (ssize_t)n;
    }
    do {
        got = recv(socket->fd, out, n, MSG_DONTWAIT);
    } while (got < 0 && errno == EINTR);
    if (got <= 0) {
        bool later = got < 0 && errno == EAGAIN;
        socket->broken |= !later;
        wslay_event_set_error(frames, later ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
        return -1;
    }
    socket->heard = true;
    socket->budget -= (size_t)got < socket->budget ? (size_t)got : socket->budget;
    return got;
}

static ssize_t on_send(wslay_event_context_ptr frames, const uint8_t *data, size_t n, int flags,
                       void *context)
{
    struct http_socket *socket = context;
    ssize_t sent;
    (void)flags;
    do {
        sent = send(socket->fd, data, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    socket->inside_frame = sent >= 0 ? (size_t)sent < n : socket->inside_frame;
    if (sent < 0) {
        bool later = errno == EAGAIN;
        wslay_event_set_error(frames, later ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
    }
    return sent;
}

static bool is_deaf(const struct http_socket *socket)
{
    return socket->told || socket->closing;
}

static size_t max_message_bytes(const struct http_socket *socket)
{
    return socket->handler->max_message_bytes ? socket->handler->max_message_bytes
                                              : DEFAULT_MESSAGE_BYTES;
}

/* Messages are put together here and not by wslay, which would end the connection before anything
 * can be said of one that is too large, and takes memory for what is only announced.             */
static void on_frame(wslay_event_context_ptr frames,
                     const struct wslay_event_on_frame_recv_start_arg *frame, void *context)
{
    struct http_socket *socket = context;
    (void)frames;
    socket->in_control = wslay_is_ctrl_frame(frame->opcode);
    if (socket->in_control || is_deaf(socket) ||
        frame->payload_length <= max_message_bytes(socket) - socket->message.len)
        return;
    if (socket->handler->too_large)
        socket->handler->too_large(socket);
    http_socket_close(socket, 1009, "");
}

static void on_piece(wslay_event_context_ptr frames,
                     const struct wslay_event_on_frame_recv_chunk_arg *piece, void *context)
{
    struct http_socket *socket = context;
    (void)frames;
    if (!socket->in_control && !is_deaf(socket) &&
        au_buf_append(&socket->message, piece->data, piece->data_length))
        socket->broken = true;
}

static void on_message(wslay_event_context_ptr frames,
                       const struct wslay_event_on_msg_recv_arg *arg, void *context)
{
    struct http_socket *socket = context;
    const struct http_socket_handler *handler = socket->handler;
    struct au_buf *message = &socket->message;
    (void)frames;
    if (wslay_is_ctrl_frame(arg->opcode) || is_deaf(socket))
        return;
    if (arg->opcode == WSLAY_TEXT_FRAME && handler->text)
        handler->text(socket, message->data, message->len);
    else if (arg->opcode == WSLAY_BINARY_FRAME && handler->binary)
        handler->binary(socket, (const uint8_t *)message->data, message->len);
    if (message->capacity > MESSAGE_BYTES_KEPT)
        au_buf_deinit(message);
    else
        au_buf_clear(message);
}

/* ---- Reading and writing --------------------------------------------------------------------- */

static void drain(struct http_socket *socket)
{
    char waste[4096];
    ssize_t n;
    do {
        n = recv(socket->fd, waste, sizeof waste, MSG_DONTWAIT);
    } while (n > 0 || (n < 0 && errno == EINTR));
    if (n == 0 || errno != EAGAIN)
        finish(socket, 1006);
}

static void begin_linger(struct http_socket *socket, int code)
{
    tell(socket, code);
    socket->lingering = true;
    shutdown(socket->fd, SHUT_WR);
    http_timer_set(socket->server, &socket->deadline, LINGER_SECONDS);
    drain(socket);
}

/* The close frames were exchanged, or ours says what the client did wrong. */
static int close_code(struct http_socket *socket)
{
    int code = wslay_event_get_status_code_received(socket->frames);
    if (!wslay_event_get_close_received(socket->frames))
        code = wslay_event_get_status_code_sent(socket->frames);
    return code ? code : 1005;
}

/* wslay gives up on a frame whose first bytes are wrong, and says so without a code. */
static void refuse_frame(struct http_socket *socket)
{
    static const uint8_t close_1002[] = {0x88, 2, 1002 >> 8, 1002 & 0xff};
    if (!socket->inside_frame)
        (void)!send(socket->fd, close_1002, sizeof close_1002, MSG_DONTWAIT | MSG_NOSIGNAL);
    begin_linger(socket, 1002);
}

static void watch_again(struct http_socket *socket)
{
    uint32_t events = 0;
    if (socket->held && !is_full(socket)) {
        socket->held = false;
        socket->reread = true;
        mark_unsent(socket);
    }
    if (socket->lingering || may_read(socket))
        events |= EPOLLIN;
    if (!socket->lingering && wslay_event_want_write(socket->frames))
        events |= EPOLLOUT;
    if (events != socket->events)
        http_server_watch(socket->server, EPOLL_CTL_MOD, socket->fd, &socket->watch, events);
    socket->events = events;
}

/* wslay sends a close frame before any message that waits, so it is given one when none does. */
static void send_all(struct http_socket *socket)
{
    const uint8_t *reason = (const uint8_t *)socket->close_reason;
    if (wslay_event_want_write(socket->frames) && wslay_event_send(socket->frames))
        socket->broken = true;
    if (!socket->closing || socket->close_queued || socket->broken ||
        wslay_event_get_queued_msg_count(socket->frames) > 0)
        return;
    socket->close_queued = true;
    http_timer_set(socket->server, &socket->deadline, CLOSE_SECONDS);
    if (wslay_event_queue_close(socket->frames, socket->close_code, reason,
                                strlen(socket->close_reason)) == WSLAY_ERR_NOMEM ||
        (wslay_event_want_write(socket->frames) && wslay_event_send(socket->frames)))
        socket->broken = true;
}

/* Reads what is there, writes what can be, and sees where that leaves the socket. */
static void pump(struct http_socket *socket, bool readable)
{
    if (!socket->upgrade)
        return;
    if (socket->lingering) {
        drain(socket);
        return;
    }
    socket->budget = READ_BYTES_PER_ROUND;
    if (readable && may_read(socket) && wslay_event_recv(socket->frames) && !socket->broken) {
        refuse_frame(socket);
        if (socket->upgrade)
            watch_again(socket);
        return;
    }
    if (!socket->broken)
        send_all(socket);
    if (socket->broken || wslay_event_get_queued_msg_length(socket->frames) > MAX_BACKLOG_BYTES) {
        finish(socket, 1006);
        return;
    }
    if (!wslay_event_want_read(socket->frames) && !wslay_event_want_write(socket->frames))
        begin_linger(socket, close_code(socket));
    else if (socket->owes_drained && !wslay_event_want_write(socket->frames) && !socket->told) {
        socket->owes_drained = false;
        if (socket->handler->drained)
            socket->handler->drained(socket);
    }
    if (socket->upgrade)
        watch_again(socket);
}

static void on_events(struct http_watch *watch, uint32_t events)
{
    struct http_socket *socket = (struct http_socket *)(void *)watch;
    if (socket->upgrade && (events & (EPOLLERR | EPOLLHUP)) && !may_read(socket))
        finish(socket, 1006); /* nothing will be read that could tell */
    else
        pump(socket, (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0);
}

void http_socket_flush(struct http_server *server)
{
    struct http_socket *list = server->unsent;
    server->unsent = NULL; /* what handlers send from `drained` waits for the next round */
    while (list) {
        struct http_socket *socket = list;
        bool reread = socket->reread;
        list = socket->next_unsent;
        socket->is_unsent = socket->reread = false;
        pump(socket, reread);
    }
}

bool http_socket_busy(const struct http_server *server)
{
    for (const struct http_socket *socket = server->sockets; socket; socket = socket->next)
        if (socket->upgrade && !socket->lingering &&
            (socket->closing || wslay_event_get_queued_msg_count(socket->frames)))
            return true;
    return false;
}

void http_socket_abort_all(struct http_server *server)
{
    for (struct http_socket *socket = server->sockets; socket; socket = socket->next) {
        if (!socket->upgrade)
            continue;
        if (!wslay_event_queue_close(socket->frames, 1001, NULL, 0))
            (void)wslay_event_send(socket->frames);
        finish(socket, 1001);
    }
}

/* ---- Pings ----------------------------------------------------------------------------------- */

static double ping_seconds(const struct http_socket *socket)
{
    return socket->handler->ping_seconds > 0 ? socket->handler->ping_seconds : DEFAULT_PING_SECONDS;
}

static void on_ping(struct http_timer *timer)
{
    size_t at = offsetof(struct http_socket, ping);
    struct http_socket *socket = (struct http_socket *)(void *)((char *)timer - at);
    static const struct wslay_event_msg ping = {WSLAY_PING, NULL, 0};
    /* Any sign of life counts. Who is paused is not listened to, so nothing can be said of it. */
    if (socket->heard || socket->paused)
        socket->n_unanswered = 0;
    socket->heard = false;
    if (socket->n_unanswered == 2) {
        http_socket_close(socket, 1011, "two pings were not answered");
        return;
    }
    socket->n_unanswered++;
    if (!wslay_event_queue_msg(socket->frames, &ping))
        mark_unsent(socket);
    http_timer_set(socket->server, timer, ping_seconds(socket));
}

/* ---- Beginning ------------------------------------------------------------------------------- */

static void on_upgraded(void *context, struct MHD_Connection *mhd, void *request_context,
                        const char *early, size_t n_early, MHD_socket fd,
                        struct MHD_UpgradeResponseHandle *upgrade)
{
    static const int on = 1, off = 0, lowat = UNSENT_BYTES_KEPT;
    struct http_socket *socket = context;
    (void)mhd, (void)request_context;
    socket->upgrade = upgrade;
    socket->fd = fd;
    /* libmicrohttpd leaves the socket corked. */
    setsockopt(fd, IPPROTO_TCP, TCP_CORK, &off, sizeof off);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowat, sizeof lowat)) /* the relay's */
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &lowat, sizeof lowat);
    if (n_early) {
        socket->early = au_alloc(n_early);
        if (!socket->early) {
            finish(socket, 1011);
            return;
        }
        memcpy(socket->early, early, n_early);
        socket->n_early = n_early;
    }
    http_server_watch(socket->server, EPOLL_CTL_MOD, fd, &socket->watch, EPOLLIN);
    socket->events = EPOLLIN;
    http_timer_set(socket->server, &socket->ping, ping_seconds(socket));
    socket->reread = true;
    mark_unsent(socket);
}

static struct http_socket *new_socket(struct http_request *request,
                                      const struct http_socket_handler *handler, void *state)
{
    static const struct wslay_event_callbacks callbacks = {.recv_callback = on_recv,
                                                           .send_callback = on_send,
                                                           .on_frame_recv_start_callback = on_frame,
                                                           .on_frame_recv_chunk_callback = on_piece,
                                                           .on_msg_recv_callback = on_message};
    struct http_socket *socket = au_calloc(1, sizeof *socket);
    if (!socket)
        return NULL;
    if (wslay_event_context_server_init(&socket->frames, &callbacks, socket)) {
        au_free(socket);
        return NULL;
    }
    wslay_event_config_set_no_buffering(socket->frames, 1);
    wslay_event_config_set_max_recv_msg_length(socket->frames, UINT64_MAX); /* ours: on_frame */
    au_buf_init(&socket->message, 0);
    socket->watch.fn = on_events;
    socket->ping.fn = on_ping;
    socket->deadline.fn = on_deadline;
    socket->server = request->server;
    socket->connection = request->connection;
    socket->handler = handler;
    socket->state = state;
    socket->next = request->server->sockets;
    socket->link = &request->server->sockets;
    if (socket->next)
        socket->next->link = &socket->next;
    request->server->sockets = socket;
    return socket;
}

bool http_upgrade_check(struct http_request *request)
{
    int status;
    const char *sentence = http_handshake_check(request, &status);
    if (sentence)
        http_request_refuse(request, status, sentence);
    return !sentence;
}

struct http_socket *http_upgrade(struct http_request *request,
                                 const struct http_socket_handler *handler, void *state,
                                 const char *protocol, const struct http_header *headers)
{
    char accept[HTTP_ACCEPT_BYTES];
    struct MHD_Response *response = NULL;
    struct http_socket *socket = NULL;
    if (!http_upgrade_check(request))
        return NULL;
    if (http_handshake_accept(request, accept))
        socket = new_socket(request, handler, state);
    if (socket)
        response = MHD_create_response_for_upgrade(on_upgraded, socket);
    if (!response) {
        if (socket) {
            socket->told = true;
            http_socket_request_over(socket);
        }
        http_request_refuse(request, 503, "The server has no memory for this connection.");
        return NULL;
    }
    MHD_add_response_header(response, "Upgrade", "websocket");
    MHD_add_response_header(response, "Sec-WebSocket-Accept", accept);
    if (protocol)
        MHD_add_response_header(response, "Sec-WebSocket-Protocol", protocol);
    request->socket = socket;
    http_respond_with(request, 101, NULL, response, headers);
    return socket;
}

/* ---- What handlers ask ----------------------------------------------------------------------- */

void *http_socket_state(const struct http_socket *socket)
{
    return socket->state;
}

struct http_server *http_socket_server(const struct http_socket *socket)
{
    return socket->server;
}

static void queue(struct http_socket *socket, uint8_t opcode, const void *data, size_t n)
{
    struct wslay_event_msg message = {opcode, data, n};
    if (socket->told || socket->closing)
        return;
    if (wslay_event_queue_msg(socket->frames, &message) == WSLAY_ERR_NOMEM)
        socket->broken = true; /* a message is missing: better to end than to go on without it */
    socket->owes_drained = true;
    mark_unsent(socket);
}

void http_socket_text(struct http_socket *socket, const char *text, size_t n)
{
    queue(socket, WSLAY_TEXT_FRAME, text, n);
}

void http_socket_binary(struct http_socket *socket, const void *data, size_t n)
{
    queue(socket, WSLAY_BINARY_FRAME, data, n);
}

size_t http_socket_backlog(const struct http_socket *socket)
{
    return wslay_event_get_queued_msg_length(socket->frames);
}

void http_socket_pause(struct http_socket *socket, bool pause)
{
    if (socket->paused == pause)
        return;
    socket->paused = pause;
    socket->reread = !pause;
    mark_unsent(socket);
}

void http_socket_close(struct http_socket *socket, int code, const char *reason)
{
    if (socket->told || socket->closing)
        return;
    socket->closing = true;
    socket->paused = false; /* to read the other's close frame */
    socket->reread = true;
    socket->close_code = (uint16_t)code;
    au_str_copy(socket->close_reason, sizeof socket->close_reason, reason ? reason : "");
    http_timer_set(socket->server, &socket->deadline, DRAIN_SECONDS);
    mark_unsent(socket);
}
