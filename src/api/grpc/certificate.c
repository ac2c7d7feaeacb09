/* The certificate of the gRPC server. See rpc.h.
 *
 * The C core asks for it at every connection and keeps what it got until it is handed another. So a
 * renewal only lays new texts ready; connections that are there go on.                           */
#include <pthread.h>
#include <string.h>

#include <grpc/grpc_security.h>

#include "api/grpc/rpc.h"
#include "base/file.h"
#include "base/mem.h"

#define MAX_PEM_BYTES ((size_t)1 << 20)

struct rpc_certificate {
    char *chain_path, *key_path;
    pthread_mutex_t lock;
    char *chain, *key; /* under the lock, as the next: PEM */
    bool fresh;        /* the C core has not seen it */
};

static void free_secret(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    au_free(text);
}

enum auricle_error rpc_certificate_renew(struct rpc_certificate *certificate,
                                         struct au_fault *fault)
{
    char *chain = NULL, *key = NULL;
    size_t n;
    enum auricle_error error = au_file_read(certificate->chain_path, MAX_PEM_BYTES, &chain, &n,
                                            fault);
    if (!error)
        error = au_file_read(certificate->key_path, MAX_PEM_BYTES, &key, &n, fault);
    if (error) {
        au_free(chain);
        return error;
    }
    pthread_mutex_lock(&certificate->lock);
    char *former_chain = certificate->chain, *former_key = certificate->key;
    certificate->chain = chain;
    certificate->key = key;
    certificate->fresh = true;
    pthread_mutex_unlock(&certificate->lock);
    au_free(former_chain);
    free_secret(former_key);
    return AURICLE_OK;
}

enum auricle_error rpc_certificate_create(const char *chain_path, const char *key_path,
                                          struct rpc_certificate **out, struct au_fault *fault)
{
    struct rpc_certificate *made = au_calloc(1, sizeof *made);
    if (!made)
        return au_fail(fault, AURICLE_E_NOMEM, "no memory for a certificate");
    pthread_mutex_init(&made->lock, NULL);
    made->chain_path = au_strdup(chain_path);
    made->key_path = au_strdup(key_path);
    enum auricle_error error = made->chain_path && made->key_path
                                   ? rpc_certificate_renew(made, fault)
                                   : au_fail(fault, AURICLE_E_NOMEM, "no memory for a certificate");
    if (error)
        rpc_certificate_destroy(made);
    else
        *out = made;
    return error;
}

/* On threads of the C core. It insists on roots for clients' certificates, which nobody asks
 * for: any will do. */
static grpc_ssl_certificate_config_reload_status hand_over(
    void *context, grpc_ssl_server_certificate_config **config)
{
    struct rpc_certificate *certificate = context;
    grpc_ssl_certificate_config_reload_status status = GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    pthread_mutex_lock(&certificate->lock);
    if (certificate->fresh) {
        const grpc_ssl_pem_key_cert_pair pair = {.private_key = certificate->key,
                                                 .cert_chain = certificate->chain};
        *config = grpc_ssl_server_certificate_config_create(certificate->chain, &pair, 1);
        certificate->fresh = false;
        status = GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
    }
    pthread_mutex_unlock(&certificate->lock);
    return status;
}

grpc_server_credentials *rpc_certificate_credentials(struct rpc_certificate *certificate)
{
    return grpc_ssl_server_credentials_create_with_options(
        grpc_ssl_server_credentials_create_options_using_config_fetcher(
            GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE, hand_over, certificate));
}

void rpc_certificate_destroy(struct rpc_certificate *certificate)
{
    if (!certificate)
        return;
    au_free(certificate->chain);
    free_secret(certificate->key);
    au_free(certificate->chain_path);
    au_free(certificate->key_path);
    pthread_mutex_destroy(&certificate->lock);
    au_free(certificate);
}
