/* Text made comparable: what two transcripts of the same words should agree on.
 *
 * Word error rates are only comparable between programs when both sides are normalised alike, so
 * these follow the normalisers published with Whisper to the letter, their oddities included ("one
 * third" becomes "13rd"). Input that is not UTF-8 counts as U+FFFD where it is not.
 * Time: linear in the text. Thread: any.                                                        */
#ifndef TEXT_NORMALIZE_H
#define TEXT_NORMALIZE_H

#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"

/* British spellings and the American ones that stand for them; immutable once loaded. */
struct text_spelling; /* opaque */

/* Read {"colour": "color", ...}. Errors: those of reading JSON; FORMAT when a value is no
 * string. */
AURICLE_MUST_CHECK enum auricle_error text_spelling_load(const char *path,
                                                         struct text_spelling **out,
                                                         struct au_fault *fault);
void text_spelling_destroy(struct text_spelling *spelling);

/* For English: lower case, no brackets and what they hold, no fillers, contractions and titles
 * written out, numbers in digits, no symbols or accents, one spelling (spelling NULL: as it is).
 * Appends to out. Errors: NOMEM, LIMIT.                                                         */
AURICLE_MUST_CHECK enum auricle_error text_normalize_english(const struct text_spelling *spelling,
                                                             const char *text, size_t n,
                                                             struct au_buf *out);

enum {
    TEXT_BASIC_NO_DIACRITICS = 1, /* accents go too: "cafe", "strasse" */
    TEXT_BASIC_SPLIT_LETTERS = 2  /* a blank after every character, as a person counts them */
};

/* For every other language: lower case, no brackets and what they hold, blanks for symbols and
 * punctuation. Appends to out. Errors: NOMEM, LIMIT.                                            */
AURICLE_MUST_CHECK enum auricle_error text_normalize_basic(unsigned flags, const char *text,
                                                           size_t n, struct au_buf *out);

#endif
