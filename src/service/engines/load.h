/* Loading one model, with the sentence people need when it fails. */
#ifndef SERVICE_ENGINES_LOAD_H
#define SERVICE_ENGINES_LOAD_H

#include "auricle/auricle.h"
#include "base/error.h"

/* As auricle_engine_create; the fault names the file that is damaged, with the SHA-256 that was
 * expected, where digests are on record. Any thread. Errors: as auricle_engine_create.           */
AURICLE_MUST_CHECK enum auricle_error service_engine_load(
    const struct auricle_engine_options *options, struct auricle_engine **out,
    struct au_fault *fault);

#endif
