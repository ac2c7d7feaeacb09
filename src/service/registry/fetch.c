/* HTTP by libcurl's multi interface. See fetch.h. */
#include "service/registry/fetch.h"

#include <ctype.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <curl/curl.h>

#include "auricle/version.h"
#include "base/str.h"
#include "service/registry/digest.h"

#define MAX_REDIRECTS   5
#define POLL_MS         200
#define MAX_HEADER      1024 /* longer lines are not for us */
#define MAX_RETRY_AFTER 3600
#define MAX_ERROR_BODY  (64 << 10) /* of an answer that is an error: more is not waited for */

/* ---- The library ---------------------------------------------------------------------------- */

#define CURL_FUNCTIONS(f)                                                                   \
    f(curl_global_init) f(curl_easy_init) f(curl_easy_cleanup) f(curl_easy_setopt)          \
        f(curl_easy_getinfo) f(curl_easy_strerror) f(curl_multi_init) f(curl_multi_cleanup) \
            f(curl_multi_add_handle) f(curl_multi_remove_handle) f(curl_multi_perform)      \
                f(curl_multi_poll) f(curl_multi_info_read) f(curl_slist_append)             \
                    f(curl_slist_free_all)

/* libcurl checks arguments of its options by macros of the same names. */
#undef curl_easy_setopt
#undef curl_easy_getinfo

/* Written once under pthread_once; constant afterwards. The library stays loaded. */
static struct {
#define MEMBER(function) __typeof__(&(function)) function;
    CURL_FUNCTIONS(MEMBER)
#undef MEMBER
    char problem[256]; /* why it is not to be had, or "" */
} loaded;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Copies the address bit by bit: ISO C has no cast from object to function pointers. */
static void find_function(void *library, const char *name, void *pointer)
{
    void *address = dlsym(library, name);
    if (!address && !loaded.problem[0])
        snprintf(loaded.problem, sizeof loaded.problem, "libcurl has no function %s", name);
    memcpy(pointer, &address, sizeof address);
}

static void load(void)
{
    void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
    if (!library)
        library = dlopen("libcurl-gnutls.so.4", RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        snprintf(loaded.problem, sizeof loaded.problem,
                 "libcurl is not installed (package libcurl4)");
        return;
    }
#define FIND(function) find_function(library, #function, &loaded.function);
    CURL_FUNCTIONS(FIND)
#undef FIND
    if (!loaded.problem[0] && loaded.curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        snprintf(loaded.problem, sizeof loaded.problem, "libcurl could not be started");
}

/* ---- One transfer --------------------------------------------------------------------------- */

struct transfer {
    const struct service_fetch *fetch;
    struct service_response *response;
    struct au_fault *fault;
    CURL *easy;
    enum auricle_error error; /* of head or data */
    bool head_done;           /* head was called */
    bool on_first_host;       /* no redirect has led elsewhere yet */
    uint64_t ignored_bytes;   /* of the body of an error */
    char last_modified[64];
};

char *service_fetch_host(const char *url, char *out, size_t out_bytes)
{
    const char *begin = strstr(url, "://");
    size_t n = begin ? (size_t)(begin + 3 - url) : 0;
    n += strcspn(url + n, "/?#");
    snprintf(out, out_bytes, "%.*s", n > 200 ? 200 : (int)n, url);
    return out;
}

/* The value of a header line when it has this name, else NULL. */
static const char *value_of(const char *line, const char *name)
{
    size_t n = strlen(name);
    if (strncasecmp(line, name, n) != 0 || line[n] != ':')
        return NULL;
    line += n + 1;
    return line + strspn(line, " \t");
}

/* The text of an entity tag without quotes and "W/", where it is a digest. */
static void take_announced(struct transfer *t, const char *value)
{
    char text[72];
    value += strncmp(value, "W/", 2) == 0 ? 2 : 0;
    value += *value == '"';
    size_t n = strcspn(value, "\"");
    snprintf(text, sizeof text, "%.*s", n > 70 ? 70 : (int)n, value);
    if (service_is_hex(text, 64) || service_is_hex(text, 40))
        memcpy(t->response->announced, text, sizeof text);
}

static void take_range(struct service_response *response, const char *value)
{
    unsigned long long first = 0, total = 0;
    char text[64], *at = text, *dash, *slash;
    snprintf(text, sizeof text, "%s", value);
    if (strncasecmp(at, "bytes ", 6) != 0)
        return;
    at += 6;
    slash = strchr(at, '/');
    dash = strchr(at, '-');
    if (!slash)
        return;
    *slash = 0;
    uint64_t number;
    if (dash) {
        *dash = 0;
        if (au_parse_u64(at, &number))
            first = number;
    }
    if (au_parse_u64(slash + 1, &number))
        total = number;
    response->first_byte = first;
    if (total > 0 && total <= INT64_MAX)
        response->total_bytes = (int64_t)total;
}

/* Headers of the host that was asked count for digests; those of a store it sends us to do not. */
static void take_header(struct transfer *t, const char *line)
{
    struct service_response *response = t->response;
    const char *value;
    int64_t number;
    if ((value = value_of(line, "etag"))) {
        if (value[0] == '"')
            au_str_copy(response->validator, sizeof response->validator, value);
        if (t->on_first_host && !response->announced[0])
            take_announced(t, value);
    } else if ((value = value_of(line, "x-linked-etag"))) {
        if (t->on_first_host)
            take_announced(t, value);
    } else if ((value = value_of(line, "x-linked-size"))) {
        if (t->on_first_host && au_parse_i64(value, &number) && number >= 0)
            response->announced_bytes = number;
    } else if ((value = value_of(line, "last-modified"))) {
        au_str_copy(t->last_modified, sizeof t->last_modified, value);
    } else if ((value = value_of(line, "content-range"))) {
        take_range(response, value);
    } else if ((value = value_of(line, "content-length"))) {
        if (response->status == 200 && au_parse_i64(value, &number) && number >= 0)
            response->total_bytes = number;
    } else if ((value = value_of(line, "retry-after"))) {
        if (au_parse_i64(value, &number) && number > 0)
            response->retry_after_s = number < MAX_RETRY_AFTER ? (int)number : MAX_RETRY_AFTER;
    } else if ((value = value_of(line, "location"))) {
        char here[256], there[256];
        service_fetch_host(t->fetch->url, here, sizeof here);
        service_fetch_host(value, there, sizeof there);
        bool same = value[0] == '/' && value[1] != '/';
        t->on_first_host = t->on_first_host && (same || au_str_equal_nocase(here, there));
    }
}

/* "HTTP/1.1 206 Partial Content": what the answer before said of the body is forgotten. */
static void take_status(struct transfer *t, const char *line)
{
    const char *space = strchr(line, ' ');
    char digits[4] = "";
    uint64_t status = 0;
    if (space)
        au_str_copy(digits, sizeof digits, space + 1);
    t->response->status = au_parse_u64(digits, &status) ? (int)status : 0;
    t->response->first_byte = 0;
    t->response->total_bytes = -1;
    t->response->validator[0] = 0;
    t->response->retry_after_s = 0;
    t->last_modified[0] = 0;
}

static void end_of_headers(struct transfer *t)
{
    struct service_response *response = t->response;
    if (t->head_done || (response->status != 200 && response->status != 206))
        return;
    if (!response->validator[0])
        au_str_copy(response->validator, sizeof response->validator, t->last_modified);
    t->head_done = true;
    t->error = t->fetch->head(t->fetch->context, response, t->fault);
}

static size_t on_header(char *bytes, size_t size, size_t n, void *context)
{
    struct transfer *t = context;
    char line[MAX_HEADER];
    size_t length = size * n;
    if (length >= sizeof line)
        return length;
    memcpy(line, bytes, length);
    line[length] = 0;
    while (length > 0 && isspace((unsigned char)line[length - 1]))
        line[--length] = 0;
    if (strncmp(line, "HTTP/", 5) == 0)
        take_status(t, line);
    else if (length == 0)
        end_of_headers(t);
    else
        take_header(t, line);
    return t->error ? CURL_WRITEFUNC_ERROR : size * n;
}

static size_t on_data(char *bytes, size_t size, size_t n, void *context)
{
    struct transfer *t = context;
    size_t length = size * n;
    if (t->head_done) {
        t->error = t->fetch->data(t->fetch->context, bytes, length, t->fault);
        return t->error ? CURL_WRITEFUNC_ERROR : length;
    }
    t->ignored_bytes += length;
    return t->ignored_bytes > MAX_ERROR_BODY ? CURL_WRITEFUNC_ERROR : length;
}

/* ---- Running it ----------------------------------------------------------------------------- */

static bool set_options(struct transfer *t, struct curl_slist **headers)
{
    const struct service_fetch *fetch = t->fetch;
    const char *protocols = fetch->allow_http ? "https,http" : "https";
    char text[256];
    bool ok = true;
#define SET(option, value) ok = ok && loaded.curl_easy_setopt(t->easy, option, value) == CURLE_OK
    SET(CURLOPT_URL, fetch->url);
    SET(CURLOPT_PROTOCOLS_STR, protocols);
    SET(CURLOPT_REDIR_PROTOCOLS_STR, protocols);
    SET(CURLOPT_FOLLOWLOCATION, 1L);
    SET(CURLOPT_MAXREDIRS, (long)MAX_REDIRECTS);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_CONNECTTIMEOUT, (long)fetch->connect_timeout_s);
    SET(CURLOPT_LOW_SPEED_LIMIT, 1L);
    SET(CURLOPT_LOW_SPEED_TIME, (long)fetch->stall_timeout_s);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, t);
    SET(CURLOPT_WRITEFUNCTION, on_data);
    SET(CURLOPT_WRITEDATA, t);
    snprintf(text, sizeof text, "auricle/%s", auricle_version());
    SET(CURLOPT_USERAGENT, text);
    if (fetch->offset > 0) {
        snprintf(text, sizeof text, "%llu-", (unsigned long long)fetch->offset);
        SET(CURLOPT_RANGE, text);
    }
    if (fetch->offset > 0 && fetch->validator) {
        snprintf(text, sizeof text, "If-Range: %s", fetch->validator);
        *headers = loaded.curl_slist_append(NULL, text);
        ok = ok && *headers;
        SET(CURLOPT_HTTPHEADER, *headers);
    }
#undef SET
    return ok;
}

/* Whether the same request may succeed later. A name that does not resolve mostly means that there
 * is no network: better told at once than after half a minute of attempts.                       */
static bool passing(CURLcode code)
{
    switch (code) {
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_HTTP3: return true;
    default: return false;
    }
}

/* What libcurl's code means here, as a sentence. */
static enum auricle_error explain(const struct transfer *t, CURLcode code)
{
    char host[256];
    service_fetch_host(t->fetch->url, host, sizeof host);
    const char *words = loaded.curl_easy_strerror(code);
    switch (code) {
    case CURLE_OUT_OF_MEMORY: return au_fail(t->fault, AURICLE_E_NOMEM, "out of memory");
    case CURLE_UNSUPPORTED_PROTOCOL:
        return au_fail(t->fault, AURICLE_E_INVALID,
                       "%s: the address, or one it leads to, is not %s; nothing else is followed",
                       host, t->fetch->allow_http ? "http or https" : "https");
    case CURLE_URL_MALFORMAT:
        return au_fail(t->fault, AURICLE_E_INVALID, "\"%.200s\" is no address", t->fetch->url);
    case CURLE_TOO_MANY_REDIRECTS:
        return au_fail(t->fault, AURICLE_E_INVALID,
                       "%s: more than %d redirects: the server sends us in circles", host,
                       MAX_REDIRECTS);
    case CURLE_OPERATION_TIMEDOUT:
        return au_fail(t->fault, AURICLE_E_TIMEOUT, "%s: nothing came for %d s", host,
                       t->fetch->stall_timeout_s);
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
        return au_fail(t->fault, AURICLE_E_IO, "%s: the connection broke off", host);
    default: return au_fail(t->fault, AURICLE_E_IO, "%s: %s", host, words);
    }
}

static enum auricle_error drive(struct transfer *t, CURLM *multi, CURLcode *code)
{
    int running = 1, waiting;
    *code = CURLE_OK;
    while (running) {
        if (t->fetch->cancelled && t->fetch->cancelled(t->fetch->context))
            return au_fail(t->fault, AURICLE_E_CANCELLED, "stopped");
        if (loaded.curl_multi_perform(multi, &running) != CURLM_OK ||
            (running && loaded.curl_multi_poll(multi, NULL, 0, POLL_MS, NULL) != CURLM_OK))
            return au_fail(t->fault, AURICLE_E_IO, "the network library failed");
    }
    const CURLMsg *message = loaded.curl_multi_info_read(multi, &waiting);
    if (message && message->msg == CURLMSG_DONE)
        *code = message->data.result;
    return AURICLE_OK;
}

static enum auricle_error finish(struct transfer *t, CURLcode code, bool *again)
{
    if (t->error)
        return t->error;
    if (code == CURLE_WRITE_ERROR && t->ignored_bytes > MAX_ERROR_BODY)
        return AURICLE_OK; /* the status of a long page of error says it all */
    if (code != CURLE_OK) {
        *again = passing(code);
        return explain(t, code);
    }
    return AURICLE_OK;
}

enum auricle_error service_fetch_run(const struct service_fetch *fetch,
                                     struct service_response *out, bool *again,
                                     struct au_fault *fault)
{
    *out = (struct service_response){.total_bytes = -1, .announced_bytes = -1};
    *again = false;
    pthread_once(&once, load);
    if (loaded.problem[0])
        return au_fail(fault, AURICLE_E_UNSUPPORTED, "%s", loaded.problem);
    struct transfer t = {.fetch = fetch, .response = out, .fault = fault, .on_first_host = true};
    struct curl_slist *headers = NULL;
    CURLcode code = CURLE_OK;
    enum auricle_error error = AURICLE_OK;
    CURLM *multi = loaded.curl_multi_init();
    t.easy = loaded.curl_easy_init();
    if (!multi || !t.easy || !set_options(&t, &headers) ||
        loaded.curl_multi_add_handle(multi, t.easy) != CURLM_OK) {
        error = au_fail(fault, AURICLE_E_NOMEM, "out of memory");
    } else {
        error = drive(&t, multi, &code);
        if (!error)
            error = finish(&t, code, again);
        loaded.curl_multi_remove_handle(multi, t.easy);
    }
    loaded.curl_easy_cleanup(t.easy);
    loaded.curl_multi_cleanup(multi);
    loaded.curl_slist_free_all(headers);
    return error;
}
