/* Options that outlive the caller's: a deep copy, and what they say of the input. */
#ifndef RECOG_SETTINGS_H
#define RECOG_SETTINGS_H

#include "audio/decode.h"
#include "auricle/auricle.h"
#include "base/error.h"

/* options points into the rest, which is owned. All zero is an empty one. */
struct recog_settings {
    struct auricle_options options;
    char *language, *languages, *initial_prompt, *prefix, *hotwords;
    int32_t *suppress;
    double *clips;
};

/* Copy. raw_format is not kept: it concerns the opening of the input alone. Errors: NOMEM; deinit
 * is due then too.                                                                               */
AURICLE_MUST_CHECK enum auricle_error recog_settings_init(struct recog_settings *settings,
                                                          const struct auricle_options *options);
void recog_settings_deinit(struct recog_settings *settings);

/* What the decoder of the input has to know. Errors: INVALID (an unknown raw format). */
AURICLE_MUST_CHECK enum auricle_error recog_settings_input(const struct auricle_options *options,
                                                           struct audio_decode_options *out,
                                                           struct au_fault *fault);

#endif
