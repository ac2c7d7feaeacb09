/* The TLS relay. See tls.h; why it exists stands in docs/adr/060-http-library.md.
 *
 * A link is a client's socket and one end of a socket pair, both edge-triggered in the epoll set,
 * so that interest never has to be changed: whenever anything happens to a link it is pumped until
 * nothing moves any more. Each direction has one buffer of a record; it is filled only when it is
 * empty, which is the whole of the flow control. Links with more to do than a turn allows are
 * pumped again in the next round, so that one fast client does not keep the others waiting.
 *
 * Ends: what the client says last (close_notify or a TCP end; HTTP knows by itself when a
 * message is complete) shuts the inner socket for writing. What the server says last is followed
 * by close_notify and a TCP end, after which the client's bytes are read and thrown away for a
 * moment: closing at once would reset the connection, and an answer on its way could be lost.    */
#include "api/http/tls.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

#define SECOND_NS         ((int64_t)1000000000)
#define RECORD_BYTES      16384
#define UNSENT_BYTES_KEPT RECORD_BYTES /* in the kernel: more would hide what a client leaves */
#define TURN_STEPS        16           /* of a link, before others have their turn */
#define MAX_EVENTS        64
#define LINGER_SECONDS    2
#define STOP_SECONDS      1
#define SWEEP_MS          250

#define PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:%SERVER_PRECEDENCE"

struct piece {
    size_t begin, end; /* of what is not yet passed on */
    char bytes[RECORD_BYTES];
};

struct link {
    struct http_tls *tls;
    struct link *next, **at;
    struct link *next_queued;
    bool queued;                          /* looked at before the round ends */
    bool more;                            /* could go on, but others have their turn */
    struct http_certificate *certificate; /* the session's */
    gnutls_session_t session;
    int client, inner;
    bool tcp_ended;              /* the client sends no more bytes */
    bool shaken;                 /* the handshake is done */
    bool client_ended, told_end; /* no more comes from the client; the server was told */
    bool server_ended, said_bye; /* no more comes from the server; the client was told */
    bool server_left;            /* it has nothing to add, and may have closed: see serve */
    bool deaf;                   /* the server takes nothing more: thrown away */
    bool broken;                 /* to be closed */
    int64_t due_ns;              /* it is closed then; 0: no limit */
    struct piece in, out;        /* from the client, to the client */
};

struct http_tls {
    gnutls_priority_t priorities;
    gnutls_datum_t ticket_key;
    double handshake_seconds, untaken_seconds;
    int epoll_fd, wake_fd;
    pthread_t thread;
    bool has_thread;

    /* The thread's own. */
    struct link *links, *queue;
    int64_t swept_ns, stop_ns; /* stop_ns: when to leave; 0: not asked to */

    atomic_size_t n_links; /* arriving ones too */

    pthread_mutex_t lock;
    struct http_certificate *certificate; /* under the lock: of links to come */
    struct link *arriving; /* under the lock: handed in, not yet seen by the thread */
    bool stopping;         /* under the lock */
};

/* ---- One link -------------------------------------------------------------------------------- */

static void free_link(struct link *link)
{
    if (!link)
        return;
    if (link->session)
        gnutls_deinit(link->session);
    http_certificate_unref(link->certificate);
    if (link->client >= 0)
        close(link->client);
    if (link->inner >= 0)
        close(link->inner);
    atomic_fetch_sub(&link->tls->n_links, 1);
    au_free(link);
}

static void set_due(struct link *link, double seconds)
{
    link->due_ns = au_now_ns() + (int64_t)(seconds * 1e9);
}

static bool must_wait(ssize_t status)
{
    return status == GNUTLS_E_AGAIN || status == GNUTLS_E_INTERRUPTED;
}

/* A warning that the client sent is no reason to part. */
static bool is_harmless(ssize_t status)
{
    return status < 0 && !gnutls_error_is_fatal((int)status) && status != GNUTLS_E_REHANDSHAKE;
}

/* For GnuTLS an end of TCP without close_notify is the end of both directions. A client that only
 * has nothing more to say is to get its answer: GnuTLS hears that nothing is there yet.         */
static ssize_t pull(gnutls_transport_ptr_t context, void *out, size_t n)
{
    struct link *link = context;
    ssize_t got = link->tcp_ended ? 0 : recv(link->client, out, n, MSG_DONTWAIT);
    if (got != 0)
        return got;
    link->tcp_ended = true;
    errno = EAGAIN;
    gnutls_transport_set_errno(link->session, EAGAIN);
    return -1;
}

static ssize_t push(gnutls_transport_ptr_t context, const void *bytes, size_t n)
{
    const struct link *link = context;
    return send(link->client, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Each step returns whether something moved. */
static bool shake_hands(struct link *link)
{
    int status = gnutls_handshake(link->session);
    if (must_wait(status)) {
        link->broken = link->tcp_ended;
        return false;
    }
    if (status == GNUTLS_E_SUCCESS) {
        link->shaken = true;
        link->due_ns = 0;
        return true;
    }
    if (!is_harmless(status)) {
        (void)gnutls_alert_send_appropriate(link->session, status);
        link->broken = true;
    }
    return !link->broken;
}

static bool hear_client(struct link *link)
{
    if (link->client_ended || link->in.begin < link->in.end)
        return false;
    ssize_t n = gnutls_record_recv(link->session, link->in.bytes, RECORD_BYTES);
    if (must_wait(n) && !link->tcp_ended)
        return false;
    if (n > 0) {
        link->in.begin = 0;
        link->in.end = link->deaf ? 0 : (size_t)n;
    } else if (n == 0 || must_wait(n)) {
        link->client_ended = true;
    } else if (!is_harmless(n)) {
        link->broken = true; /* reset, forged, or asks for a new handshake */
    }
    return !link->broken;
}

static bool tell_server(struct link *link)
{
    struct piece *in = &link->in;
    if (in->begin == in->end) {
        if (!link->client_ended || link->told_end)
            return false;
        link->told_end = true;
        shutdown(link->inner, SHUT_WR);
        return true;
    }
    ssize_t n = send(link->inner, in->bytes + in->begin, in->end - in->begin,
                     MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return errno == EINTR;
    if (n < 0) {
        link->deaf = true; /* it may still be sending */
        in->begin = in->end;
    } else {
        in->begin += (size_t)n;
    }
    return true;
}

static bool hear_server(struct link *link)
{
    if (link->server_ended || link->out.begin < link->out.end)
        return false;
    ssize_t n = recv(link->inner, link->out.bytes, RECORD_BYTES, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return errno == EINTR;
    link->out.begin = 0;
    link->out.end = n > 0 ? (size_t)n : 0;
    link->server_ended = n <= 0;
    return true;
}

static bool tell_client(struct link *link)
{
    struct piece *out = &link->out;
    if (out->begin < out->end) {
        ssize_t n = gnutls_record_send(link->session, out->bytes + out->begin,
                                       out->end - out->begin);
        if (n > 0) {
            out->begin += (size_t)n;
            if (link->server_left)
                set_due(link, link->tls->untaken_seconds);
        } else if (!must_wait(n) && !is_harmless(n))
            link->broken = true;
        return n > 0;
    }
    if (!link->server_ended || link->said_bye)
        return false;
    if (must_wait(gnutls_bye(link->session, GNUTLS_SHUT_WR)))
        return false;
    link->said_bye = true;
    shutdown(link->client, SHUT_WR);
    set_due(link, LINGER_SECONDS);
    return true;
}

/* Move what can be moved. Returns false when the link is over. */
static bool pump(struct link *link)
{
    bool moved = true;
    link->more = false;
    for (int i = 0; moved && !link->broken; i++) {
        if (i == TURN_STEPS) {
            link->more = true;
            break;
        }
        if (!link->shaken) {
            moved = shake_hands(link);
            continue;
        }
        moved = hear_client(link);
        moved |= !link->broken && tell_server(link);
        moved |= !link->broken && hear_server(link);
        moved |= !link->broken && tell_client(link);
    }
    if (link->server_left && link->shaken && !link->due_ns)
        set_due(link, link->tls->untaken_seconds);
    return !link->broken && !(link->said_bye && link->client_ended);
}

/* ---- The thread ------------------------------------------------------------------------------ */

static void end_link(struct link *link)
{
    *link->at = link->next;
    if (link->next)
        link->next->at = link->at;
    free_link(link);
}

/* The client is gone, and not only silent: who has read its end reads no further. */
static bool client_is_lost(const struct link *link)
{
    struct pollfd look = {.fd = link->client};
    if (poll(&look, 1, 0) <= 0)
        return false;
    return look.revents & POLLERR || (look.revents & POLLHUP && !link->said_bye);
}

static bool has_server_left(const struct link *link)
{
    struct pollfd look = {.fd = link->inner, .events = POLLRDHUP};
    return poll(&look, 1, 0) > 0;
}

/* From then on nobody but the relay looks after the client, which may never take what was said.
 *
 * Other events of this round may point to a link that is over: only the end of the round frees
 * it. */
static void serve(struct http_tls *tls, struct link *link, uint32_t events)
{
    if (events & (EPOLLERR | EPOLLHUP) && client_is_lost(link))
        link->broken = true;
    if (events & (EPOLLRDHUP | EPOLLHUP) && !link->server_left)
        link->server_left = has_server_left(link);
    if (!link->broken && !pump(link))
        link->broken = true;
    if ((link->more || link->broken) && !link->queued) {
        link->queued = true;
        link->next_queued = tls->queue;
        tls->queue = link;
    }
}

/* Those with more to do, and those that are over. */
static void serve_queue(struct http_tls *tls)
{
    struct link *list = tls->queue, *next;
    tls->queue = NULL;
    for (struct link *link = list; link; link = next) {
        next = link->next_queued;
        link->queued = false;
        if (link->broken)
            end_link(link);
        else
            serve(tls, link, 0);
    }
}

/* Links that were handed in. Returns whether the relay is to end. */
static bool take_arrivals(struct http_tls *tls)
{
    uint64_t count;
    (void)!read(tls->wake_fd, &count, sizeof count);
    pthread_mutex_lock(&tls->lock);
    struct link *arriving = tls->arriving, *next;
    bool stopping = tls->stopping;
    tls->arriving = NULL;
    pthread_mutex_unlock(&tls->lock);
    for (struct link *link = arriving; link; link = next) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                    .data.ptr = link};
        next = link->next;
        link->next = tls->links;
        link->at = &tls->links;
        if (link->next)
            link->next->at = &link->next;
        tls->links = link;
        if (epoll_ctl(tls->epoll_fd, EPOLL_CTL_ADD, link->client, &event) ||
            epoll_ctl(tls->epoll_fd, EPOLL_CTL_ADD, link->inner, &event))
            link->due_ns = 1; /* the next sweep ends it */
    }
    return stopping;
}

/* End what is late. */
static void sweep(struct http_tls *tls, int64_t now_ns)
{
    struct link *next;
    if (now_ns - tls->swept_ns < SWEEP_MS * (SECOND_NS / 1000))
        return;
    tls->swept_ns = now_ns;
    for (struct link *link = tls->links; link; link = next) {
        next = link->next;
        bool late = link->due_ns && now_ns > link->due_ns;
        bool useless = tls->stop_ns && (link->said_bye || !link->shaken);
        if (!link->queued && (late || useless))
            end_link(link);
    }
}

static void *run(void *context)
{
    struct http_tls *tls = context;
    struct epoll_event events[MAX_EVENTS];
    for (;;) {
        int n = epoll_wait(tls->epoll_fd, events, MAX_EVENTS,
                           tls->queue                   ? 0
                           : tls->links || tls->stop_ns ? SWEEP_MS
                                                        : -1);
        bool woken = false;
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr)
                serve(tls, events[i].data.ptr, events[i].events);
            else
                woken = true;
        }
        serve_queue(tls);
        int64_t now_ns = au_now_ns();
        if (woken && take_arrivals(tls) && !tls->stop_ns)
            tls->stop_ns = now_ns + STOP_SECONDS * SECOND_NS;
        sweep(tls, now_ns);
        if (tls->stop_ns && (!tls->links || now_ns > tls->stop_ns))
            break;
    }
    while (tls->links)
        end_link(tls->links);
    return NULL;
}

/* ---- For the network thread ------------------------------------------------------------------ */

static bool open_session(struct link *link)
{
    static const unsigned char http_1_1[] = "http/1.1";
    struct http_tls *tls = link->tls;
    gnutls_datum_t protocol = {(unsigned char *)(uintptr_t)http_1_1, sizeof http_1_1 - 1};
    if (gnutls_init(&link->session, GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL)) {
        link->session = NULL;
        return false;
    }
    gnutls_transport_set_ptr(link->session, link);
    gnutls_transport_set_pull_function(link->session, pull);
    gnutls_transport_set_push_function(link->session, push);
    gnutls_handshake_set_timeout(link->session, GNUTLS_INDEFINITE_TIMEOUT); /* ours */
    return !gnutls_priority_set(link->session, tls->priorities) &&
           !gnutls_credentials_set(link->session, GNUTLS_CRD_CERTIFICATE,
                                   http_certificate_credentials(link->certificate)) &&
           !gnutls_alpn_set_protocols(link->session, &protocol, 1, 0) &&
           !gnutls_session_ticket_enable_server(link->session, &tls->ticket_key);
}

static void wake(struct http_tls *tls)
{
    static const uint64_t one = 1;
    (void)!write(tls->wake_fd, &one, sizeof one);
}

size_t http_tls_links(const struct http_tls *tls)
{
    return atomic_load(&tls->n_links);
}

int http_tls_take(struct http_tls *tls, int client)
{
    static const int lowat = UNSENT_BYTES_KEPT;
    int ends[2] = {-1, -1};
    struct link *link = au_calloc(1, sizeof *link);
    if (!link) {
        close(client);
        return -1;
    }
    link->tls = tls;
    atomic_fetch_add(&tls->n_links, 1);
    link->client = client;
    link->inner = -1;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends)) {
        free_link(link);
        return -1;
    }
    link->inner = ends[0];
    pthread_mutex_lock(&tls->lock);
    link->certificate = http_certificate_ref(tls->certificate);
    pthread_mutex_unlock(&tls->lock);
    if (!open_session(link)) {
        free_link(link);
        close(ends[1]);
        return -1;
    }
    setsockopt(client, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowat, sizeof lowat);
    set_due(link, tls->handshake_seconds);
    pthread_mutex_lock(&tls->lock);
    link->next = tls->arriving;
    tls->arriving = link;
    pthread_mutex_unlock(&tls->lock);
    wake(tls);
    return ends[1];
}

/* ---- Life ------------------------------------------------------------------------------------ */

static enum auricle_error start(struct http_tls *tls, struct au_fault *fault)
{
    struct epoll_event event = {.events = EPOLLIN};
    sigset_t all, before;
    tls->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    tls->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (tls->epoll_fd < 0 || tls->wake_fd < 0 ||
        epoll_ctl(tls->epoll_fd, EPOLL_CTL_ADD, tls->wake_fd, &event))
        return au_fail_errno(fault, errno, "TLS: cannot make the relay's descriptors");
    sigfillset(&all); /* signals are the main thread's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int status = pthread_create(&tls->thread, NULL, run, tls);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (status)
        return au_fail_errno(fault, status, "TLS: cannot start the relay's thread");
    tls->has_thread = true;
    return AURICLE_OK;
}

enum auricle_error http_tls_create(struct http_certificate *certificate, double handshake_seconds,
                                   double untaken_seconds, struct http_tls **out,
                                   struct au_fault *fault)
{
    enum auricle_error error = AURICLE_OK;
    struct http_tls *tls = au_calloc(1, sizeof *tls);
    if (!tls)
        return au_fail(fault, AURICLE_E_NOMEM, "TLS: out of memory");
    tls->epoll_fd = tls->wake_fd = -1;
    tls->handshake_seconds = handshake_seconds;
    tls->untaken_seconds = untaken_seconds;
    tls->certificate = http_certificate_ref(certificate);
    pthread_mutex_init(&tls->lock, NULL);
    if (gnutls_priority_init(&tls->priorities, PRIORITIES, NULL) ||
        gnutls_session_ticket_key_generate(&tls->ticket_key))
        error = au_fail(fault, AURICLE_E_NOMEM, "TLS: GnuTLS cannot be set up");
    if (!error)
        error = start(tls, fault);
    if (error)
        http_tls_destroy(tls);
    else
        *out = tls;
    return error;
}

void http_tls_use(struct http_tls *tls, struct http_certificate *certificate)
{
    pthread_mutex_lock(&tls->lock);
    struct http_certificate *former = tls->certificate;
    tls->certificate = http_certificate_ref(certificate);
    pthread_mutex_unlock(&tls->lock);
    http_certificate_unref(former);
}

void http_tls_destroy(struct http_tls *tls)
{
    struct link *next;
    if (!tls)
        return;
    if (tls->has_thread) {
        pthread_mutex_lock(&tls->lock);
        tls->stopping = true;
        pthread_mutex_unlock(&tls->lock);
        wake(tls);
        pthread_join(tls->thread, NULL);
    }
    for (struct link *link = tls->arriving; link; link = next) {
        next = link->next;
        free_link(link);
    }
    if (tls->epoll_fd >= 0)
        close(tls->epoll_fd);
    if (tls->wake_fd >= 0)
        close(tls->wake_fd);
    if (tls->ticket_key.data)
        gnutls_memset(tls->ticket_key.data, 0, tls->ticket_key.size);
    gnutls_free(tls->ticket_key.data);
    if (tls->priorities)
        gnutls_priority_deinit(tls->priorities);
    http_certificate_unref(tls->certificate);
    pthread_mutex_destroy(&tls->lock);
    au_free(tls);
}
