/* Helpers of the kernel tests: guarded buffers, seeded numbers, the levels to try.
 *
 * A guarded buffer stands between two zones of a known pattern, so that a kernel that writes one
 * element too many is caught at any size and alignment.                                         */
#ifndef TESTS_KERN_UTIL_H
#define TESTS_KERN_UTIL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "kern/kern.h"

#define GUARD_BYTES   256
#define GUARD_PATTERN 0xa5

/* `offset` floats past alignment, to try unaligned rows. Aborts the test without memory. */
struct guarded {
    unsigned char *block;
    size_t bytes, offset;
};

static inline void *guarded_create(struct guarded *g, size_t bytes, size_t offset_bytes)
{
    g->bytes = bytes;
    g->offset = offset_bytes;
    g->block = au_alloc_aligned(bytes + offset_bytes + 2 * GUARD_BYTES);
    assert_non_null(g->block);
    memset(g->block, GUARD_PATTERN, bytes + offset_bytes + 2 * GUARD_BYTES);
    return g->block + GUARD_BYTES + offset_bytes;
}

static inline void guarded_destroy(struct guarded *g)
{
    const unsigned char *after = g->block + GUARD_BYTES + g->offset + g->bytes;
    for (size_t i = 0; i < GUARD_BYTES + g->offset; i++)
        assert_int_equal(g->block[i], GUARD_PATTERN);
    for (size_t i = 0; i < GUARD_BYTES; i++)
        assert_int_equal(after[i], GUARD_PATTERN);
    au_free(g->block);
}

/* xorshift64*: the same numbers on every machine. */
static inline uint64_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1dULL;
}

/* Uniform in [-1, 1). */
static inline float random_unit(uint64_t *state)
{
    return (float)(next_random(state) >> 40) * 0x1p-23f - 1.0f;
}

static inline void random_fill(float *x, size_t n, uint64_t seed)
{
    uint64_t state = seed * 0x9e3779b97f4a7c15ULL + 1;
    for (size_t i = 0; i < n; i++)
        x[i] = random_unit(&state);
}

#define MOST_TABLES 16

/* Every table this machine can run, generic first. */
static inline size_t usable_levels(const struct kern_ops *out[MOST_TABLES])
{
    size_t n = 0;
    while (n < MOST_TABLES && (out[n] = kern_table(n)))
        n++;
    return n;
}

static inline void assert_near(double value, double wanted, double bound)
{
    const double difference = value > wanted ? value - wanted : wanted - value;
    if (!(difference <= bound))
        fail_msg("%.9g where %.9g +- %.3g was expected", value, wanted, bound);
}

static inline void assert_same_bits(const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (memcmp(a + i, b + i, sizeof(float)) != 0)
            fail_msg("element %zu: %.9g and %.9g differ", i, (double)a[i], (double)b[i]);
}

#endif
