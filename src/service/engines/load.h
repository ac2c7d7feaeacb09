/* Loading one model, with the sentence people need when it fails. */
#ifndef SERVICE_ENGINES_LOAD_H
#define SERVICE_ENGINES_LOAD_H

#include "auricle/auricle.h"
#include "base/error.h"

#define SERVICE_CACHE_BYTES ((uint64_t)20 * 1000 * 1000 * 1000)

/* As auricle_engine_create, of models that are as their records say (intact.h); after it packed
 * weights that nobody uses are removed until no more than cache_bytes (0: SERVICE_CACHE_BYTES)
 * lie in the options' cache folder. The fault names the file that is damaged or missing, with
 * the SHA-256 that was expected, where digests are on record. Any thread. Errors: as
 * auricle_engine_create.                                                                         */
AURICLE_MUST_CHECK enum auricle_error service_engine_load(
    const struct auricle_engine_options *options, uint64_t cache_bytes, struct auricle_engine **out,
    struct au_fault *fault);

#endif
