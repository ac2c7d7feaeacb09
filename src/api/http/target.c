/* The target of a request: its path in segments and its query in pairs, percent-decoded once, after
 * they were taken apart, so that an encoded slash stays part of its segment. What does not decode
 * to UTF-8 without control characters is refused.                                                */
#include <string.h>

#include "api/http/internal.h"
#include "base/mem.h"
#include "base/utf8.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes text[0..n) to out, which has room for n + 1; returns the end of it, or NULL. */
static char *decode(const char *text, size_t n, bool plus_is_space, char *out)
{
    char *begin = out;
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (c == '%') {
            int high = i + 2 < n ? hex_digit(text[i + 1]) : -1;
            int low = i + 2 < n ? hex_digit(text[i + 2]) : -1;
            if (high < 0 || low < 0)
                return NULL;
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        if (c == '\0' || c == '\x7f' || ((unsigned char)c < 0x20 && !plus_is_space))
            return NULL;
        *out++ = c;
    }
    *out = '\0';
    return au_utf8_valid(begin, (size_t)(out - begin)) ? out : NULL;
}

static const char *parse_path(struct http_request *request, const char *path, size_t n)
{
    char *part = request->segment_text, *whole = request->path;
    const char *end = path + n;
    if (path == end || *path != '/')
        return "The target of the request is not a path that begins with '/'.";
    for (const char *at = path; at < end;) {
        const char *from = at + 1, *to = memchr(from, '/', (size_t)(end - from));
        char *after;
        to = to ? to : end;
        *whole++ = '/';
        after = decode(from, (size_t)(to - from), false, part);
        if (!after)
            return "The path of the request is not percent-encoded UTF-8.";
        if (request->n_segments == HTTP_MAX_SEGMENTS)
            return "The path of the request has too many segments.";
        request->segments[request->n_segments] = part;
        request->segment_at[request->n_segments++] = (size_t)(whole - request->path);
        memcpy(whole, part, (size_t)(after - part));
        whole += after - part;
        part = after + 1;
        at = to;
    }
    *whole = '\0';
    return NULL;
}

static const char *parse_query(struct http_request *request, const char *query)
{
    char *out = request->query_text;
    while (*query) {
        size_t n = strcspn(query, "&"), n_name = strcspn(query, "&=");
        if (n) {
            struct http_query_pair *pair = &request->query[request->n_query];
            if (request->n_query == HTTP_MAX_QUERY)
                return "The query of the request has too many parameters.";
            pair->name = out;
            out = decode(query, n_name, true, out);
            if (!out)
                return "The query of the request is not percent-encoded UTF-8.";
            pair->value = ++out;
            out = n_name < n ? decode(query + n_name + 1, n - n_name - 1, true, out)
                             : decode("", 0, true, out);
            if (!out)
                return "The query of the request is not percent-encoded UTF-8.";
            out++;
            request->n_query++;
        }
        query += n + (query[n] == '&');
    }
    return NULL;
}

const char *http_target_parse(struct http_request *request, const char *uri)
{
    size_t n_path, n = strlen(uri);
    const char *sentence;
    for (const char *c = uri; *c; c++)
        if ((unsigned char)*c <= ' ' || *c == '\x7f')
            return "The target of the request holds a space or a control character.";
    if (n && *uri != '/') { /* absolute form, as proxies send it */
        const char *host = strstr(uri, "://");
        if (host) {
            uri = host + 3 + strcspn(host + 3, "/?");
            n = strlen(uri);
        }
    }
    n_path = strcspn(uri, "?#");
    request->path = au_alloc(n_path + 2);
    request->segment_text = au_alloc(n_path + 2);
    request->query_text = au_alloc(2 * (n - n_path) + 4);
    if (!request->path || !request->segment_text || !request->query_text)
        return "The server has no memory for this request.";
    sentence = parse_path(request, n_path ? uri : "/", n_path ? n_path : 1);
    if (!sentence && uri[n_path] == '?')
        sentence = parse_query(request, uri + n_path + 1);
    return sentence;
}

static const char *query_at(const struct http_request *request, const char *name, size_t i)
{
    for (size_t k = 0; k < request->n_query; k++)
        if (strcmp(request->query[k].name, name) == 0 && i-- == 0)
            return request->query[k].value;
    return NULL;
}

const char *http_request_query(const struct http_request *request, const char *name)
{
    return query_at(request, name, 0);
}

const char *http_request_query_at(const struct http_request *request, const char *name, size_t i)
{
    return query_at(request, name, i);
}

bool http_request_query_pair(const struct http_request *request, size_t i, const char **name,
                             const char **value)
{
    if (i >= request->n_query)
        return false;
    *name = request->query[i].name;
    *value = request->query[i].value;
    return true;
}

const char *http_request_param(const struct http_request *request, const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < request->n_params; i++)
        if (request->params[i].name_bytes == n && memcmp(request->params[i].name, name, n) == 0)
            return request->params[i].value;
    return NULL;
}

const char *http_request_path(const struct http_request *request)
{
    return request->path && request->n_segments ? request->path : "";
}
