/* The opening handshake of a WebSocket (RFC 6455, section 4.2): libmicrohttpd upgrades anything, so
 * the request is checked here, and the client's key answered.                                    */
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <string.h>

#include "api/http/handshake.h"
#include "base/str.h"

#define KEY_CHARS 24 /* base64 of 16 bytes */

static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Is the word in a header's list? */
static bool lists(const char *list, const char *word)
{
    size_t n_word = strlen(word);
    while (list && *list) {
        size_t n;
        list += strspn(list, ", \t");
        n = strcspn(list, ", \t");
        if (n == n_word && strncasecmp(list, word, n) == 0)
            return true;
        list += n;
    }
    return false;
}

/* A page of another site must not use its visitor's browser: a foreign Origin has to be allowed. */
static bool origin_fits(const struct http_request *request)
{
    const char *origin = http_request_header(request, "origin");
    const char *host = http_request_header(request, "host");
    const char *at;
    if (!origin || http_route_origin_allowed(request->server, origin))
        return true;
    at = strstr(origin, "://");
    return at && host && au_str_equal_nocase(at + 3, host);
}

const char *http_handshake_check(const struct http_request *request, int *status)
{
    const char *version = http_request_header(request, "sec-websocket-version");
    const char *key = http_request_header(request, "sec-websocket-key");
    *status = 426;
    if (strcmp(request->method, "GET") != 0 || request->http_1_0 ||
        !lists(http_request_header(request, "upgrade"), "websocket") ||
        !lists(http_request_header(request, "connection"), "upgrade"))
        return "This path speaks WebSocket: ask for an upgrade to it, with GET and HTTP/1.1.";
    if (!au_str_equal(version, "13"))
        return "Only version 13 of WebSocket is spoken here.";
    *status = 400;
    if (!key || strlen(key) != KEY_CHARS || strspn(key, base64) != KEY_CHARS - 2 ||
        strcmp(key + KEY_CHARS - 2, "==") != 0)
        return "Sec-WebSocket-Key is not 16 bytes in base64.";
    *status = 403;
    if (!origin_fits(request))
        return "Pages of this origin may not connect: it is not in the list of allowed origins.";
    return NULL;
}

bool http_handshake_accept(const struct http_request *request, char out[HTTP_ACCEPT_BYTES])
{
    char text[KEY_CHARS + 40];
    unsigned char digest[21] = {0}; /* SHA-1 and a zero to fill the last group */
    int n = snprintf(text, sizeof text, "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11",
                     http_request_header(request, "sec-websocket-key"));
    if (gnutls_hash_fast(GNUTLS_DIG_SHA1, text, (size_t)n, digest) != 0)
        return false;
    for (int i = 0; i < 7; i++) {
        unsigned group = (unsigned)digest[3 * i] << 16 | (unsigned)digest[3 * i + 1] << 8 |
                         digest[3 * i + 2];
        for (int k = 0; k < 4; k++)
            out[4 * i + k] = base64[group >> (18 - 6 * k) & 63];
    }
    out[27] = '=';
    out[28] = '\0';
    return true;
}
