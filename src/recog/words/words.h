/* Word times: an alignment cut into words, punctuation merged, implausible lengths mended, and
 * words handed to their segments.
 *
 * Owner: one session's thread. Only create allocates (and the text buffer while it grows).
 * Source: openai/whisper timing.py (merge_punctuations, add_word_timestamps) and transcribe.py
 * (hallucination_silence_threshold).                                                             */
#ifndef RECOG_WORDS_H
#define RECOG_WORDS_H

#include "recog/longform/segments.h"
#include "recog/longform/timeline.h"
#include "recog/words/align.h"
#include "text/tokenizer.h"

/* A segment of the window being worked on. */
struct recog_piece {
    struct recog_span span;
    double start, end; /* seconds in the recording */
    size_t n_text;     /* its tokens below end-of-text */
    size_t first_word, n_words;
};

struct recog_words; /* opaque */

AURICLE_MUST_CHECK enum auricle_error recog_words_create(int n_text_ctx, struct recog_words **out);
void recog_words_destroy(struct recog_words *words);

/* Cut the finished alignment of text [n_text] into words. Errors: NOMEM. */
AURICLE_MUST_CHECK enum auricle_error recog_words_build(struct recog_words *words,
                                                        const struct recog_align *align,
                                                        const struct text_tokenizer *tokenizer,
                                                        const char *language, const int32_t *text,
                                                        size_t n_text);

/* Give the words to the pieces in order and let them correct the pieces' start and end.
 *   offset       seconds where the window begins
 *   last_speech  end of the last word before this window */
void recog_words_assign(struct recog_words *words, struct recog_piece *pieces, size_t n_pieces,
                        double offset, double last_speech);

/* What assigning leaves as the original has it: segments that overlap by some tenths of a second,
 * words outside their segment, segments without extent. After this each piece ends before the next
 * one begins, its words follow each other inside it, and all lie between begin and end.
 *   offset  seconds where the window begins
 *   begin   end of what was kept before, at least offset */
void recog_words_order(struct recog_words *words, struct recog_piece *pieces, size_t n_pieces,
                       double offset, double begin, double end);

/* Words of a piece, valid until the next build. */
const struct auricle_word *recog_words_of(const struct recog_words *words,
                                          const struct recog_piece *piece);

/* Move a piece's words from window time to recording time, inside their segment there. */
void recog_words_place(struct recog_words *words, const struct recog_piece *piece,
                       const struct recog_timeline *timeline, double start, double end);

/* Words that are too short, too long or too unlikely to be speech, by the original's score. */
bool recog_words_anomalous(const struct recog_words *words, const struct recog_piece *piece);

#endif
