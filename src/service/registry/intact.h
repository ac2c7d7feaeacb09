/* Whether an installed model is as its record of digests says (sums.h), looked at before it is
 * loaded: weights with a hole in them load, and write rubbish.
 *
 * Files of up to 64 kB are read at every start. Larger ones are read when they have another size or
 * another time of modification than when they were last found whole, which a stamp in the cache
 * folder remembers: a start from the cache must not read the weights. Any thread, any process.   */
#ifndef SERVICE_INTACT_H
#define SERVICE_INTACT_H

#include <stdbool.h>

#include "base/error.h"

#define SERVICE_STAMP_ENDING ".checked"

/* The model at path (a folder or a file). A model without a record passes; where a record cannot be
 * read, a warning is logged and the model passes.
 *   cache_folder  of the stamp, made when it is missing; NULL: everything is read
 * Errors: FORMAT where a file differs, NOT_FOUND where one is missing: the sentence says which,
 * what its SHA-256 should be, and what to do; IO, NOMEM.                                         */
AURICLE_MUST_CHECK enum auricle_error service_intact_check(const char *path,
                                                           const char *cache_folder,
                                                           struct au_fault *fault);

/* Reads the whole model: whether a file is damaged or missing, or the record is no record; then the
 * fault says the same.                                                                           */
bool service_intact_is_damaged(const char *path, struct au_fault *fault);
/* Whether a model that is not there is on record; then the fault says so. */
bool service_intact_is_missing(const char *path, struct au_fault *fault);

#endif
