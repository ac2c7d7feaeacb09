/* What a client wishes of a live session: from the query of its request, or its first message. */
#ifndef LIVE_LIVE_CONFIG_H
#define LIVE_LIVE_CONFIG_H

#include "api/http/http.h"
#include "audio/decode.h"
#include "auricle/auricle.h"
#include "base/buf.h"
#include "base/json.h"

struct live_config {
    bool has_encoding;
    enum audio_raw_type raw; /* NONE: a container, which says itself what it is */
    int rate_hz, channels;   /* of raw samples */
    bool interim_results, vad_events;
    char *model, *language, *languages, *prompt; /* NULL: not given */
    struct au_buf keywords;
    struct auricle_options options; /* its texts are those above */
    struct auricle_stream_options stream;
};

void live_config_init(struct live_config *config);
void live_config_deinit(struct live_config *config);

/* Errors: INVALID: a parameter that is not known, or a value that it does not take. */
AURICLE_MUST_CHECK enum auricle_error live_config_query(struct live_config *config,
                                                        const struct http_request *request,
                                                        struct au_fault *fault);
/* The members of an object, but for "type". */
AURICLE_MUST_CHECK enum auricle_error live_config_json(struct live_config *config,
                                                       const struct au_json *object,
                                                       struct au_fault *fault);
/* Bytes of one sample of all channels; 0: a container. */
size_t live_config_frame_bytes(const struct live_config *config);
/* Does this begin as a container that can be heard without being announced? */
bool live_config_is_container(const uint8_t *data, size_t n);

#endif
