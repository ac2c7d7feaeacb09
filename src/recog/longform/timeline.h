/* From time inside a window to time in the recording.
 *
 * A window may be put together from several stretches of the recording with the silence between
 * them left out. The map is explicit: one entry per stretch, both sides ascending. Times are
 * samples at 16 kHz. A moment at the seam of two stretches belongs to the later one as a start and
 * to the earlier one as an end, so that mapped spans never cover left-out silence without need.
 * Owner: whoever holds it; plain data.                                                           */
#ifndef RECOG_TIMELINE_H
#define RECOG_TIMELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RECOG_MAX_STRETCHES 512

struct recog_stretch {
    int64_t window, file; /* where it begins in the window and in the recording */
    int64_t length;
};

struct recog_timeline {
    size_t n;
    struct recog_stretch stretches[RECOG_MAX_STRETCHES];
};

/* Append a stretch behind the last; one that follows it without a gap is joined to it. False when
 * the list is full.                                                                              */
bool recog_timeline_add(struct recog_timeline *line, int64_t file, int64_t length);
int64_t recog_timeline_length(const struct recog_timeline *line); /* samples in the window */

/* Let go of the window's first samples: what follows them becomes its beginning. */
void recog_timeline_drop(struct recog_timeline *line, int64_t samples);
/* Keep the window's first samples alone. */
void recog_timeline_keep(struct recog_timeline *line, int64_t samples);

enum recog_side { RECOG_SIDE_START, RECOG_SIDE_END };

/* Samples in the recording for samples in the window; positions outside are clamped. n > 0. */
int64_t recog_timeline_map(const struct recog_timeline *line, int64_t window, enum recog_side side);
/* The same in seconds, rounded to milliseconds. */
double recog_timeline_seconds(const struct recog_timeline *line, double window,
                              enum recog_side side);

#endif
