/* Ring of samples between one producer and one consumer, without locks.
 *
 * A live stream's network side appends, its session reads. All memory is reserved at creation;
 * append and read copy once or twice (at the wrap) and touch two counters. A full ring takes what
 * fits and says how much: the producer decides what a listener that is too slow means.
 * Positions count samples since creation and never wrap (64 bit).
 * Thread: one producer calls audio_ring_append and _space, one consumer the rest, at any time.  */
#ifndef AUDIO_RING_H
#define AUDIO_RING_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct audio_ring; /* opaque */

/* Room for at least `capacity` samples (rounded up to a power of two, at most 2^30). Errors:
 * INVALID (0 or too large), NOMEM.                                                               */
AURICLE_MUST_CHECK enum auricle_error audio_ring_create(size_t capacity, struct audio_ring **out);
void audio_ring_destroy(struct audio_ring *ring); /* NULL is fine; both sides have stopped */
size_t audio_ring_capacity(const struct audio_ring *ring);

/* ---- Producer -------------------------------------------------------------------------------- */

size_t audio_ring_space(const struct audio_ring *ring); /* samples that fit now */
/* Append as many of n samples as fit; returns how many. Allocates: never. */
size_t audio_ring_append(struct audio_ring *ring, const float *samples, size_t n);

/* ---- Consumer -------------------------------------------------------------------------------- */

uint64_t audio_ring_position(const struct audio_ring *ring); /* of the oldest sample kept */
size_t audio_ring_available(const struct audio_ring *ring);  /* samples from there on */
/* Copy up to n samples that begin `offset` after the oldest, without letting go of them; returns
 * how many there were. Windows that overlap are read this way.                                   */
size_t audio_ring_peek(const struct audio_ring *ring, size_t offset, float *out, size_t n);
/* Let go of up to n of the oldest samples; returns how many. */
size_t audio_ring_discard(struct audio_ring *ring, size_t n);
/* peek from the oldest, then discard. */
size_t audio_ring_read(struct audio_ring *ring, float *out, size_t n);

#endif
