/* TLS in front of the server: a relay between clients that speak it and sockets that do not.
 *
 * The network thread hands an accepted connection in and gets a socket to treat as that client:
 * what arrives is decrypted, what is written goes out encrypted, an end of either direction is an
 * end there too. One thread with one epoll serves all of them; a side that does not take what is
 * meant for it holds the other back. TLS 1.2 and 1.3, HTTP/1.1 by ALPN, resumption by tickets.
 * See docs/adr/096-tls-relay.md. Internal to src/api/http.                                       */
#ifndef HTTP_TLS_H
#define HTTP_TLS_H

#include <stddef.h>

#include "api/http/certificate.h"
#include "base/error.h"

struct http_tls; /* opaque: the relay */

/* Takes a reference of the certificate. Once the server has closed, a client that takes nothing for
 * untaken_seconds is let go. Errors: NOMEM, IO.                                                  */
AURICLE_MUST_CHECK enum auricle_error http_tls_create(struct http_certificate *certificate,
                                                      double handshake_seconds,
                                                      double untaken_seconds, struct http_tls **out,
                                                      struct au_fault *fault);
/* Give clients that come from now on this certificate; takes a reference. Any thread. */
void http_tls_use(struct http_tls *tls, struct http_certificate *certificate);
/* What was written and not yet sent gets a second to go out. NULL is fine. */
void http_tls_destroy(struct http_tls *tls);

/* Take an accepted TCP socket (also on failure). Returns the socket that stands for the client, or
 * -1 when there is no memory or descriptor for it. Thread: any.                                  */
int http_tls_take(struct http_tls *tls, int client);
/* Clients that it has: some are still shaking hands, or taking what was said, when the server has
 * let go of their sockets. Any thread.                                                           */
size_t http_tls_links(const struct http_tls *tls);

#endif
