/* The cheapest way to turn one sequence into another: hits, substitutions, insertions,
 * deletions. */
#ifndef TEXT_ALIGN_H
#define TEXT_ALIGN_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum text_edit { TEXT_EDIT_HIT, TEXT_EDIT_SUBSTITUTE, TEXT_EDIT_INSERT, TEXT_EDIT_DELETE };

/* Align two sequences of symbols at unit cost (Levenshtein). A symbol is any number below
 * n_symbols.
 *   edits  [n_reference + n_hypothesis] out; from left to right
 *   *n_edits  how many; substitutions plus insertions plus deletions are as few as can be
 * Of several best alignments the one with the most hits is taken while the table is small (a
 * million cells: 1000 words by 1000), and always the same one. Time: n_reference * n_hypothesis /
 * 64 for long sequences, two of 50,000 in about a second. Memory: linear.
 * Allocates: workspace.  Errors: NOMEM, LIMIT (2^30 symbols or more).                            */
AURICLE_MUST_CHECK enum auricle_error text_align_symbols(const uint32_t *reference,
                                                         size_t n_reference,
                                                         const uint32_t *hypothesis,
                                                         size_t n_hypothesis, size_t n_symbols,
                                                         unsigned char *edits, size_t *n_edits);

#endif
