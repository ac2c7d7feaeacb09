/* A vocabulary while its file is being read: collects tokens, special tokens and merges in any
 * order and turns them into a tokenizer. Copies everything it is given. One thread.              */
#ifndef TEXT_VOCAB_BUILDER_H
#define TEXT_VOCAB_BUILDER_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "text/tokenizer.h"

#define TEXT_MAX_TOKENS (1 << 20)

struct vocab_string {
    size_t at;      /* in text */
    uint32_t bytes; /* without the terminating zero */
    int32_t id;     /* -1: no token here */
};

struct vocab_list {
    struct vocab_string *items;
    size_t n, capacity;
};

struct vocab_builder {
    struct au_buf text;       /* every string, zero terminated */
    struct vocab_list tokens; /* by id, with holes */
    struct vocab_list specials, merges;
};

void text_vocab_builder_init(struct vocab_builder *builder);
void text_vocab_builder_deinit(struct vocab_builder *builder);

/* A token in raw bytes. A later one with the same id replaces it.
 * Errors of all three: FORMAT (id outside 0..TEXT_MAX_TOKENS-1), LIMIT, NOMEM.                  */
AURICLE_MUST_CHECK enum auricle_error text_vocab_builder_token(struct vocab_builder *builder,
                                                               int64_t id, const char *bytes,
                                                               size_t n, struct au_fault *fault);
/* A token in GPT-2's alphabet. */
AURICLE_MUST_CHECK enum auricle_error text_vocab_builder_gpt2_token(struct vocab_builder *builder,
                                                                    int64_t id, const char *text,
                                                                    size_t n,
                                                                    struct au_fault *fault);
AURICLE_MUST_CHECK enum auricle_error text_vocab_builder_special(struct vocab_builder *builder,
                                                                 int64_t id, const char *text,
                                                                 size_t n, struct au_fault *fault);
/* The next merge in rank order, both sides in GPT-2's alphabet, "left right". */
AURICLE_MUST_CHECK enum auricle_error text_vocab_builder_merge(struct vocab_builder *builder,
                                                               const char *text, size_t n,
                                                               struct au_fault *fault);

/* Build the tokenizer; the builder stays with the caller. Errors: as text_tokenizer_create. */
AURICLE_MUST_CHECK enum auricle_error text_vocab_builder_finish(const struct vocab_builder *builder,
                                                                size_t n_model_vocab,
                                                                struct text_tokenizer **out,
                                                                struct au_fault *fault);

#endif
