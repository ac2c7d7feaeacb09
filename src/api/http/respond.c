/* Answers: whole, static, and in pieces.
 *
 * An answer is made as a response of libmicrohttpd at once and queued when the body of the request
 * has come to its end (request.c). Where it cannot wait for that, because a large body is refused
 * half-way, it is written to the socket past libmicrohttpd, which then only takes and forgets what
 * the client still sends.                                                                        */
#include <stdio.h>
#include <string.h>

#include "api/http/internal.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#define MAX_BACKLOG_BYTES ((size_t)64 << 20)
#define BLOCK_BYTES       (32 * 1024)
#define COMPACT_BYTES     (256 * 1024)

static void add_header(struct MHD_Response *response, const char *name, const char *value)
{
    if (MHD_add_response_header(response, name, value) != MHD_YES)
        au_log(AU_LOG_WARN, "http: the header %s could not be added to an answer", name);
}

static void add_cors(struct http_request *request, struct MHD_Response *response)
{
    const char *origin = http_request_header(request, "origin");
    if (!origin || !http_route_origin_allowed(request->server, origin))
        return;
    add_header(response, "Access-Control-Allow-Origin", origin);
    add_header(response, "Access-Control-Expose-Headers",
               "x-request-id, server-timing, retry-after, retry-after-ms");
    add_header(response, "Vary", "Origin");
}

static void add_headers(struct http_request *request, struct MHD_Response *response, int status,
                        const char *content_type, const struct http_header *headers)
{
    if (content_type)
        add_header(response, "Content-Type", content_type);
    add_header(response, "x-request-id", request->id);
    add_header(response, "X-Content-Type-Options", "nosniff");
    add_header(response, "X-Frame-Options", "DENY");
    add_header(response, "Referrer-Policy", "no-referrer");
    add_cors(request, response);
    if (request->allow)
        add_header(response, "Allow", request->allow);
    if (!request->mhd && status == 503)
        add_header(response, "Retry-After", "1");
    if (status == 426) {
        add_header(response, "Upgrade", "websocket");
        add_header(response, "Sec-WebSocket-Version", "13");
    }
    for (; headers && headers->name; headers++)
        add_header(response, headers->name, headers->value);
}

/* An answer is there: send it as soon as that can be. A request that is still receiving is looked
 * at by request.c when the handler returns.                                                      */
static void deliver(struct http_request *request, int status, struct MHD_Response *response)
{
    request->status = status;
    request->response = response;
    if (!request->mhd)
        http_answer_raw(request);
    else if (request->phase == HTTP_WAITING)
        http_request_resume(request);
}

/* There is no memory for an answer: the connection ends. */
static void give_up(struct http_request *request)
{
    request->gone = true;
    http_request_resume(request);
}

static bool answered_twice(const struct http_request *request)
{
    if (request->status)
        au_log(AU_LOG_ERROR, "http: request %s was answered twice", request->id);
    return request->status != 0;
}

void http_respond_with(struct http_request *request, int status, const char *content_type,
                       struct MHD_Response *response, const struct http_header *headers)
{
    if (!response) {
        give_up(request);
        return;
    }
    add_headers(request, response, status, content_type, headers);
    deliver(request, status, response);
}

void http_respond(struct http_request *request, int status, const char *content_type,
                  const void *body, size_t n, const struct http_header *headers)
{
    struct MHD_Response *response = NULL;
    void *copy;
    if (answered_twice(request))
        return;
    copy = au_alloc(n ? n : 1);
    if (copy) {
        if (n)
            memcpy(copy, body, n);
        response = MHD_create_response_from_buffer_with_free_callback(n, copy, au_free);
        if (!response)
            au_free(copy);
    }
    request->body = copy;
    request->body_bytes = n;
    http_respond_with(request, status, content_type, response, headers);
}

void http_respond_static(struct http_request *request, int status, const char *content_type,
                         const void *body, size_t n, const struct http_header *headers)
{
    union {
        const void *borrowed;
        void *plain; /* libmicrohttpd does not write to it */
    } memory = {body};
    if (answered_twice(request))
        return;
    request->body = body;
    request->body_bytes = n;
    http_respond_with(request, status, content_type,
                      MHD_create_response_from_buffer(n, memory.plain, MHD_RESPMEM_PERSISTENT),
                      headers);
}

/* ---- Past libmicrohttpd ---------------------------------------------------------------------- */

static enum MHD_Result render_header(void *context, enum MHD_ValueKind kind, const char *name,
                                     const char *value)
{
    struct au_buf *out = context;
    (void)kind;
    (void)au_buf_printf(out, "%s: %s\r\n", name, value);
    return MHD_YES;
}

void http_answer_raw(struct http_request *request)
{
    struct au_buf out;
    if (!request->response || request->raw)
        return;
    request->raw = request->discard = true;
    au_buf_init(&out, 0);
    (void)au_buf_printf(&out, "HTTP/1.1 %d %s\r\n", request->status,
                        MHD_get_reason_phrase_for((unsigned)request->status));
    MHD_get_response_headers(request->response, render_header, &out);
    (void)au_buf_printf(&out, "Connection: close\r\nContent-Length: %zu\r\n\r\n",
                        request->body_bytes);
    if (!request->head)
        (void)au_buf_append(&out, request->body, request->body_bytes);
    http_connection_cut(request->connection, out.data, out.error ? 0 : out.len);
    au_buf_deinit(&out);
}

/* ---- In pieces ------------------------------------------------------------------------------- */

static ssize_t read_stream(void *context, uint64_t position, char *out, size_t max)
{
    struct http_request *request = context;
    struct au_buf *data = &request->stream.data;
    size_t n = data->len - request->stream.taken;
    (void)position;
    if (request->gone || data->error)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (n == 0) {
        if (request->stream.ended)
            return MHD_CONTENT_READER_END_OF_STREAM;
        http_request_suspend(request);
        return 0;
    }
    n = n < max ? n : max;
    memcpy(out, data->data + request->stream.taken, n);
    request->stream.taken += n;
    if (request->stream.taken == data->len) {
        au_buf_clear(data);
        request->stream.taken = 0;
    } else if (request->stream.taken >= COMPACT_BYTES && request->stream.taken > data->len / 2) {
        data->len -= request->stream.taken;
        memmove(data->data, data->data + request->stream.taken, data->len);
        request->stream.taken = 0;
    }
    return (ssize_t)n;
}

void http_stream_begin(struct http_request *request, int status, const char *content_type,
                       const struct http_header *headers)
{
    struct MHD_Response *response;
    if (answered_twice(request))
        return;
    au_buf_init(&request->stream.data, MAX_BACKLOG_BYTES);
    request->stream.begun = true;
    request->stream.events = content_type && au_str_starts(content_type, "text/event-stream");
    if (request->head) /* it would be given the last chunk of a body that HEAD does not have */
        response = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    else
        response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, read_stream,
                                                     request, NULL);
    http_respond_with(request, status, content_type, response, headers);
}

void http_stream_write(struct http_request *request, const void *data, size_t n)
{
    if (!request->stream.begun || request->stream.ended || n == 0)
        return;
    if (au_buf_append(&request->stream.data, data, n))
        au_log(AU_LOG_WARN, "http: request %s: the client leaves its answer untaken", request->id);
    http_request_resume(request);
}

void http_stream_end(struct http_request *request)
{
    if (!request->stream.begun)
        return;
    request->stream.ended = true;
    http_request_resume(request);
}

size_t http_stream_backlog(const struct http_request *request)
{
    return request->stream.begun ? request->stream.data.len - request->stream.taken : 0;
}
