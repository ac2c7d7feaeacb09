/* Skipping silence around segments that look invented, in the sequential long form.
 *
 * Off unless hallucination_silence_threshold is set and words are timed.
 * Source: openai/whisper transcribe.py (hallucination_silence_threshold).                        */
#ifndef RECOG_ANOMALY_H
#define RECOG_ANOMALY_H

#include "recog/words/words.h"

/* The window that was decoded; seconds of the recording unless said. */
struct recog_anomaly_window {
    double threshold;   /* silence longer than this is skipped */
    double begin, end;  /* of a full window beginning here */
    double duration;    /* seconds of audio in it */
    double last_speech; /* end of the last word before it */
    double recording;   /* length of the recording */
    bool single_ending;
    int64_t seek, segment_frames, content_frames; /* 10 ms frames */
};

/* Decide where to go on.
 *   pieces, *n_pieces  invented ones at the end are cut off
 *   *seek              frame to go on at; in: what is planned so far
 * Returns false when the whole window is to be heard again from *seek, its pieces dropped.       */
bool recog_anomaly_skip(const struct recog_words *words, const struct recog_anomaly_window *window,
                        const struct recog_piece *pieces, size_t *n_pieces, int64_t *seek);

/* End of the last word, else of the last piece; n > 0. */
double recog_anomaly_end(const struct recog_words *words, const struct recog_piece *pieces,
                         size_t n);

#endif
