/* Checks of the public option struct. */
#ifndef RECOG_OPTIONS_H
#define RECOG_OPTIONS_H

#include <stdbool.h>

#include "auricle/auricle.h"
#include "base/error.h"
#include "recog/decode/search.h"
#include "recog/voice/vad.h"

/* Every number in its range, and none against another? max_beams is the engine's. Errors: INVALID,
 * with a sentence. */
AURICLE_MUST_CHECK enum auricle_error recog_options_check(const struct auricle_options *options,
                                                          int max_beams, struct au_fault *fault);

/* Whether these options choose the sequential long form. */
bool recog_options_sequential(const struct auricle_options *options);
/* The members of *out that the options speak of, with speech cut to what a window holds. */
void recog_options_vad(const struct auricle_options *options, double window_seconds,
                       struct recog_vad_options *out);

#endif
