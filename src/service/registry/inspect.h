/* What a model file or folder is, without loading it for use.
 *
 * Opens the weights, tells the family by its tensors, and reads dimensions; for Whisper the
 * vocabulary too, so that what passes here also loads. Any thread.                               */
#ifndef SERVICE_INSPECT_H
#define SERVICE_INSPECT_H

#include <stddef.h>
#include <stdint.h>

#include "format/weights.h"
#include "model/whisper/whisper.h"

enum service_family {
    SERVICE_FAMILY_UNKNOWN,
    SERVICE_FAMILY_WHISPER,
    SERVICE_FAMILY_SILERO,
    SERVICE_FAMILY_WAV2VEC2,
    SERVICE_FAMILY_AASIST
};

struct service_facts {
    enum service_family family;
    enum format_kind kind;
    enum format_type type; /* of most of the bytes */
    size_t n_tensors;
    uint64_t parameters, weight_bytes;
    struct whisper_dims dims; /* Whisper only */
    size_t n_languages;       /* Whisper only; 1: English */
};

/* Errors: as format_weights_open and whisper_dims_read; for Whisper those of the vocabulary too.
 * A model of an unknown family is no error.                                                      */
AURICLE_MUST_CHECK enum auricle_error service_inspect(const char *path, struct service_facts *out,
                                                      struct au_fault *fault);
const char *service_family_name(enum service_family family); /* "whisper"; "unknown" */

#endif
