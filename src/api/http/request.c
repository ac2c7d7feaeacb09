/* Requests: from libmicrohttpd's callbacks to a handler's, and what a handler may ask of one.
 *
 * libmicrohttpd calls http_request_handle when the header is there, for each piece of the body, and
 * when the body is complete. It takes an answer at the first of these (it then closes the
 * connection) or at the last. So answers to requests without a body, or with a small one, wait for
 * the last call; where a client asked before sending ("Expect"), the first is used; anything else
 * that is refused early is answered past libmicrohttpd. A request without an answer is suspended
 * until http_respond or a stream resumes it.                                                     */
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "api/http/internal.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#define DISCARD_BYTES (64 * 1024) /* of an unwanted body that are taken to keep the connection */

/* ---- Suspending ------------------------------------------------------------------------------ */

void http_request_suspend(struct http_request *request)
{
    if (request->suspending)
        return;
    request->suspending = true;
    request->next_suspending = request->server->suspending;
    request->server->suspending = request;
}

void http_request_suspend_all(struct http_server *server)
{
    while (server->suspending) {
        struct http_request *request = server->suspending;
        server->suspending = request->next_suspending;
        request->suspending = false;
        request->suspended = true;
        MHD_suspend_connection(request->mhd);
        if (request->connection->half_closed)
            http_timer_set(server, &request->connection->probe, 0);
    }
}

static void forget_suspending(struct http_request *request)
{
    struct http_request **link = &request->server->suspending;
    if (!request->suspending)
        return;
    while (*link != request)
        link = &(*link)->next_suspending;
    *link = request->next_suspending;
    request->suspending = false;
}

void http_request_resume(struct http_request *request)
{
    forget_suspending(request);
    request->server->resumed = true;
    if (!request->suspended)
        return;
    request->suspended = false;
    MHD_resume_connection(request->mhd);
}

/* ---- Making and ending ----------------------------------------------------------------------- */

static bool is_sane_id(const char *id)
{
    size_t n = id ? strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
                  : 0;
    return n >= 1 && n <= 64 && id[n] == '\0';
}

static void make_id(struct http_request *request)
{
    const char *given = http_request_header(request, "x-request-id");
    unsigned char bytes[16];
    if (is_sane_id(given)) {
        au_str_copy(request->id, sizeof request->id, given);
        return;
    }
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        memset(bytes, 0, sizeof bytes);
    au_str_copy(request->id, sizeof request->id, "req_");
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(request->id + 4 + 2 * i, 3, "%02x", bytes[i]);
}

static struct http_request *new_request(struct http_connection *connection,
                                        struct MHD_Connection *mhd, const char *method,
                                        const char *version)
{
    struct http_request *request = au_calloc(1, sizeof *request);
    if (!request)
        return NULL;
    request->server = connection->server;
    request->connection = connection;
    request->mhd = mhd;
    request->method = method;
    request->head = strcmp(method, "HEAD") == 0;
    request->http_1_0 = strcmp(version, "HTTP/1.0") == 0;
    request->begun_ns = request->window_ns = au_now_ns();
    request->length = -1;
    make_id(request);
    return request;
}

static void free_request(struct http_request *request)
{
    if (request->response)
        MHD_destroy_response(request->response);
    if (request->stream.begun)
        au_buf_deinit(&request->stream.data);
    au_free(request->path);
    au_free(request->segment_text);
    au_free(request->query_text);
    au_free(request->state);
    au_free(request);
}

void http_request_completed(void *context, struct MHD_Connection *mhd, void **request_context,
                            enum MHD_RequestTerminationCode code)
{
    struct http_request *request = *request_context;
    bool complete;
    (void)context, (void)mhd;
    if (!request)
        return;
    *request_context = NULL;
    forget_suspending(request);
    request->suspended = false;
    complete = request->raw || (request->phase == HTTP_SENDING && !request->gone &&
                                code == MHD_REQUEST_TERMINATED_COMPLETED_OK);
    if (request->socket)
        http_socket_request_over(request->socket);
    if (request->begun && request->route->handler->over)
        request->route->handler->over(request, complete);
    if (request->server->config.log)
        request->server->config.log(request);
    if (request->let_in && request->server->config.leave)
        request->server->config.leave(request);
    http_timer_cancel(request->server, &request->connection->probe);
    request->connection->request = NULL;
    request->connection->n_probes = 0;
    request->connection->answered_before = true;
    request->connection->since_ns = au_now_ns();
    free_request(request);
}

void *http_request_note_uri(void *context, const char *uri, struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(
        mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct http_connection *connection = info->socket_context;
    (void)context;
    au_free(connection->uri);
    connection->uri = au_strdup(uri);
    if (connection->answered_before) /* a first header has been timed since the connection came */
        connection->since_ns = au_now_ns();
    return NULL;
}

/* ---- Refusing -------------------------------------------------------------------------------- */

void http_request_refuse(struct http_request *request, int status, const char *sentence)
{
    if (request->server->config.refuse)
        request->server->config.refuse(request, status, sentence);
    if (!request->status)
        http_respond(request, status, "text/plain; charset=utf-8", sentence, strlen(sentence),
                     NULL);
}

void http_request_refuse_connection(struct http_connection *connection, int status,
                                    const char *sentence)
{
    struct http_request *request = new_request(connection, NULL, "", "HTTP/1.1");
    if (!request) {
        http_connection_cut(connection, "", 0);
        return;
    }
    http_request_refuse(request, status, sentence);
    free_request(request);
}

/* ---- Checks of the header -------------------------------------------------------------------- */

struct counts {
    unsigned host, content_length, transfer_encoding, expect;
};

static enum MHD_Result count_header(void *context, enum MHD_ValueKind kind, const char *name,
                                    const char *value)
{
    struct counts *counts = context;
    (void)kind, (void)value;
    counts->host += au_str_equal_nocase(name, "host");
    counts->content_length += au_str_equal_nocase(name, "content-length");
    counts->transfer_encoding += au_str_equal_nocase(name, "transfer-encoding");
    counts->expect += au_str_equal_nocase(name, "expect");
    return MHD_YES;
}

static bool is_host(const char *host)
{
    return host && *host && strlen(host) <= 261 &&
           host[strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                             ".-_~%!$&'()*+,;=:[]")] == '\0';
}

/* What makes the end of the body doubtful: nothing more may be read from the connection. */
static const char *check_framing(struct http_request *request, const struct counts *counts)
{
    const char *coding = http_request_header(request, "transfer-encoding");
    const char *length = http_request_header(request, "content-length");
    if (counts->content_length > 1)
        return "The request has more than one Content-Length.";
    if (counts->transfer_encoding && counts->content_length)
        return "The request has both a Content-Length and a Transfer-Encoding.";
    if (counts->transfer_encoding > 1 || (coding && !au_str_equal_nocase(coding, "chunked")))
        return "The Transfer-Encoding of the request is not 'chunked'.";
    if (coding && request->http_1_0)
        return "HTTP/1.0 has no Transfer-Encoding.";
    if (length && (!au_parse_i64(length, &request->length) || request->length < 0))
        return "The Content-Length of the request is not a number.";
    return NULL;
}

/* False when the request has been refused. */
static bool check_header(struct http_request *request, const struct counts *counts)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(
        request->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    const char *coding = http_request_header(request, "content-encoding");
    const char *expect = http_request_header(request, "expect");
    if (info && info->header_size > request->server->config.max_header_bytes)
        http_request_refuse(request, 431, "The header of the request is too large.");
    else if (counts->host > 1 || (!request->http_1_0 && !counts->host) ||
             (counts->host && !is_host(http_request_header(request, "host"))))
        http_request_refuse(request, 400, "The request needs one Host header with a host's name.");
    else if (counts->expect > 1 || (expect && !au_str_equal_nocase(expect, "100-continue")))
        http_request_refuse(request, 417, "Of 'Expect', only '100-continue' is known.");
    else if (coding && *coding && !au_str_equal_nocase(coding, "identity"))
        http_request_refuse(request, 415,
                            "A body with a Content-Encoding is not accepted: send it as it is.");
    return request->status == 0;
}

/* ---- Calls of libmicrohttpd ------------------------------------------------------------------ */

static enum MHD_Result queue_answer(struct http_request *request)
{
    enum MHD_Result result;
    request->phase = HTTP_SENDING;
    result = MHD_queue_response(request->mhd, (unsigned)request->status, request->response);
    MHD_destroy_response(request->response);
    request->response = NULL;
    return result;
}

static bool has_body(const struct http_request *request)
{
    return request->length > 0 || http_request_header(request, "transfer-encoding");
}

/* After a handler was called before the body has ended: was the rest refused? */
static enum MHD_Result settle(struct http_request *request, bool refused)
{
    if (request->gone)
        return MHD_NO;
    if (!request->status || !refused)
        return MHD_YES;
    request->discard = true;
    if (!has_body(request) || (request->length >= 0 && request->length <= DISCARD_BYTES))
        return MHD_YES; /* the last call sends it */
    if (!request->stream.begun && !request->socket)
        http_answer_raw(request);
    return MHD_YES;
}

/* Routes the request and asks its handler. True: the body may come. */
static bool admit(struct http_request *request)
{
    const struct http_handler *handler;
    http_route_find(request);
    if (!request->route && request->allow && strcmp(request->method, "OPTIONS") == 0) {
        http_route_options(request);
        return false;
    }
    if (!request->route) {
        http_request_refuse(request, request->allow ? 405 : 404,
                            request->allow ? "This path does not know this method."
                                           : "There is nothing at this path.");
        return false;
    }
    handler = request->route->handler;
    if (!request->route->open && request->server->config.authorize &&
        !request->server->config.authorize(request))
        return false;
    request->let_in = !request->route->open;
    request->state = au_calloc(1, handler->state_bytes ? handler->state_bytes : 1);
    if (!request->state) {
        http_request_refuse(request, 503, "The server has no memory for this request.");
        return false;
    }
    request->begun = true;
    return !handler->begin || handler->begin(request) == HTTP_GO_ON;
}

static enum MHD_Result begin(struct http_server *server, struct MHD_Connection *mhd,
                             const char *method, const char *version, void **context)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(
        mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct http_connection *connection = info->socket_context;
    struct http_request *request = new_request(connection, mhd, method, version);
    struct counts counts = {0};
    const char *sentence;
    (void)server;
    if (!request || !connection->uri || connection->cut) {
        au_free(request);
        return MHD_NO;
    }
    *context = request;
    connection->request = request;
    MHD_get_connection_values(mhd, MHD_HEADER_KIND, count_header, &counts);
    sentence = http_target_parse(request, connection->uri);
    au_free(connection->uri);
    connection->uri = NULL;
    if (!sentence) {
        sentence = check_framing(request, &counts);
        if (sentence) {
            http_request_refuse(request, 400, sentence);
            http_answer_raw(request);
            return MHD_YES;
        }
    } else {
        http_request_refuse(request, 400, sentence);
        return settle(request, true);
    }
    request->expects_continue = counts.expect && !request->http_1_0;
    if (check_header(request, &counts) && admit(request))
        return settle(request, false);
    if (request->expects_continue && request->response && has_body(request))
        return queue_answer(request);
    return settle(request, true);
}

static enum MHD_Result take_body(struct http_request *request, const char *data, size_t n)
{
    const struct http_handler *handler;
    request->window_bytes += n;
    if (request->discard)
        return MHD_YES;
    handler = request->route->handler;
    if (!handler->body || handler->body(request, (const uint8_t *)data, n))
        return settle(request, false);
    return settle(request, true);
}

static enum MHD_Result finish(struct http_request *request)
{
    if (request->gone || request->raw)
        return MHD_NO;
    if (request->phase == HTTP_RECEIVING) {
        request->phase = HTTP_WAITING;
        if (!request->discard && !request->status && request->route->handler->end)
            request->route->handler->end(request);
    }
    if (request->gone)
        return MHD_NO;
    if (request->response)
        return queue_answer(request);
    http_request_suspend(request);
    return MHD_YES;
}

enum MHD_Result http_request_handle(void *context, struct MHD_Connection *mhd, const char *url,
                                    const char *method, const char *version, const char *data,
                                    size_t *n, void **request_context)
{
    size_t n_data = *n;
    (void)url;
    if (!*request_context)
        return begin(context, mhd, method, version, request_context);
    *n = 0;
    return n_data ? take_body(*request_context, data, n_data) : finish(*request_context);
}

/* ---- What handlers ask ----------------------------------------------------------------------- */

struct http_server *http_request_server(const struct http_request *request)
{
    return request->server;
}

void *http_request_state(struct http_request *request)
{
    return request->state;
}

bool http_request_let_in(const struct http_request *request)
{
    return request->let_in;
}

int http_request_status(const struct http_request *request)
{
    return request->status;
}

void **http_request_grant(struct http_request *request)
{
    return &request->grant;
}

const char *http_request_method(const struct http_request *request)
{
    return request->method;
}

const char *http_request_id(const struct http_request *request)
{
    return request->id;
}

const char *http_request_peer(const struct http_request *request)
{
    return request->connection->peer;
}

const char *http_request_header(const struct http_request *request, const char *name)
{
    return request->mhd ? MHD_lookup_connection_value(request->mhd, MHD_HEADER_KIND, name) : NULL;
}

int64_t http_request_length(const struct http_request *request)
{
    return request->length;
}

double http_request_age_seconds(const struct http_request *request)
{
    return (double)(au_now_ns() - request->begun_ns) * 1e-9;
}
