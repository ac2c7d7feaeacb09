/* Which handler answers: routes are looked through in their order, the first that fits in path and
 * method wins. Also what follows from the table alone: Allow, OPTIONS, and CORS preflights
 * (https://fetch.spec.whatwg.org/#http-cors-protocol).                                           */
#include <string.h>

#include "api/http/internal.h"
#include "base/str.h"

/* Does the path fit the pattern? Its parameters are noted. */
static bool fits(struct http_request *request, const char *pattern)
{
    size_t i = 0;
    request->n_params = 0;
    while (*pattern == '/') {
        const char *part = pattern + 1;
        size_t n = strcspn(part, "/");
        if (i == request->n_segments)
            return false;
        if (n > 2 && part[0] == '{' && part[n - 1] == '}') {
            bool rest = part[n - 2] == '*';
            struct http_request_param *param = &request->params[request->n_params++];
            param->name = part + 1;
            param->name_bytes = n - 2 - rest;
            param->value = rest ? request->path + request->segment_at[i] : request->segments[i];
            if (!*param->value)
                return false;
            if (rest)
                return true;
        } else if (strlen(request->segments[i]) != n || memcmp(request->segments[i], part, n)) {
            return false;
        }
        i++;
        pattern = part + n;
    }
    return i == request->n_segments;
}

static void allow(struct http_request *request, const char *method)
{
    size_t n = strlen(request->allow_text);
    if (strstr(request->allow_text, method))
        return;
    if (n)
        n += au_str_copy(request->allow_text + n, sizeof request->allow_text - n, ", ");
    au_str_copy(request->allow_text + n, sizeof request->allow_text - n, method);
}

void http_route_find(struct http_request *request)
{
    const struct http_route *route = request->server->config.routes;
    const char *method = request->head ? "GET" : request->method;
    request->allow_text[0] = '\0';
    for (; route && route->path; route++) {
        if (!fits(request, route->path))
            continue;
        if (strcmp(route->method, method) == 0) {
            request->route = route;
            return;
        }
        allow(request, route->method);
        if (strcmp(route->method, "GET") == 0)
            allow(request, "HEAD");
    }
    request->n_params = 0;
    if (request->allow_text[0]) {
        allow(request, "OPTIONS");
        request->allow = request->allow_text;
    }
}

bool http_route_origin_allowed(const struct http_server *server, const char *origin)
{
    const char *const *allowed = server->config.origins;
    for (; allowed && *allowed; allowed++)
        if (strcmp(*allowed, "*") == 0 || au_str_equal_nocase(*allowed, origin))
            return true;
    return false;
}

/* A list of header names and nothing else, so that it may be sent back. */
static bool is_token_list(const char *text)
{
    return text[strspn(text,
                       "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_, ")] ==
               '\0' &&
           strlen(text) < 1024;
}

void http_route_options(struct http_request *request)
{
    const char *origin = http_request_header(request, "origin");
    const char *wanted = http_request_header(request, "access-control-request-headers");
    bool preflight = origin && http_request_header(request, "access-control-request-method") &&
                     http_route_origin_allowed(request->server, origin);
    struct http_header headers[4] = {{NULL, NULL}};
    if (preflight) {
        headers[0] = (struct http_header){"Access-Control-Allow-Methods", request->allow};
        headers[1] = (struct http_header){"Access-Control-Max-Age", "600"};
        if (wanted && is_token_list(wanted))
            headers[2] = (struct http_header){"Access-Control-Allow-Headers", wanted};
    }
    http_respond(request, 204, NULL, NULL, 0, headers);
}
