/* Single-producer, single-consumer ring of samples. See ring.h.
 *
 * Two counters only ever grow: `written` belongs to the producer, `released` to the consumer, each
 * on a cache line of its own. A side reads its own counter plainly and the other's with acquire;
 * it publishes with release after its copying is done, so samples are visible before the count that
 * promises them, and space is free before the count that offers it.                              */
#include "audio/ring.h"

#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"

#define MAX_CAPACITY ((size_t)1 << 30)

struct audio_ring {
    size_t capacity; /* a power of two */
    float *samples;
    _Alignas(AU_ALIGN) _Atomic uint64_t written;
    _Alignas(AU_ALIGN) _Atomic uint64_t released;
};

enum auricle_error audio_ring_create(size_t capacity, struct audio_ring **out)
{
    if (capacity == 0 || capacity > MAX_CAPACITY)
        return AURICLE_E_INVALID;
    struct audio_ring *ring = au_alloc_aligned(sizeof *ring);
    if (!ring)
        return AURICLE_E_NOMEM;
    memset(ring, 0, sizeof *ring);
    ring->capacity = 1;
    while (ring->capacity < capacity)
        ring->capacity *= 2;
    ring->samples = au_alloc_aligned(ring->capacity * sizeof *ring->samples);
    if (!ring->samples) {
        audio_ring_destroy(ring);
        return AURICLE_E_NOMEM;
    }
    *out = ring;
    return AURICLE_OK;
}

void audio_ring_destroy(struct audio_ring *ring)
{
    if (!ring)
        return;
    au_free(ring->samples);
    au_free(ring);
}

size_t audio_ring_capacity(const struct audio_ring *ring)
{
    return ring->capacity;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t audio_ring_space(const struct audio_ring *ring)
{
    uint64_t written = atomic_load_explicit(&ring->written, memory_order_relaxed);
    uint64_t released = atomic_load_explicit(&ring->released, memory_order_acquire);
    return ring->capacity - (size_t)(written - released);
}

size_t audio_ring_append(struct audio_ring *ring, const float *samples, size_t n)
{
    uint64_t written = atomic_load_explicit(&ring->written, memory_order_relaxed);
    n = smaller(n, audio_ring_space(ring));
    size_t at = (size_t)written & (ring->capacity - 1);
    size_t before_wrap = smaller(n, ring->capacity - at);
    memcpy(ring->samples + at, samples, before_wrap * sizeof *samples);
    memcpy(ring->samples, samples + before_wrap, (n - before_wrap) * sizeof *samples);
    atomic_store_explicit(&ring->written, written + n, memory_order_release);
    return n;
}

uint64_t audio_ring_position(const struct audio_ring *ring)
{
    return atomic_load_explicit(&ring->released, memory_order_relaxed);
}

size_t audio_ring_available(const struct audio_ring *ring)
{
    uint64_t written = atomic_load_explicit(&ring->written, memory_order_acquire);
    return (size_t)(written - audio_ring_position(ring));
}

size_t audio_ring_peek(const struct audio_ring *ring, size_t offset, float *out, size_t n)
{
    size_t available = audio_ring_available(ring);
    if (offset >= available)
        return 0;
    n = smaller(n, available - offset);
    size_t at = (size_t)(audio_ring_position(ring) + offset) & (ring->capacity - 1);
    size_t before_wrap = smaller(n, ring->capacity - at);
    memcpy(out, ring->samples + at, before_wrap * sizeof *out);
    memcpy(out + before_wrap, ring->samples, (n - before_wrap) * sizeof *out);
    return n;
}

size_t audio_ring_discard(struct audio_ring *ring, size_t n)
{
    n = smaller(n, audio_ring_available(ring));
    atomic_store_explicit(&ring->released, audio_ring_position(ring) + n, memory_order_release);
    return n;
}

size_t audio_ring_read(struct audio_ring *ring, float *out, size_t n)
{
    return audio_ring_discard(ring, audio_ring_peek(ring, 0, out, n));
}
