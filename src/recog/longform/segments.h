/* From the tokens of one window to timed segments, and how far the next window may begin.
 *
 * Source: openai/whisper transcribe.py (the part after decode_with_fallback).                    */
#ifndef RECOG_SEGMENTS_H
#define RECOG_SEGMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A run of tokens with its times, in frames of 20 ms from the window's start. */
struct recog_span {
    size_t first, n;    /* into the window's tokens */
    int32_t start, end; /* in 0.02 s */
};

#define RECOG_MAX_SPANS 256

/* Cut tokens at consecutive timestamp pairs.
 *   segment_frames  10 ms frames of the window that hold audio
 *   keep_tail       what follows the last pair becomes a span up to the window's end; without it
 *                   that part is left for the next window, which begins there
 *   spans           [RECOG_MAX_SPANS]
 *   advance_frames  10 ms frames to move on
 * Returns the number of spans, at least 1. */
size_t recog_segments_cut(const int32_t *tokens, size_t n, int32_t timestamp_begin,
                          int64_t segment_frames, bool keep_tail, struct recog_span *spans,
                          int64_t *advance_frames);

#endif
