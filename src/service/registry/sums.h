/* Recorded digests of installed models, in the form that `sha256sum -c` reads.
 *
 * A model folder carries its own SHA256SUMS; a model of one file carries FILE.sha256; a folder of
 * models may carry one SHA256SUMS for all of them, as the bundled ones do (names then begin with
 * the model's). The first of these that is there counts.                                         */
#ifndef SERVICE_SUMS_H
#define SERVICE_SUMS_H

#include <stddef.h>

#include "service/registry/digest.h"

#define SERVICE_SUMS_FILE "SHA256SUMS"

struct service_sum {
    char sha256[SERVICE_SHA256_HEX];
    char *name; /* relative to the folder */
};
struct service_sums {
    char *folder; /* where the names begin; NULL while nothing was found */
    char *source; /* path of the file the digests were read from */
    struct service_sum *entries;
    size_t n;
    bool shared; /* read from the file of a whole folder of models */
};

/* The records of the model at path (a folder or a file); none is no error: n is 0.
 * Errors: FORMAT (a line that is no record; named), IO, NOMEM.                                   */
AURICLE_MUST_CHECK enum auricle_error service_sums_find(const char *path, struct service_sums *out,
                                                        struct au_fault *fault);
void service_sums_deinit(struct service_sums *sums);

/* Add a record. Errors: NOMEM. */
AURICLE_MUST_CHECK enum auricle_error service_sums_add(struct service_sums *sums, const char *name,
                                                       const char *sha256);
/* Write the records to `path`, whole or not at all. */
AURICLE_MUST_CHECK enum auricle_error service_sums_write(const struct service_sums *sums,
                                                         const char *path, struct au_fault *fault);

/* Read every recorded file. Errors: FORMAT where one differs, NOT_FOUND where one is missing: the
 * sentence names the file and its expected SHA-256; CANCELLED, IO, NOMEM.                        */
AURICLE_MUST_CHECK enum auricle_error service_sums_check(const struct service_sums *sums,
                                                         service_digest_watch *watch, void *context,
                                                         struct au_fault *fault);
/* The same of one of them. */
AURICLE_MUST_CHECK enum auricle_error service_sums_check_one(const struct service_sums *sums,
                                                             const struct service_sum *sum,
                                                             service_digest_watch *watch,
                                                             void *context, struct au_fault *fault);

#endif
