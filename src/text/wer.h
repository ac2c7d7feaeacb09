/* Word and character error rates: what differs between a reference and a hypothesis.
 *
 * Cut both texts into units (words, or characters as a person counts them), align the units,
 * read the counts. Rates of many recordings are the ratio of the sums, and their uncertainty
 * comes from resampling the recordings. Normalise the texts first (text/normalize.h). Thread:
 * any.                                                                                           */
#ifndef TEXT_WER_H
#define TEXT_WER_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "text/align.h"

/* Stretches of a text, which must outlive them. */
struct text_unit {
    const char *bytes;
    size_t n;
};
struct text_units {
    struct text_unit *items;
    size_t n;
};

/* Words between white space. Errors: NOMEM. Release with text_units_deinit, also zeroed ones. */
AURICLE_MUST_CHECK enum auricle_error text_units_words(const char *text, size_t n,
                                                       struct text_units *out);
/* Characters as a person counts them (grapheme clusters), white space left out: for CER, and for
 * languages that do not put spaces between words.                                               */
AURICLE_MUST_CHECK enum auricle_error text_units_characters(const char *text, size_t n,
                                                            struct text_units *out);
void text_units_deinit(struct text_units *units);

struct text_error_counts {
    size_t n_reference, hits, substitutions, insertions, deletions;
};

struct text_alignment {
    unsigned char *edits; /* enum text_edit, from left to right */
    size_t n_edits;
    struct text_error_counts counts;
};

/* Errors: NOMEM, LIMIT. Release with text_alignment_deinit. */
AURICLE_MUST_CHECK enum auricle_error text_align_units(const struct text_units *reference,
                                                       const struct text_units *hypothesis,
                                                       struct text_alignment *out);
void text_alignment_deinit(struct text_alignment *alignment);

void text_error_counts_add(struct text_error_counts *sum, const struct text_error_counts *more);
/* Substitutions, insertions and deletions per unit of the reference; may pass 1. Of an empty
 * reference: 0 when nothing was inserted, else 1.                                                */
double text_error_rate(const struct text_error_counts *counts);

/* Append the alignment for people, in blocks of three lines of at most `columns` on a terminal:
 *     REF: the quick brown fox
 *     HYP: the ***** brown dog
 *     OP :     D           S
 * Errors: those of the buffer.                                                                  */
enum auricle_error text_alignment_print(const struct text_alignment *alignment,
                                        const struct text_units *reference,
                                        const struct text_units *hypothesis, size_t columns,
                                        struct au_buf *out);

/* Confidence interval of the rate over n_recordings: percentiles of the rates of n_rounds samples
 * of as many recordings, drawn with replacement. The same seed gives the same interval.
 *   confidence  0 to 1, 0.95 say
 * Errors: INVALID (no recordings, no rounds, confidence outside 0 to 1), NOMEM.                  */
AURICLE_MUST_CHECK enum auricle_error text_error_rate_interval(
    const struct text_error_counts *recordings, size_t n_recordings, size_t n_rounds,
    double confidence, uint64_t seed, double *low, double *high);

#endif
