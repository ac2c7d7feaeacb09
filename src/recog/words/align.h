/* Word alignment of one decoded window: which encoder frames each token looked at.
 *
 * The text is fed through the decoder once more; the scores of the alignment heads are softmaxed
 * over the frames with audio, standardised over the tokens, median-filtered, averaged, and warped.
 * A state machine like the search: recog_align_next describes decoder rows, recog_align_complete
 * takes their scores. Scores of every head, token and frame are needed at once: they are allocated
 * for the text at hand when an alignment begins and released when it ends, since for a whole
 * context they would be tens of megabytes for each window. Owner: one session's thread.
 * Source: openai/whisper timing.py (find_alignment).                                             */
#ifndef RECOG_ALIGN_H
#define RECOG_ALIGN_H

#include "recog/decode/cells.h"
#include "recog/unit.h"

struct recog_align; /* opaque */

struct recog_align_config {
    const struct whisper_window *window;
    const int32_t *prefix; /* <|startoftranscript|> with language and task */
    size_t n_prefix;
    int32_t no_timestamps, eot;
    const int32_t *text; /* [n_text] tokens below eot; borrowed until the end */
    size_t n_text;
    size_t n_frames; /* 20 ms encoder frames that hold audio, at least 1 */
};

/* Limits: n_text_ctx tokens, n_audio_ctx frames, n_heads alignment heads. Errors: NOMEM. */
AURICLE_MUST_CHECK enum auricle_error recog_align_create(const struct whisper_model *model,
                                                         struct recog_cells *cells,
                                                         struct recog_align **out);
void recog_align_destroy(struct recog_align *align);

/* Text that would not fit the context is cut off; its last words then share one frame. Allocates;
 * errors: NOMEM. */
AURICLE_MUST_CHECK enum auricle_error recog_align_begin(struct recog_align *align,
                                                        const struct recog_align_config *config);
bool recog_align_next(struct recog_align *align, struct recog_row **rows, size_t *n_rows);
void recog_align_complete(struct recog_align *align, const struct kern_ops *ops);
bool recog_align_finished(const struct recog_align *align);

/* After the end: start frame (20 ms) of token i, i <= n_text (n_text: the end), and the
 * probability of token i among text tokens.                                                     */
int32_t recog_align_frame(const struct recog_align *align, size_t i);
float recog_align_probability(const struct recog_align *align, size_t i);
/* The matrix handed to the warping, not negated: [n_text + 1, n_frames], until the next begin; for
 * tests. */
const float *recog_align_matrix(const struct recog_align *align);

#endif
