/* Checks of the public option struct. */
#ifndef RECOG_OPTIONS_H
#define RECOG_OPTIONS_H

#include "auricle/auricle.h"
#include "base/error.h"
#include "recog/decode/search.h"

/* Every number in its range? max_beams is the engine's. Errors: INVALID, with a sentence. */
AURICLE_MUST_CHECK enum auricle_error recog_options_check(const struct auricle_options *options,
                                                          int max_beams, struct au_fault *fault);

#endif
