/* Errors in OpenAI's shape. See api.h. */
#include <math.h>
#include <stdio.h>

#include "api/api.h"
#include "base/buf.h"
#include "base/json.h"

#define RETRY_SECONDS 1.0 /* until what is lacking may be there */

struct api *api_of(const struct http_request *request)
{
    return http_server_context(http_request_server(request));
}

static const char *type_of(int status)
{
    if (status == 429)
        return "rate_limit_exceeded";
    return status >= 500 ? "server_error" : "invalid_request_error";
}

void api_error_write(const struct api_error *error, struct au_buf *out)
{
    struct au_json_writer w;
    au_json_writer_init(&w, out, 0);
    au_json_open_object(&w);
    au_json_key(&w, "error");
    au_json_open_object(&w);
    au_json_add_string(&w, "message", error->message ? error->message : "");
    au_json_add_string(&w, "type", type_of(error->status));
    au_json_add_string(&w, "param", error->param);
    au_json_add_string(&w, "code", error->code);
    au_json_close_object(&w);
    au_json_close_object(&w);
}

void api_answer_failure(struct http_request *request, const struct api_error *error,
                        const struct au_buf *json)
{
    char seconds[32], milliseconds[32];
    struct http_header headers[4] = {{NULL, NULL}};
    size_t n = 0;
    if (error->status == 401) /* RFC 9110, 15.5.2 */
        headers[n++] = (struct http_header){"WWW-Authenticate", "Bearer"};
    if (error->retry_after > 0) {
        snprintf(seconds, sizeof(seconds), "%.0f", ceil(error->retry_after));
        snprintf(milliseconds, sizeof(milliseconds), "%.0f", ceil(error->retry_after * 1e3));
        headers[n++] = (struct http_header){"Retry-After", seconds};
        headers[n++] = (struct http_header){"Retry-After-Ms", milliseconds};
    }
    http_respond(request, error->status, "application/json", json->data, json->len, headers);
}

void api_fail(struct http_request *request, const struct api_error *error)
{
    struct au_buf body;
    au_buf_init(&body, 0);
    api_error_write(error, &body);
    au_buf_putc(&body, '\n');
    api_answer_failure(request, error, &body);
    au_buf_deinit(&body);
}

/* Clients repeat a 408, 409, 429 and 5xx by themselves: a recording that is too large, or that
 * holds the decoder up, is none of these.                                                        */
struct api_error api_error_of(enum auricle_error error, const char *sentence)
{
    static const struct {
        enum auricle_error error;
        int status;
        const char *code;
    } table[] = {
        {AURICLE_E_NOT_FOUND, 404, "not_found"},     {AURICLE_E_FORMAT, 400, "invalid_file"},
        {AURICLE_E_UNSUPPORTED, 400, "unsupported"}, {AURICLE_E_INVALID, 400, "invalid_value"},
        {AURICLE_E_NO_AUDIO, 400, "no_audio"},       {AURICLE_E_LIMIT, 413, "too_large"},
        {AURICLE_E_TIMEOUT, 422, "timeout"},         {AURICLE_E_CANCELLED, 499, "cancelled"},
        {AURICLE_E_AGAIN, 503, "unavailable"},       {AURICLE_E_NOMEM, 503, "out_of_memory"},
        {AURICLE_E_NO_SPACE, 507, "no_space"},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (table[i].error == error)
            return (struct api_error){.status = table[i].status,
                                      .code = table[i].code,
                                      .message = sentence,
                                      .retry_after = table[i].status == 503 ? RETRY_SECONDS : 0};
    return (struct api_error){.status = 500, .code = "internal_error", .message = sentence};
}

void api_refuse(struct http_request *request, int status, const char *sentence)
{
    api_fail(request, &(struct api_error){.status = status, .message = sentence});
}
