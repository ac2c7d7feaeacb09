/* A certificate with its key, as GnuTLS wants it: shared by the relay and the connections that
 * shook hands with it, so that another can take its place while they go on.
 *
 * Immutable once loaded; any thread.                                                             */
#ifndef HTTP_CERTIFICATE_H
#define HTTP_CERTIFICATE_H

#include "base/error.h"

struct http_certificate; /* opaque, counted */
struct gnutls_certificate_credentials_st;

/* PEM files: the certificate with its chain, and its key. *out has one reference. Errors:
 * NOT_FOUND,
 * IO, FORMAT (which includes a key of another certificate), NOMEM.                               */
AURICLE_MUST_CHECK enum auricle_error http_certificate_load(const char *certificate,
                                                            const char *key,
                                                            struct http_certificate **out,
                                                            struct au_fault *fault);
struct http_certificate *http_certificate_ref(struct http_certificate *certificate);
void http_certificate_unref(struct http_certificate *certificate); /* NULL is fine */
/* Borrowed: good as long as the reference. */
struct gnutls_certificate_credentials_st *http_certificate_credentials(
    const struct http_certificate *certificate);

#endif
