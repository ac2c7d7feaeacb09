/* What the files of this folder share. Everything here belongs to the network thread. */
#ifndef HTTP_INTERNAL_H
#define HTTP_INTERNAL_H

#include <microhttpd.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "api/http/http.h"
#include "api/http/tls.h"
#include "base/buf.h"

#define HTTP_MAX_LISTENERS 4
#define HTTP_MAX_SEGMENTS  16 /* of a path */
#define HTTP_MAX_QUERY     64 /* name=value pairs */
#define HTTP_ID_BYTES      72

/* What lies in the epoll set. fn may free its own watch, and no other: further events of the same
 * wake-up may be waiting for those.                                                              */
struct http_watch {
    void (*fn)(struct http_watch *watch, uint32_t events);
};

struct http_listener {
    struct http_watch watch;
    struct http_server *server;
    int fd;
};

/* One TCP connection, from accept to close. */
struct http_connection {
    struct http_watch watch; /* its end, noticed while libmicrohttpd does not look */
    struct http_server *server;
    struct http_connection *next, **link; /* in server->connections */
    int fd;
    struct MHD_Connection *mhd;   /* NULL: not handed over (refused, lingering) */
    struct http_request *request; /* between its header and the end of its answer */
    char *uri;                    /* as sent, of the request to come */
    int64_t since_ns;             /* accepted; last answer ended; request line came */
    bool answered_before;         /* an answer was sent: it may lie idle now */
    bool half_closed;             /* the client sends no more; it may still listen, or be gone */
    bool cut;                     /* told to end; only the rest of its bytes are taken */
    unsigned n_probes;
    struct sockaddr_storage address; /* of the client, until it is handed over */
    socklen_t n_address;
    struct http_timer linger; /* then it is cut off */
    struct http_timer probe;  /* see http_connection_probe */
    char peer[INET6_ADDRSTRLEN];
};

struct http_server {
    struct http_server_config config; /* with the defaults filled in */
    struct MHD_Daemon *daemon;
    struct http_tls *tls; /* NULL: none */
    int epoll_fd, wake_fd;
    struct http_watch mhd_watch, wake_watch;
    struct http_listener listeners[HTTP_MAX_LISTENERS];
    int n_listeners, port;
    bool listening;
    struct http_connection *connections;
    struct http_connection *adding; /* while MHD_add_connection runs */
    char *peeked;                   /* [max_header_bytes] a header looked at */
    atomic_size_t n_connections;    /* read by any thread */
    _Atomic(struct http_post_node *) posted;
    atomic_bool stop;
    struct http_timer *timers; /* root of the heap */
    struct http_timer sweep, listen_again;
    struct http_request *suspending; /* see http_request_suspend */
    bool resumed;                    /* libmicrohttpd has to be run again */
    struct http_socket *sockets;     /* all */
    struct http_socket *unsent;      /* those with something to send, or to be closed */
};

struct http_query_pair {
    char *name, *value; /* in request->query_text */
};

struct http_request_param {
    const char *name; /* in the route's path */
    size_t name_bytes;
    const char *value; /* in request->segment_text or request->path */
};

enum http_phase {
    HTTP_RECEIVING, /* the body is coming, or discarded */
    HTTP_WAITING,   /* the body is complete, the answer is not begun */
    HTTP_SENDING    /* libmicrohttpd has the answer */
};

struct http_request {
    struct http_server *server;
    struct http_connection *connection;
    struct MHD_Connection *mhd; /* NULL: the refusal of a connection without a request */
    const struct http_route *route;
    enum http_phase phase;
    int64_t begun_ns;
    const char *method;
    bool head, http_1_0, expects_continue;
    bool let_in;     /* by authorize: leave must be called */
    bool begun;      /* begin was called, so over must be */
    bool discard;    /* what comes of the body is not wanted */
    bool suspending; /* in server->suspending */
    bool suspended;  /* in libmicrohttpd */
    struct http_request *next_suspending;
    bool gone; /* the client is; libmicrohttpd is about to be told */
    bool raw;  /* answered past libmicrohttpd, which only takes the rest of the body */
    int64_t length;
    uint64_t window_bytes; /* of the body, since window_ns */
    int64_t window_ns;
    const char *allow; /* methods, for 405 and OPTIONS; in allow_text */
    void *state, *grant;
    /* Target. */
    char *path, *segment_text, *query_text;
    const char *segments[HTTP_MAX_SEGMENTS]; /* decoded, in segment_text */
    size_t segment_at[HTTP_MAX_SEGMENTS];    /* where they lie in path */
    size_t n_segments;
    struct http_query_pair query[HTTP_MAX_QUERY];
    size_t n_query;
    struct http_request_param params[HTTP_MAX_SEGMENTS];
    size_t n_params;
    char allow_text[80];
    char id[HTTP_ID_BYTES];
    /* Answer. */
    int status; /* 0: none yet */
    struct MHD_Response *response;
    const void *body; /* of a whole answer, as long as response lives */
    size_t body_bytes;
    struct http_socket *socket; /* it becomes one */
    struct {
        struct au_buf data;
        size_t taken; /* of data */
        bool begun, ended, events;
    } stream;
};

/* connection.c */
void http_connection_accept(struct http_listener *listener);
void http_connection_notify(void *server, struct MHD_Connection *mhd, void **context,
                            enum MHD_ConnectionNotificationCode code);
/* Write bytes past libmicrohttpd, say that no more will come, and take what the client still sends
 * for a moment, so that it can read the answer before the connection is torn down.               */
void http_connection_cut(struct http_connection *connection, const void *bytes, size_t n);
/* The client's side is closed. That may mean "I have said everything" or "I am gone"; only writing
 * tells. Write something that means nothing, while the answer is not there.                      */
void http_connection_probe(struct http_connection *connection);
void http_connection_sweep(struct http_server *server); /* end those that take too long */
void http_connection_free(struct http_connection *connection);

/* request.c */
enum MHD_Result http_request_handle(void *server, struct MHD_Connection *mhd, const char *url,
                                    const char *method, const char *version, const char *data,
                                    size_t *n, void **context);
void *http_request_note_uri(void *server, const char *uri, struct MHD_Connection *mhd);
void http_request_completed(void *server, struct MHD_Connection *mhd, void **context,
                            enum MHD_RequestTerminationCode code);
void http_request_refuse(struct http_request *request, int status, const char *sentence);
/* Refuse a connection that has no request (yet). */
void http_request_refuse_connection(struct http_connection *connection, int status,
                                    const char *sentence);
/* Rest until resumed. It happens at the end of libmicrohttpd's turn: suspended in the middle of
 * one, it would read before anything else when it goes on, and take a half-closed client for one
 * that has left.                                                                                 */
void http_request_suspend(struct http_request *request);
void http_request_suspend_all(struct http_server *server);
void http_request_resume(struct http_request *request); /* nothing where not suspended */

/* target.c */
/* Take path and query apart. NULL, or the sentence of a 400. */
const char *http_target_parse(struct http_request *request, const char *uri);

/* route.c */
/* Finds request->route and its params; sets request->allow. NULL route: 404, or 405 with allow. */
void http_route_find(struct http_request *request);
bool http_route_origin_allowed(const struct http_server *server, const char *origin);
void http_route_options(struct http_request *request); /* answers OPTIONS */

/* respond.c */
/* Answer with a response of libmicrohttpd (taken; NULL: there was no memory). */
void http_respond_with(struct http_request *request, int status, const char *content_type,
                       struct MHD_Response *response, const struct http_header *headers);
void http_answer_raw(struct http_request *request); /* past libmicrohttpd, and cut */

/* timer.c */
int64_t http_timer_next_ns(const struct http_server *server); /* INT64_MAX: none */
void http_timer_run(struct http_server *server);

/* socket.c */
void http_socket_flush(struct http_server *server);
void http_socket_abort_all(struct http_server *server);
bool http_socket_busy(const struct http_server *server); /* a good-bye or a message is under way */
/* The request ends, upgraded or not; the socket with it. */
void http_socket_request_over(struct http_socket *socket);

/* server.c */
void http_server_watch(struct http_server *server, int operation, int fd, struct http_watch *watch,
                       uint32_t events);
void http_server_listen(struct http_server *server, bool on);

#endif
