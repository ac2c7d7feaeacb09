/* One window from log-mel to timed pieces of text: encode, search at each temperature until one
 * passes its tests or the best of those that failed is taken, cut at timestamps, align words where
 * they are wanted.
 *
 * Every long-form strategy is made of these. The strategy fills `mel` and calls begin; units
 * come from next and go back to complete; when finished, the results stand in the public members
 * until the next begin. The task itself is small; it takes a seat (seats.h) before the mel is
 * filled and leaves it when its results are kept. Owner: one session's thread. Only create and
 * sit allocate, and word times.                                                                  */
#ifndef RECOG_TASK_H
#define RECOG_TASK_H

#include "base/buf.h"
#include "recog/decode/prompt.h"
#include "recog/decode/search.h"
#include "recog/longform/segments.h"
#include "recog/longform/timeline.h"
#include "recog/words/align.h"
#include "recog/words/words.h"

enum recog_task_phase {
    RECOG_TASK_IDLE,
    RECOG_TASK_ENCODE,
    RECOG_TASK_ENCODED, /* waits for the language; see recog_task_resume */
    RECOG_TASK_SEARCH,
    RECOG_TASK_ALIGN,
    RECOG_TASK_DONE
};

/* What is known of a decoded window before it is cut. */
struct recog_decoded {
    struct recog_search_result best; /* borrowed from the search */
    float temperature, compression_ratio;
    bool silence; /* by the no-speech rule: no text is to be kept */
};

/* The best text of the temperatures that failed so far. */
struct recog_fallback {
    struct recog_decoded decoded; /* its text lies below */
    bool any, says_something;     /* says_something: neither empty nor one phrase over and over */
    int32_t *tokens;              /* [n_text_ctx + 1] */
    float *logprobs;
};

struct recog_task {
    struct auricle_session *session;
    enum recog_task_phase phase;
    bool unit_out;
    bool hears_rest; /* what follows the text is heard too (rest.h), and text after the last pair of
                        timestamps is kept; set after create */
    struct auricle_unit unit;
    struct recog_seat *seat; /* NULL: none. Its mel, normalised, is filled before begin */
    float *loudness;         /* [window_frames] RMS of each 10 ms; see recog_task_hear */
    struct recog_search *search;
    struct recog_align *align; /* NULL without word times */
    struct recog_words *words; /* NULL without word times */
    /* of this window */
    int64_t seek, segment_frames; /* 10 ms frames: where it begins, how many hold audio */
    int64_t window_begin;         /* frame whose time the pieces count from zero at */
    int64_t place;                /* see recog_task_start */
    const int32_t *previous;      /* text it is conditioned on; borrowed */
    size_t n_previous;
    const int32_t *prefix; /* text it begins with; borrowed */
    size_t n_prefix;
    int rung;               /* of the temperature ladder */
    int32_t *prompt, *text; /* [2 * n_text_ctx] scratch; text tokens of all pieces */
    size_t n_text;
    struct au_buf scratch;
    struct recog_fallback fallback;
    /* results */
    struct recog_decoded decoded;
    struct recog_piece pieces[RECOG_MAX_SPANS];
    size_t n_pieces;
    int64_t advance;    /* 10 ms frames to the next window */
    int64_t rest;       /* frame at which what is still to be heard begins; 0: nothing is */
    bool single_ending; /* the window ended with a lone timestamp */
};

/* Errors: NOMEM. */
AURICLE_MUST_CHECK enum auricle_error recog_task_create(struct auricle_session *session,
                                                        struct recog_task **out);
void recog_task_destroy(struct recog_task *task);

/* Take a seat; no effect on a task that has one. Errors: AGAIN (others hold the engine's decoder
 * cells), NOMEM.                                                                                 */
AURICLE_MUST_CHECK enum auricle_error recog_task_sit(struct recog_task *task);
/* Give the seat back. No unit is out. */
void recog_task_leave(struct recog_task *task);

/* Note how loud n_frames frames from first_frame on are, for the rules against invented text: n
 * samples, then silence.                                                                         */
void recog_task_hear(struct recog_task *task, size_t first_frame, size_t n_frames,
                     const float *samples, size_t n);

struct recog_task_start {
    int64_t seek, segment_frames;
    int64_t
        place; /* 10 ms frame of the recording where it begins: windows draw their own numbers */
    const int32_t *previous;
    size_t n_previous;
    const int32_t *prefix;
    size_t n_prefix;
};
void recog_task_begin(struct recog_task *task, const struct recog_task_start *start);

/* The next unit, or NULL while one is out or when finished. */
struct auricle_unit *recog_task_next(struct recog_task *task);
/* Errors: NOMEM, STATE (no unit is out). */
AURICLE_MUST_CHECK enum auricle_error recog_task_complete(struct recog_task *task);
bool recog_task_finished(const struct recog_task *task);
/* The language is known now: an encoded task goes on. No effect on others. */
void recog_task_resume(struct recog_task *task);

/* After the last temperature: is the window's text still one phrase over and over? On lack of
 * memory it is not.                                                                              */
bool recog_task_loops(struct recog_task *task);
/* Where to cut the window's sound in two, frames from its beginning: at the quietest tenth of a
 * second of its middle half. 0 for a window that is too short.                                   */
int64_t recog_task_quietest(const struct recog_task *task);

/* Give the words to the pieces, whose times they correct (recog_words_assign), and put them in
 * order (recog_words_order) unless the original's times are wanted.
 *   last_speech  end of the last word before this window
 *   last_end     end of the last segment before it */
void recog_task_assign_words(struct recog_task *task, double last_speech, double last_end);

/* Keep a piece as a segment of the session's result. One without text is left out; as the original
 * does, it keeps its place, and so does one without extent, both empty.
 *   timeline  where the window's time lies in the recording; NULL: the piece's times are final
 *   *tokens, *n_tokens get what was kept of its tokens
 * Errors: NOMEM.                                                                                 */
AURICLE_MUST_CHECK enum auricle_error recog_task_emit(struct recog_task *task,
                                                      const struct recog_piece *piece,
                                                      const struct recog_timeline *timeline,
                                                      const int32_t **tokens, size_t *n_tokens);

#endif
