/* Byte-pair merging of one piece of text.
 *
 * Two kinds of vocabulary: with a list of merges (Hugging Face), where the pair that stands
 * first in the list is merged first; and without (tiktoken, ggml, CTranslate2), where the pair
 * whose joined bytes are the token with the lowest id is. Immutable once built; shared by all
 * threads.                                                                                       */
#ifndef TEXT_BPE_H
#define TEXT_BPE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct text_bpe; /* opaque */

AURICLE_MUST_CHECK enum auricle_error text_bpe_create(size_t expected_tokens, size_t n_merges,
                                                      struct text_bpe **out);
void text_bpe_destroy(struct text_bpe *bpe);

/* Build: tokens first, then merges. A token's bytes are copied; of two tokens with
 * the same bytes the lower id stays. Errors: NOMEM.                                              */
AURICLE_MUST_CHECK enum auricle_error text_bpe_add_token(struct text_bpe *bpe, const char *bytes,
                                                         size_t n, int32_t id);
/* left and right and their joined bytes must be tokens; lower ranks merge first. Of two merges
 * of the same pair the later counts, as in Hugging Face's program. Errors: NOT_FOUND, NOMEM.     */
AURICLE_MUST_CHECK enum auricle_error text_bpe_add_merge(struct text_bpe *bpe, const char *left,
                                                         size_t n_left, const char *right,
                                                         size_t n_right, uint32_t rank);

/* Id of the token with exactly these bytes, or -1. */
int32_t text_bpe_find(const struct text_bpe *bpe, const char *bytes, size_t n);

/* Working memory of an encoder; zero it before first use. */
struct text_bpe_scratch {
    struct bpe_node *nodes;
    struct bpe_candidate *heap;
    size_t capacity; /* bytes of text there is room for */
};
void text_bpe_scratch_deinit(struct text_bpe_scratch *scratch);

/* Tokens of one piece, n > 0. Appends to ids[*n_ids...], at most max in all. A byte that is no
 * token by itself (possible in cut-down vocabularies only) is left out.
 * Time: n log n.  Errors: NOMEM, LIMIT (more than max ids, or a piece over 1 GiB).               */
AURICLE_MUST_CHECK enum auricle_error text_bpe_encode(const struct text_bpe *bpe, const char *piece,
                                                      size_t n, struct text_bpe_scratch *scratch,
                                                      int32_t *ids, size_t max, size_t *n_ids);

#endif
