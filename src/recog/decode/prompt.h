/* The tokens before the first sampled one, and the rules for those after.
 *
 * Source: openai/whisper decoding.py (_get_initial_tokens, _get_suppress_tokens).                */
#ifndef RECOG_PROMPT_H
#define RECOG_PROMPT_H

#include "auricle/auricle.h"
#include "base/error.h"
#include "recog/decode/filter.h"
#include "text/tokenizer.h"

struct recog_prompt {
    const struct text_specials *specials;
    int32_t language; /* token id; ignored for an English-only vocabulary */
    enum auricle_task task;
    bool without_timestamps;
    const int32_t *previous; /* text before the window; the last half of the context is used */
    size_t n_previous;
    const int32_t *hotwords; /* stand before the previous text */
    size_t n_hotwords;
    const int32_t *prefix; /* text the window begins with */
    size_t n_prefix;
    int n_text_ctx, max_tokens;
};

/* Write the prompt into tokens [n_text_ctx]; returns its length and where <|startoftranscript|>
 * is. */
int recog_prompt_build(const struct recog_prompt *prompt, int32_t *tokens, int *sot_index);

/* Encode " " + text without surrounding white space, as prompts and prefixes are. Keeps the last
 * `max` ids. text NULL gives none. *out is released with au_free. Errors: NOMEM.                 */
AURICLE_MUST_CHECK enum auricle_error recog_prompt_encode(const struct text_tokenizer *tokenizer,
                                                          const char *text, int32_t **out,
                                                          size_t *n_out);

/* Rules from options: the suppress lists are allocated; recog_rules_deinit frees them. */
AURICLE_MUST_CHECK enum auricle_error recog_rules_init(struct recog_rules *rules,
                                                       const struct text_tokenizer *tokenizer,
                                                       size_t n_vocab,
                                                       const struct auricle_options *options);
void recog_rules_deinit(struct recog_rules *rules);

#endif
