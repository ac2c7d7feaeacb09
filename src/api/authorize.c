/* Who may come in, and a line of the log for everybody who came. See api.h. Network thread. */
#include <string.h>
#include <strings.h>

#include "api/api.h"
#include "base/log.h"
#include "base/str.h"
#include "service/access/access.h"

#define MAX_KEY 512

/* What follows one of these words and blanks; NULL: begins otherwise. */
static const char *after_scheme(const char *header)
{
    static const char *const schemes[] = {"Bearer ", "Token "};
    for (size_t i = 0; header && i < 2; i++) {
        size_t n = strlen(schemes[i]);
        if (strncasecmp(header, schemes[i], n) == 0)
            return header + n + strspn(header + n, " ");
    }
    return NULL;
}

/* One of the protocols offered, without blanks: the next of the list. */
static bool next_protocol(const char **list, char out[MAX_KEY])
{
    const char *at = *list + strspn(*list, ", \t");
    size_t n = strcspn(at, ", \t");
    *list = at + n;
    if (n == 0 || n >= MAX_KEY)
        return false;
    memcpy(out, at, n);
    out[n] = 0;
    return true;
}

/* Browsers cannot set other headers of a WebSocket. */
static const char *key_of_protocols(const char *list, char out[MAX_KEY])
{
    static const char prefix[] = "openai-insecure-api-key.";
    bool token = false;
    while (list && next_protocol(&list, out)) {
        if (token)
            return out;
        if (au_str_starts(out, prefix))
            return memmove(out, out + sizeof prefix - 1, strlen(out) - sizeof prefix + 2);
        token = au_str_equal(out, "token") || au_str_equal(out, "bearer");
    }
    return NULL;
}

static const char *key_of(const struct http_request *request, char buffer[MAX_KEY])
{
    const char *key = after_scheme(http_request_header(request, "authorization"));
    if (!key)
        key = http_request_header(request, "x-api-key");
    if (!key)
        key = key_of_protocols(http_request_header(request, "sec-websocket-protocol"), buffer);
    return key;
}

bool api_authorize(struct http_request *request)
{
    struct api *api = api_of(request);
    struct service_grant *grant = NULL;
    struct au_fault fault = {0};
    char buffer[MAX_KEY];
    double retry_after = 0;
    enum auricle_error error = service_access_check(api->access, key_of(request, buffer), &grant,
                                                    &retry_after, &fault);
    if (!error) {
        *http_request_grant(request) = grant;
        atomic_fetch_add_explicit(&api->n_inside, 1, memory_order_relaxed);
        return true;
    }
    bool limited = error == AURICLE_E_LIMIT;
    const struct au_log_field fields[] = {{"request_id", http_request_id(request), 0},
                                          {"peer", http_request_peer(request), 0},
                                          {"path", http_request_path(request), 0},
                                          {"status", NULL, limited ? 429 : 401},
                                          {NULL, NULL, 0}};
    au_log_with(AU_LOG_WARN, fields, "refused: %s", fault.text);
    api_fail(request,
             &(struct api_error){.status = limited ? 429 : 401,
                                 .code = limited ? "rate_limit_exceeded" : "invalid_api_key",
                                 .message = fault.text,
                                 .retry_after = retry_after});
    return false;
}

/* Who was not let in has a line already. Probes and the page's files would fill the log. */
static enum au_log_level level_of(const struct http_request *request)
{
    int status = http_request_status(request);
    bool let_in = http_request_let_in(request);
    if (!let_in && (status == 401 || status == 429))
        return AU_LOG_OFF;
    return let_in || status >= 400 ? AU_LOG_INFO : AU_LOG_DEBUG;
}

void api_log(struct http_request *request)
{
    struct service_grant *grant = *http_request_grant(request);
    const struct au_log_field fields[] = {
        {"request_id", http_request_id(request), 0},
        {"peer", http_request_peer(request), 0},
        {"key", grant ? service_access_name(grant) : "-", 0},
        {"method", http_request_method(request), 0},
        {"path", http_request_path(request), 0},
        {"status", NULL, http_request_status(request)},
        {"ms", NULL, (double)(int64_t)(http_request_age_seconds(request) * 1e3)},
        {NULL, NULL, 0}};
    au_log_with(level_of(request), fields, "request over");
}

void api_leave(struct http_request *request)
{
    struct api *api = api_of(request);
    service_access_leave(api->access, *http_request_grant(request));
    atomic_fetch_sub_explicit(&api->n_inside, 1, memory_order_relaxed);
}
