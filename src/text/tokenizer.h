/* Whisper's byte-level BPE and special tokens.
 *
 * Vocabulary sources: tiktoken ranks (OpenAI), vocab.json with merges.txt and added_tokens.json, or
 * tokenizer.json (Hugging Face), the byte strings inside a ggml file, vocabulary.json/.txt
 * (CTranslate2). Special ids come from the files where they are named, and from the vocabulary size
 * (51864 English, 51865 multilingual, 51866 with Cantonese) only for .pt and ggml.
 * Immutable after creation; shared by all threads.                                              */
#ifndef TEXT_TOKENIZER_H
#define TEXT_TOKENIZER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

#define TEXT_MAX_LANGUAGES 128

/* Ids of special tokens; -1 where the vocabulary has none. Timestamps are contiguous from
 * timestamp_begin in steps of 0.02 s.                                                           */
struct text_specials {
    int32_t eot, sot, translate, transcribe, sot_lm, sot_prev, no_speech, no_timestamps,
        timestamp_begin;
    int n_languages;                      /* entries of language[] in use */
    int32_t language[TEXT_MAX_LANGUAGES]; /* token ids, index as in text_language_*; -1: none */
    bool multilingual;                    /* false: English only, prompts have no language token */
};

struct text_tokenizer; /* opaque */

/* A vocabulary under construction: token byte strings by id. All pointers are borrowed for the
 * call. Tokens of the form "<|...|>" are special, wherever they stand.                          */
struct text_vocab {
    size_t n_tokens;
    const char *const *bytes; /* [n_tokens] raw bytes; NULL for ids that are special */
    const uint32_t *lengths;
    const char *const
        *merges; /* "left right" in GPT-2's byte alphabet, rank order; NULL: rank = id */
    size_t n_merges;
    const char *const *special_text; /* [n_special] "<|en|>" ... */
    const int32_t *special_id;
    size_t n_special;
    size_t n_model_vocab; /* rows of the output projection; 0 unknown */
};

/* Build from a vocabulary. When it names no specials they are derived from n_model_vocab.
 * Errors: FORMAT, NOMEM, UNSUPPORTED (no end-of-text, or it and its like behind the timestamps). */
AURICLE_MUST_CHECK enum auricle_error text_tokenizer_create(const struct text_vocab *vocab,
                                                            struct text_tokenizer **out,
                                                            struct au_fault *fault);
/* From a folder with tokenizer.json, or vocab.json (+ merges.txt, added_tokens.json or
 * tokenizer_config.json), or vocabulary.json/.txt; the first of these that is there.
 * Errors: those of text_tokenizer_create; NOT_FOUND, IO, LIMIT.                                 */
AURICLE_MUST_CHECK enum auricle_error text_tokenizer_from_folder(const char *folder,
                                                                 size_t n_model_vocab,
                                                                 struct text_tokenizer **out,
                                                                 struct au_fault *fault);
/* From a tiktoken file ("base64 rank" lines). */
AURICLE_MUST_CHECK enum auricle_error text_tokenizer_from_tiktoken(const char *path,
                                                                   size_t n_model_vocab,
                                                                   struct text_tokenizer **out,
                                                                   struct au_fault *fault);
void text_tokenizer_destroy(struct text_tokenizer *tokenizer);

const struct text_specials *text_tokenizer_specials(const struct text_tokenizer *tokenizer);
size_t text_tokenizer_size(const struct text_tokenizer *tokenizer); /* ids are below this */

/* Bytes of one token; special tokens give their text ("<|en|>"), unknown ids length 0. Borrowed. */
const char *text_token_bytes(const struct text_tokenizer *tokenizer, int32_t id, size_t *n);
bool text_token_is_special(const struct text_tokenizer *tokenizer, int32_t id); /* id >= eot */

/* Encode plain text (special tokens are not recognised) into ids, at most max; *n gets the count.
 * A byte that is no token by itself (in cut-down vocabularies) is left out. Time: n log n.
 * Errors: LIMIT when max is too small, NOMEM.                                                   */
AURICLE_MUST_CHECK enum auricle_error text_encode(const struct text_tokenizer *tokenizer,
                                                  const char *text, size_t bytes, int32_t *ids,
                                                  size_t max, size_t *n);

/* Append the text of ids as the original does: ids >= timestamp_begin are left out, other specials
 * are kept literally; invalid UTF-8 becomes U+FFFD.                                             */
AURICLE_MUST_CHECK enum auricle_error text_decode(const struct text_tokenizer *tokenizer,
                                                  const int32_t *ids, size_t n, struct au_buf *out);

/* Split tokens into words as the original does: on spaces, or per character group for languages
 * without them (zh, ja, th, lo, my, yue). word_end[i], room for n, is one past the last token of
 * word i; returns the number of words, at most n. Every token is in a word.                     */
size_t text_split_words(const struct text_tokenizer *tokenizer, const int32_t *ids, size_t n,
                        const char *language_code, size_t *word_end);

/* Ids suppressed by "-1": brackets, music and speaker marks, as the original's non_speech_tokens.
 * Ids ascending, at most max written, *n gets the count. Errors: NOMEM.                          */
AURICLE_MUST_CHECK enum auricle_error text_non_speech_tokens(const struct text_tokenizer *tokenizer,
                                                             int32_t *ids, size_t max, size_t *n);

#endif
