/* Certificates. See certificate.h. */
#include "api/http/certificate.h"

#include <gnutls/gnutls.h>
#include <stdatomic.h>

#include "base/file.h"
#include "base/mem.h"

#define MAX_PEM_BYTES ((size_t)1 << 20)

struct http_certificate {
    atomic_size_t n_references;
    gnutls_certificate_credentials_t credentials;
};

static enum auricle_error read_files(gnutls_certificate_credentials_t credentials,
                                     const char *certificate, const char *key,
                                     struct au_fault *fault)
{
    char *texts[2] = {NULL, NULL};
    size_t n[2];
    enum auricle_error error = au_file_read(certificate, MAX_PEM_BYTES, &texts[0], &n[0], fault);
    if (!error)
        error = au_file_read(key, MAX_PEM_BYTES, &texts[1], &n[1], fault);
    if (!error) {
        gnutls_datum_t pem = {(unsigned char *)texts[0], (unsigned)n[0]};
        gnutls_datum_t secret = {(unsigned char *)texts[1], (unsigned)n[1]};
        int status = gnutls_certificate_set_x509_key_mem(credentials, &pem, &secret,
                                                         GNUTLS_X509_FMT_PEM);
        gnutls_memset(texts[1], 0, n[1]);
        if (status < 0)
            error = au_fail(fault, AURICLE_E_FORMAT,
                            "TLS: %s with the key %s: %s; a certificate and its key are wanted, "
                            "both in PEM",
                            certificate, key, gnutls_strerror(status));
    }
    au_free(texts[0]);
    au_free(texts[1]);
    return error;
}

enum auricle_error http_certificate_load(const char *certificate, const char *key,
                                         struct http_certificate **out, struct au_fault *fault)
{
    struct http_certificate *made = au_calloc(1, sizeof *made);
    if (!made)
        return au_fail(fault, AURICLE_E_NOMEM, "TLS: out of memory");
    atomic_init(&made->n_references, 1);
    enum auricle_error error = AURICLE_OK;
    if (gnutls_certificate_allocate_credentials(&made->credentials)) {
        made->credentials = NULL;
        error = au_fail(fault, AURICLE_E_NOMEM, "TLS: GnuTLS has no memory for a certificate");
    }
    if (!error)
        error = read_files(made->credentials, certificate, key, fault);
    if (error)
        http_certificate_unref(made);
    else
        *out = made;
    return error;
}

struct http_certificate *http_certificate_ref(struct http_certificate *certificate)
{
    atomic_fetch_add_explicit(&certificate->n_references, 1, memory_order_relaxed);
    return certificate;
}

void http_certificate_unref(struct http_certificate *certificate)
{
    if (!certificate || atomic_fetch_sub(&certificate->n_references, 1) != 1)
        return;
    if (certificate->credentials)
        gnutls_certificate_free_credentials(certificate->credentials);
    au_free(certificate);
}

struct gnutls_certificate_credentials_st *http_certificate_credentials(
    const struct http_certificate *certificate)
{
    return certificate->credentials;
}
