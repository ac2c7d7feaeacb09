/* What every protocol front of the server shares: the context of its HTTP server, and the shape of
 * its errors.                                                                                    */
#ifndef API_API_H
#define API_API_H

#include <stdatomic.h>
#include <stdint.h>

#include "api/http/http.h"
#include "base/error.h"

struct service_access;

/* http_server_context of our servers. Borrowed by the fronts for as long as they run. */
struct api {
    struct service *service;
    struct service_access *access;
    const char *spool_folder; /* for uploads, in files without a name; NULL: the temporary one */
    int64_t started_unix_s;
    _Atomic double live_idle_seconds;   /* a live client says something that often */
    _Atomic double live_resume_seconds; /* a lost one may come back that long; 0: never */
    atomic_size_t n_inside; /* requests of protected routes whose answer is not yet out */
};

struct api *api_of(const struct http_request *request);

/* ---- Keys ------------------------------------------------------------------------------------ */

/* For http_server_config.authorize and .leave: API keys (service/access) and the count of requests
 * inside; for .log: a line for each, at level debug where an open route had an answer. A key comes
 * in "Authorization: Bearer KEY" (or "Token
 * KEY"), in "X-API-Key: KEY", or, from a browser's WebSocket, as a protocol that is offered:
 * "token, KEY" or "openai-insecure-api-key.KEY".                                                 */
bool api_authorize(struct http_request *request);
void api_leave(struct http_request *request);
void api_log(struct http_request *request);

/* ---- Errors ---------------------------------------------------------------------------------- */

/* OpenAI's error object: {"error": {"message", "type", "param", "code"}}. */
struct api_error {
    int status;          /* of HTTP */
    const char *param;   /* the field at fault; NULL: none */
    const char *code;    /* "model_not_found" ...; NULL: none */
    const char *message; /* one sentence for people */
    double retry_after;  /* seconds; 0: no such header */
};

/* Answer with an error. Network thread. */
void api_fail(struct http_request *request, const struct api_error *error);
/* The same with another body in JSON. */
struct au_buf;
void api_answer_failure(struct http_request *request, const struct api_error *error,
                        const struct au_buf *json);
/* The object alone, for streams: {"error": {...}} appended to out. */
void api_error_write(const struct api_error *error, struct au_buf *out);

/* Status and code of what the service or a parser said; param is left to the caller. The message is
 * the sentence, borrowed.                                                                        */
struct api_error api_error_of(enum auricle_error error, const char *sentence);

/* For http_server_config.refuse: what no route answers and what the transport refuses. */
void api_refuse(struct http_request *request, int status, const char *sentence);

#endif
