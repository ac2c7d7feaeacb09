/* Units of work: what sessions ask for and the engine runs.
 *
 * A unit and everything it points to belong to the session that handed it out; between next and
 * complete only the engine touches them.                                                        */
#ifndef RECOG_UNIT_H
#define RECOG_UNIT_H

#include "auricle/auricle.h"
#include "model/whisper/whisper.h"
#include "recog/decode/filter.h"

enum recog_unit_kind {
    RECOG_UNIT_ENCODE, /* one window: mel to cross-attention keys and values */
    RECOG_UNIT_DECODE  /* some rows of one search: tokens to candidates */
};

/* One hypothesis in a decoder step. The engine fills model.logits and, where wanted, the
 * outputs. */
struct recog_row {
    struct whisper_row model;
    const struct recog_rules *rules; /* NULL: no candidates wanted from the last logits */
    const int32_t *sampled;
    size_t n_sampled;
    int n_top;
    float temperature;
    uint64_t seed;         /* of the draws above temperature 0 */
    int32_t no_speech;     /* id whose probability at the first logits row is wanted; -1: none */
    const int32_t *choose; /* NULL, or [n_choose] ids: softmax over these at the first logits row */
    int n_choose;
    float *choose_prob; /* [n_choose] */
    /* NULL, or [n_targets]: for each of the first n_targets logits rows the probability of this id
     * among the ids below target_below. */
    const int32_t *targets;
    float *target_prob;
    int n_targets;
    int32_t target_below;
    /* outputs */
    struct recog_pick pick;
    float no_speech_prob;
};

struct auricle_unit {
    enum recog_unit_kind kind;
    struct auricle_session *session;
    void *task; /* the session's own: which of its tasks this belongs to */
    /* ENCODE */
    const float *mel; /* [3000, n_mels] */
    struct whisper_window *window;
    /* DECODE */
    struct recog_row *rows;
    size_t n_rows;
    double seconds; /* output: this unit's share of the time its batch took */
};

#endif
