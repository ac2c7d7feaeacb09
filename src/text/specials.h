/* Where a vocabulary keeps its special tokens: by name, or by arithmetic on its size. */
#ifndef TEXT_SPECIALS_H
#define TEXT_SPECIALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "text/tokenizer.h"

#define TEXT_N_TIMESTAMPS      1501 /* 0.00 s to 30.00 s in steps of 0.02 s */
#define TEXT_SPECIAL_MAX_BYTES 32

/* All ids -1, no languages. */
void text_specials_init(struct text_specials *specials);

/* True for "<|...|>". */
bool text_specials_is_marker(const char *text, size_t n);

/* Note that a token has this text; texts that are no special token of Whisper are ignored. */
void text_specials_name(struct text_specials *specials, const char *text, size_t n, int32_t id);

/* Complete the ids once all names are in. Where the start of a transcript was not named, all ids
 * follow from the sizes: text tokens, end of text, start, languages, six more, 1501 timestamps.
 *   n_text   ids of text tokens are below this
 *   n_model  rows of the model's output projection; 0 unknown
 * Errors: UNSUPPORTED when the sizes are none of Whisper's, or the timestamps do not come last.  */
AURICLE_MUST_CHECK enum auricle_error text_specials_complete(struct text_specials *specials,
                                                             size_t n_text, size_t n_model,
                                                             struct au_fault *fault);

/* The text of a special token as the original writes it ("<|en|>", "<|0.02|>"); 0 bytes for ids
 * that stand for none. Returns the bytes written.                                               */
size_t text_specials_text(const struct text_specials *specials, int32_t id,
                          char out[TEXT_SPECIAL_MAX_BYTES]);

#endif
