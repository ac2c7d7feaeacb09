/* Passes that both normalisers are made of. Internal to src/text/normalize*.c.
 *
 * A pass reads valid UTF-8 and appends to a buffer, whose error is looked at once at the end. The
 * tests for characters are those of the regular expressions in the original (Python's `re`).    */
#ifndef TEXT_NORMALIZE_PASS_H
#define TEXT_NORMALIZE_PASS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

typedef void text_norm_pass(const char *text, size_t n, struct au_buf *out);

/* Two buffers that passes go back and forth between. */
struct norm_text {
    struct au_buf now, next;
};
void text_norm_begin(struct norm_text *text);
void text_norm_end(struct norm_text *text);
void text_norm_run(struct norm_text *text, text_norm_pass *pass);
void text_norm_swap(struct norm_text *text); /* what was written to next is the text now */
/* First error of the two buffers. */
enum auricle_error text_norm_error(const struct norm_text *text);

bool text_norm_is_space(uint32_t c); /* \s: White_Space and the four separators of ASCII */
bool text_norm_is_word(uint32_t c);  /* \w: letters, numbers, '_' */

/* The character that begins or ends at a place; 0 outside the text. */
uint32_t text_norm_char_at(const char *text, size_t n, size_t at);
uint32_t text_norm_char_before(const char *text, size_t at);
/* \b between a word character and its neighbour: true when the neighbour is none. */
bool text_norm_word_starts(const char *text, size_t at);
bool text_norm_word_ends(const char *text, size_t n, size_t at);

/* The next run of characters that are no white space, from *at on; *at moves past it.
 * False at the end.                                                                             */
bool text_norm_next_word(const char *text, size_t n, size_t *at, const char **word, size_t *n_word);

text_norm_pass text_norm_drop_brackets; /* <...> [...] and (...) */
text_norm_pass text_norm_join_spaces;   /* runs of white space become one blank */
text_norm_pass text_norm_numbers;       /* English numbers to digits, everything about them */
text_norm_pass text_norm_number_words;  /* of that, the words alone */

/* "seven", "oh", "thousand": a word that a number may end with, without a suffix. */
bool text_norm_is_number_word(const char *text, size_t n);

/* Compatibility decomposition without marks; symbols and punctuation become blanks, those in keep
 * stay.                                                                                         */
void text_norm_strip_symbols(const char *text, size_t n, const char *keep, struct au_buf *out);

#endif
