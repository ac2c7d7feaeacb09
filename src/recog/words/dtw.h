/* Dynamic time warping: the cheapest monotone path through a matrix.
 *
 * Source: openai/whisper timing.py (dtw_cpu): costs are kept in f32, and of equal predecessors the
 * diagonal wins only when strictly cheapest, then up only when strictly cheapest, else left.    */
#ifndef RECOG_DTW_H
#define RECOG_DTW_H

#include <stddef.h>
#include <stdint.h>

/* Scratch bytes for an [n, m] matrix; 0 when that overflows. */
size_t recog_dtw_scratch_bytes(size_t n, size_t m);

/* Path through cost [n, m], n and m at least 1: rows and columns of its points in order, at most
 * n + m each. Returns the number of points.  Allocates: never.                                  */
size_t recog_dtw(const float *cost, size_t n, size_t m, void *scratch, int32_t *rows,
                 int32_t *columns);

#endif
