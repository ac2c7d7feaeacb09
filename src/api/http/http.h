/* HTTP/1.1 and WebSocket over libmicrohttpd and wslay: connections, requests, answers. What they
 * mean is the business of the handlers.
 *
 * One thread, the network thread, runs everything: it calls handlers and they answer at once or
 * later, but always on that thread. Whoever finishes work elsewhere calls http_post, from any
 * thread, and continues in the function it posted.                                               */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct http_server;      /* opaque */
struct http_request;     /* opaque: one request, from its headers to the end of its answer */
struct http_socket;      /* opaque: one WebSocket */
struct http_certificate; /* opaque: see certificate.h */

/* ---- Server ---------------------------------------------------------------------------------- */

struct http_header {
    const char *name, *value;
};

enum http_verdict {
    HTTP_GO_ON,   /* the body may come (100 Continue is sent where asked for) */
    HTTP_ANSWERED /* http_respond was called; the body is not wanted */
};

/* What handles the requests of a route. All on the network thread; NULL members are skipped. */
struct http_handler {
    size_t state_bytes; /* zeroed memory per request: http_request_state */
    /* The header is there. NULL: as if HTTP_GO_ON. */
    enum http_verdict (*begin)(struct http_request *request);
    /* Part of the body, decoded from its transfer coding. Return false after http_respond to
     * refuse the rest. */
    bool (*body)(struct http_request *request, const uint8_t *data, size_t n);
    /* The body is complete: answer now or later. */
    void (*end)(struct http_request *request);
    /* Answered and sent, or the client went away (complete false): the last call, always made once
     * after begin. Of a request that became a WebSocket it follows `closed`. */
    void (*over)(struct http_request *request, bool complete);
};

struct http_route {
    const char *method; /* "GET" (serves HEAD as well), "POST" ... */
    const char *path;   /* "/v1/models/{id}": a name in braces takes one segment, or with "{id*}"
                           the rest of the path */
    const struct http_handler *handler;
    bool open; /* no key is asked for */
};

/* What it points to must outlive the server. */
struct http_server_config {
    const char *host; /* name or address; all addresses of a name are listened to */
    int port;         /* 0: any free one, see http_server_port */
    struct http_certificate *certificate; /* a reference is taken; NULL: no TLS */
    int max_connections;                  /* 0: 1024 */
    size_t max_header_bytes;              /* 0: 32 KiB */
    double header_seconds;                /* for a whole header; 0: 15 */
    double idle_seconds;                  /* keep-alive; 0: 60 */
    double min_body_bytes_per_s;          /* a slower body is ended with 408; 0: 512 */
    double body_seconds;                  /* over which that rate is measured; 0: 10 */
    const char *const *origins;      /* allowed by CORS, ends with NULL; "*" for any; NULL: none */
    const struct http_route *routes; /* ends with path NULL */
    /* Asked for every route that is not open; returns true to let it in, else it has answered. */
    bool (*authorize)(struct http_request *request);
    /* The end of each request that was let in, after its handler's `over`; NULL: not wanted. */
    void (*leave)(struct http_request *request);
    /* The end of each request, before `leave`; NULL: not wanted. */
    void (*log)(struct http_request *request);
    /* Called for what no route answers (404, 405; Allow is added) and for what the server itself
     * refuses (400, 408, 415, 417, 431, 503 ...), so that errors have one shape: answers with
     * http_respond. The request may have no path, method or headers (""; NULL) where none came.  */
    void (*refuse)(struct http_request *request, int status, const char *sentence);
    void *context;
};

AURICLE_MUST_CHECK enum auricle_error http_server_create(const struct http_server_config *config,
                                                         struct http_server **out,
                                                         struct au_fault *fault);
int http_server_port(const struct http_server *server);
/* With TLS: connections made from now on get this certificate, others go on with theirs. A
 * reference is taken. Any thread. */
void http_server_use_certificate(struct http_server *server, struct http_certificate *certificate);
/* The calling thread becomes the network thread until http_server_stop. */
AURICLE_MUST_CHECK enum auricle_error http_server_run(struct http_server *server,
                                                      struct au_fault *fault);
void http_server_stop(struct http_server *server); /* any thread, and signal handlers */
void http_server_destroy(struct http_server *server);
void *http_server_context(const struct http_server *server);
size_t http_server_connections(const struct http_server *server);

/* Run fn on the network thread, after those posted before it. Any thread. Never fails: the node is
 * the caller's memory, free again when fn is called.                                             */
struct http_post_node {
    struct http_post_node *next;
    void (*fn)(struct http_post_node *node);
};
void http_post(struct http_server *server, struct http_post_node *node);

/* Run fn once after seconds, on the network thread. The timer is the caller's memory, zeroed but
 * for fn, and free again when fn is called or after a cancel. Setting one that is set moves it.
 * Network thread, and before http_server_run.                                                    */
struct http_timer {
    void (*fn)(struct http_timer *timer);
    int64_t due_ns;                           /* internal, as what follows */
    struct http_timer *child, *next, *before; /* of a pairing heap */
    bool set;
};
void http_timer_set(struct http_server *server, struct http_timer *timer, double seconds);
void http_timer_cancel(struct http_server *server, struct http_timer *timer); /* unset: fine */

/* ---- Requests -------------------------------------------------------------------------------- */

struct http_server *http_request_server(const struct http_request *request);
void *http_request_state(struct http_request *request);
/* What authorize found out, for leave: NULL to begin with. */
void **http_request_grant(struct http_request *request);
const char *http_request_method(const struct http_request *request);
const char *http_request_path(const struct http_request *request); /* decoded, valid UTF-8 */
const char *http_request_id(const struct http_request *request);   /* the client's, or a new one */
const char *http_request_peer(const struct http_request *request); /* address */
/* NULL when absent. Header names are compared without case. */
const char *http_request_header(const struct http_request *request, const char *name);
const char *http_request_query(const struct http_request *request, const char *name);
/* The i-th query value of that name, for repeated ones; NULL past the last. */
const char *http_request_query_at(const struct http_request *request, const char *name, size_t i);
/* The i-th pair of the query; false past the last. */
bool http_request_query_pair(const struct http_request *request, size_t i, const char **name,
                             const char **value);
const char *http_request_param(const struct http_request *request,
                               const char *name);                /* of {name} */
int64_t http_request_length(const struct http_request *request); /* Content-Length; -1: unknown */
double http_request_age_seconds(const struct http_request *request);
int http_request_status(const struct http_request *request); /* of the answer; 0: none yet */
/* By authorize; false of open routes, too, and of what is on none. */
bool http_request_let_in(const struct http_request *request);

/* ---- Answers --------------------------------------------------------------------------------- */

/* A whole answer. body is copied. Security headers, x-request-id, CORS and Date are added.
 * headers ends with name NULL; NULL: none.                                                       */
void http_respond(struct http_request *request, int status, const char *content_type,
                  const void *body, size_t n, const struct http_header *headers);
/* As above, with memory that lives as long as the server (pages, documents). */
void http_respond_static(struct http_request *request, int status, const char *content_type,
                         const void *body, size_t n, const struct http_header *headers);

/* An answer in pieces (chunked). Pieces are kept until the client takes them; nobody waits. A
 * client that leaves more than 64 MiB untaken is cut off.                                        */
void http_stream_begin(struct http_request *request, int status, const char *content_type,
                       const struct http_header *headers);
void http_stream_write(struct http_request *request, const void *data, size_t n);
void http_stream_end(struct http_request *request);
size_t http_stream_backlog(const struct http_request *request); /* bytes not yet taken */

/* ---- WebSocket ------------------------------------------------------------------------------- */

struct http_socket_handler {
    /* A whole message. */
    void (*text)(struct http_socket *socket, const char *text, size_t n); /* valid UTF-8 */
    void (*binary)(struct http_socket *socket, const uint8_t *data, size_t n);
    /* A message is larger than may be; the connection is closed with 1009 after the return. */
    void (*too_large)(struct http_socket *socket);
    /* Everything that was sent has gone out: the system has it. */
    void (*drained)(struct http_socket *socket);
    /* Closed by whomever: the last call. code as in RFC 6455; 1006 without a closing handshake. */
    void (*closed)(struct http_socket *socket, int code);
    size_t max_message_bytes; /* 0: 1 MiB */
    double ping_seconds;      /* a ping that often, and 1011 when two go unanswered; 0: 20 */
};

/* Is it a handshake, and from a page that may? False: it was refused (426, 400, 403). For handlers
 * that take something before they upgrade: nothing may be taken for a request that cannot.      */
bool http_upgrade_check(struct http_request *request);
/* Turn the request into a WebSocket, from begin. Checks the handshake (as above) and answers it;
 * returns NULL when it has refused. state: the caller's, handed back by http_socket_state.
 * protocol: of those offered, or NULL.                                                           */
struct http_socket *http_upgrade(struct http_request *request,
                                 const struct http_socket_handler *handler, void *state,
                                 const char *protocol, const struct http_header *headers);
void *http_socket_state(const struct http_socket *socket);
struct http_server *http_socket_server(const struct http_socket *socket);
void http_socket_text(struct http_socket *socket, const char *text, size_t n); /* copied */
void http_socket_binary(struct http_socket *socket, const void *data, size_t n);
size_t http_socket_backlog(
    const struct http_socket *socket); /* bytes not yet taken by the client */
/* Stop or go on taking messages in: the client is held back by TCP. */
void http_socket_pause(struct http_socket *socket, bool pause);
/* Say good-bye; `closed` follows. Nothing may be sent after it. reason at most 123 bytes. */
void http_socket_close(struct http_socket *socket, int code, const char *reason);

#endif
