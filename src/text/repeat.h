/* Repetition in a text: phrases said over and over, which is how a decoder that is stuck sounds. */
#ifndef TEXT_REPEAT_H
#define TEXT_REPEAT_H

#include <stddef.h>

#include "base/error.h"
#include "text/wer.h"

/* The stretch of a text that is one phrase after the other. */
struct text_loop {
    size_t begin;     /* first unit */
    size_t period;    /* units of the phrase; 0: there is no loop */
    size_t n_repeats; /* times in a row, 2 or more; an unfinished last one is not counted */
};

/* The loop that covers the most units, of phrases of at most max_period units; of equals the
 * shortest phrase, then the first. Time: units times max_period. Allocates: never.               */
struct text_loop text_find_loop(const struct text_units *units, size_t max_period);

/* Share of the stretches of n_gram units that stood before in the text, 0 to 1; 0 for a text with
 * fewer than two. Errors: NOMEM, INVALID (n_gram 0).                                            */
AURICLE_MUST_CHECK enum auricle_error text_repeated_share(const struct text_units *units,
                                                          size_t n_gram, double *out);

#endif
