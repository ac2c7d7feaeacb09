/* The sample ring: against a plain queue, at the wrap, and between two threads. */
#include <pthread.h>
#include <sched.h>

#include "audio/ring.h"
#include "base/clock.h"
#include "support/support.h"

/* Samples carry their own position; f32 holds these integers exactly. */
#define PERIOD 16000000u

static float sample_at(uint64_t position)
{
    return (float)(position % PERIOD);
}

static void capacity_is_rounded_up(void **state)
{
    struct audio_ring *ring;
    (void)state;
    assert_int_equal(audio_ring_create(0, &ring), AURICLE_E_INVALID);
    assert_int_equal(audio_ring_create(((size_t)1 << 30) + 1, &ring), AURICLE_E_INVALID);
    au_test_ok(audio_ring_create(1000, &ring), NULL);
    assert_int_equal(audio_ring_capacity(ring), 1024);
    assert_int_equal(audio_ring_space(ring), 1024);
    assert_int_equal(audio_ring_available(ring), 0);
    audio_ring_destroy(ring);
    audio_ring_destroy(NULL);
}

static void full_ring_takes_what_fits(void **state)
{
    struct audio_ring *ring;
    float in[20], out[20];
    (void)state;
    for (size_t i = 0; i < 20; i++)
        in[i] = sample_at(i);
    au_test_ok(audio_ring_create(16, &ring), NULL);
    assert_int_equal(audio_ring_append(ring, in, 20), 16);
    assert_int_equal(audio_ring_append(ring, in, 1), 0);
    assert_int_equal(audio_ring_peek(ring, 10, out, 20), 6);
    assert_memory_equal(out, in + 10, 6 * sizeof *out);
    assert_int_equal(audio_ring_peek(ring, 16, out, 1), 0);
    assert_int_equal(audio_ring_discard(ring, 3), 3);
    assert_int_equal(audio_ring_append(ring, in + 16, 4), 3);
    assert_int_equal(audio_ring_position(ring), 3);
    assert_int_equal(audio_ring_read(ring, out, 20), 16);
    assert_memory_equal(out, in + 3, 16 * sizeof *out);
    assert_int_equal(audio_ring_discard(ring, 1), 0);
    audio_ring_destroy(ring);
}

/* Thousands of random steps: the ring always holds exactly the positions between its counters. */
static void random_steps_keep_the_order(void **state)
{
    struct au_test_random random = {.state = 7};
    struct audio_ring *ring;
    float block[200];
    uint64_t written = 0, released = 0;
    (void)state;
    au_test_ok(audio_ring_create(128, &ring), NULL);
    for (int step = 0; step < 20000; step++) {
        size_t n = au_test_random_u64(&random) % 150;
        size_t offset = au_test_random_u64(&random) % 100;
        if (au_test_random_u64(&random) & 1) {
            for (size_t i = 0; i < n; i++)
                block[i] = sample_at(written + i);
            written += audio_ring_append(ring, block, n);
        } else {
            size_t got = audio_ring_peek(ring, offset, block, n);
            for (size_t i = 0; i < got; i++)
                assert_true(block[i] == sample_at(released + offset + i));
            released += audio_ring_discard(ring, n / 2);
        }
        assert_int_equal(audio_ring_position(ring), released);
        assert_int_equal(audio_ring_available(ring), written - released);
        assert_int_equal(audio_ring_space(ring), 128 - (written - released));
    }
    assert_true(released > 10 * 128);
    audio_ring_destroy(ring);
}

#define N_THREADED 2000000u

static void *produce(void *context)
{
    struct audio_ring *ring = context;
    float block[1600];
    uint64_t sent = 0;
    for (size_t n = 1; sent < N_THREADED; n = n % 1600 + 1) {
        if (n > N_THREADED - sent)
            n = (size_t)(N_THREADED - sent);
        for (size_t i = 0; i < n; i++)
            block[i] = sample_at(sent + i);
        size_t done = audio_ring_append(ring, block, n);
        sent += done;
        if (done < n)
            sched_yield();
    }
    return NULL;
}

static void two_threads_lose_nothing(void **state)
{
    struct audio_ring *ring;
    pthread_t producer;
    float block[700];
    uint64_t seen = 0, wrong = 0;
    (void)state;
    au_test_ok(audio_ring_create(4096, &ring), NULL);
    assert_int_equal(pthread_create(&producer, NULL, produce, ring), 0);
    while (seen < N_THREADED) {
        size_t n = audio_ring_read(ring, block, 1 + seen % 700);
        for (size_t i = 0; i < n; i++)
            wrong += block[i] != sample_at(seen + i);
        seen += n;
        if (n == 0)
            sched_yield();
    }
    pthread_join(producer, NULL);
    assert_int_equal(wrong, 0);
    assert_int_equal(audio_ring_available(ring), 0);
    audio_ring_destroy(ring);
}

static void appending_allocates_nothing_and_is_quick(void **state)
{
    static float chunk[1600];
    struct audio_ring *ring;
    (void)state;
    au_test_ok(audio_ring_create(1 << 16, &ring), NULL);
    uint64_t allocations = au_mem_count();
    int64_t best_ns = INT64_MAX;
    for (int i = 0; i < 1000; i++) {
        int64_t began_ns = au_now_ns();
        size_t n = audio_ring_append(ring, chunk, 1600);
        int64_t took_ns = au_now_ns() - began_ns;
        best_ns = took_ns < best_ns ? took_ns : best_ns;
        assert_int_equal(n, 1600);
        assert_int_equal(audio_ring_discard(ring, 1600), 1600);
    }
    assert_int_equal(au_mem_count(), allocations);
    printf("append of 100 ms: %lld ns\n", (long long)best_ns);
    audio_ring_destroy(ring);
}

static enum auricle_error create_once(void *context)
{
    struct audio_ring *ring = NULL;
    (void)context;
    enum auricle_error error = audio_ring_create(100, &ring);
    if (!error)
        audio_ring_destroy(ring);
    return error;
}

static void lack_of_memory_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(au_test_fail_each_allocation(create_once, NULL, 10), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(capacity_is_rounded_up),
        cmocka_unit_test(full_ring_takes_what_fits),
        cmocka_unit_test(random_steps_keep_the_order),
        cmocka_unit_test(two_threads_lose_nothing),
        cmocka_unit_test(appending_allocates_nothing_and_is_quick),
        cmocka_unit_test(lack_of_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
