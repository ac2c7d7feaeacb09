/* Which part of a growing transcript is stable: what two passes in a row agree on, word by word
 * (LocalAgreement-2; Liu et al. 2020, Macháček et al. 2023).
 *
 * What was called stable stays as it is: a later pass that reads it otherwise changes only what
 * comes behind it. In languages without spaces between words a character counts as a word.
 * Owner: one stream.                                                                             */
#ifndef RECOG_AGREE_H
#define RECOG_AGREE_H

#include <stdbool.h>

#include "base/buf.h"

struct recog_agree {
    struct au_buf shown, next; /* the last text, and the one being put together */
    size_t n_stable;           /* bytes of shown */
    size_t n_words;            /* words in them */
};

void recog_agree_init(struct recog_agree *agree);
void recog_agree_deinit(struct recog_agree *agree);
void recog_agree_reset(struct recog_agree *agree); /* another utterance */

/* What a pass over all of the utterance so far has read: n bytes of UTF-8 without white space
 * around them. Then shown.data is the text to show and n_stable its stable bytes. Errors: NOMEM. */
AURICLE_MUST_CHECK enum auricle_error recog_agree_hear(struct recog_agree *agree, const char *text,
                                                       size_t n, bool spaces);

#endif
