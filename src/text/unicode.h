/* Unicode properties and normal forms, as far as text for and from speech models needs them.
 *
 * The only place that knows utf8proc. Code points are uint32_t; values past U+10FFFF and surrogates
 * count as TEXT_CLASS_OTHER and map to themselves. Thread: any (constant tables).               */
#ifndef TEXT_UNICODE_H
#define TEXT_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

enum text_class {
    TEXT_CLASS_OTHER,       /* controls, format, unassigned, separators that are not white space */
    TEXT_CLASS_LETTER,      /* L* */
    TEXT_CLASS_NUMBER,      /* N* */
    TEXT_CLASS_NONSPACING,  /* Mn: accents that sit on the letter before them */
    TEXT_CLASS_MARK,        /* Mc, Me */
    TEXT_CLASS_PUNCTUATION, /* P* */
    TEXT_CLASS_SYMBOL,      /* S* */
    TEXT_CLASS_SPACE        /* White_Space, whatever its category */
};

enum text_class text_char_class(uint32_t code_point);
bool text_char_is_space(uint32_t code_point);  /* the property White_Space */
uint32_t text_char_lower(uint32_t code_point); /* simple mapping */
bool text_char_is_cased(uint32_t code_point);  /* upper, lower or title case letter */
bool text_char_is_digit(uint32_t code_point);  /* Nd: decimal digits of any script */

/* True when a person sees a new character begin between two code points that follow each other
 * (extended grapheme clusters, UAX #29). *state is 0 before the first pair of a text.           */
bool text_grapheme_break(uint32_t before, uint32_t after, int32_t *state);

int text_char_columns(uint32_t code_point); /* on a terminal: 2 wide, 0 marks and controls */

/* Append the lower case of text to out, with the two rules that need more than one character: a
 * capital sigma at the end of a word, and the dotted capital I. Invalid UTF-8 becomes U+FFFD.
 * Errors: those of the buffer.                                                                  */
enum auricle_error text_lower(const char *text, size_t n, struct au_buf *out);

enum text_form { TEXT_NFC, TEXT_NFKC, TEXT_NFKD };

/* Append the normal form of text to out. Invalid UTF-8 becomes U+FFFD first. A run of more than
 * some hundred combining marks, which no language writes, is ordered piece by piece, so that the
 * time stays linear in the text.
 * Allocates: in out only.  Errors: those of the buffer.                                         */
enum auricle_error text_normal_form(enum text_form form, const char *text, size_t n,
                                    struct au_buf *out);

#endif
