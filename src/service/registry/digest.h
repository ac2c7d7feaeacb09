/* Digests of files: SHA-256, and the SHA-1 by which git names the contents of a file.
 *
 * Wraps nettle. SHA-256 protects against damage and, where it was pinned, against forgery; the git
 * name is only compared with what the same server announced, so it shows damage alone.
 * Owner: whoever made the object.                                                                */
#ifndef SERVICE_DIGEST_H
#define SERVICE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define SERVICE_SHA256_HEX 65 /* characters with the closing zero */
#define SERVICE_GIT_HEX    41

#define SERVICE_SHA256_BYTES 32

void service_sha256(const void *bytes, size_t n, uint8_t out[SERVICE_SHA256_BYTES]);

struct service_digests {
    uint64_t bytes;
    char sha256[SERVICE_SHA256_HEX];
    char git[SERVICE_GIT_HEX]; /* SHA-1 of "blob SIZE\0" and the bytes */
};

/* Called now and then with the bytes read so far; returning true stops the work (CANCELLED). */
typedef bool service_digest_watch(void *context, uint64_t done, uint64_t total);

/* Read a whole file. watch may be NULL. Errors: NOT_FOUND, IO, CANCELLED, NOMEM. */
AURICLE_MUST_CHECK enum auricle_error service_digest_file(const char *path,
                                                          service_digest_watch *watch,
                                                          void *context,
                                                          struct service_digests *out,
                                                          struct au_fault *fault);
/* The SHA-256 alone, in half the time. */
AURICLE_MUST_CHECK enum auricle_error service_sha256_file(const char *path,
                                                          service_digest_watch *watch,
                                                          void *context,
                                                          char out[SERVICE_SHA256_HEX],
                                                          struct au_fault *fault);
/* Whether text is n lower-case hexadecimal digits and nothing else. */
bool service_is_hex(const char *text, size_t n);

#endif
