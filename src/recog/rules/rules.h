/* Rules against invented text.
 *
 * A list of named rules looks at each segment and the sound under it. The first that fires drops
 * the segment, which stays in the result with the rule's name. Off in the reference profile.
 * Thread: any; constant tables.                                                                  */
#ifndef RECOG_RULES_H
#define RECOG_RULES_H

#include <stdbool.h>
#include <stddef.h>

#include "auricle/error.h"

/* What is known of a segment. */
struct recog_evidence {
    const char *text; /* without white space around it, not empty */
    size_t bytes;
    const char *language; /* code; of the text, which may be a translation */
    double seconds;       /* how long it lasts */
    float loudest;        /* RMS of its loudest tenth of a second, full scale 1 */
    float avg_logprob, no_speech_prob, compression_ratio;
    float compression_limit; /* the ladder's; NaN: none */
    bool alone;              /* no other text in its window */
};

/* Name of the first rule that fires, or NULL. On lack of memory no rule fires. */
const char *recog_rules_judge(const struct recog_evidence *evidence);

/* Does the text go round in circles? The rules `repetition` and `compression` alone. */
bool recog_rules_loops(const struct recog_evidence *evidence);

/* Names of all rules in order, for documentation and metrics; NULL past the last. */
const char *recog_rules_name(size_t i);

/* The phrases of data/known-phrases.tsv, ended by NULLs. */
struct recog_phrase {
    const char *language, *text;
};
extern const struct recog_phrase recog_known_phrases[];

#endif
