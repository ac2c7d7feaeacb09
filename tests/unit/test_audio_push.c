/* Pushed samples: however the bytes are cut, and however little room there is for what comes out,
 * the samples are those that the pulling reader makes of the whole.                              */
#include "audio/push.h"
#include "support/support.h"

enum { BYTES = 200003 }; /* a prime: the last frame is cut */

struct shape {
    enum audio_raw_type type;
    int rate_hz, channels;
};

static void bytes_fill(const struct shape *shape, uint8_t *bytes)
{
    struct au_test_random random = {1};
    if (shape->type == AUDIO_RAW_F32LE) {
        float *samples = au_alloc(BYTES + sizeof(float));
        assert_non_null(samples);
        au_test_random_fill(&random, samples, BYTES / sizeof(float) + 1);
        samples[100] = 0.0f / 0.0f * samples[1]; /* no number */
        memcpy(bytes, samples, BYTES);
        au_free(samples);
        return;
    }
    for (size_t i = 0; i < BYTES; i++)
        bytes[i] = (uint8_t)(au_test_random_u64(&random) >> 40);
}

static float *pulled(const struct shape *shape, const uint8_t *bytes, size_t *n)
{
    struct au_fault fault = {0};
    struct audio_reader *reader;
    float *samples;
    const struct audio_decode_options options = {
        .raw = shape->type, .raw_rate_hz = shape->rate_hz, .raw_channels = shape->channels};
    au_test_ok(audio_open_memory(bytes, BYTES, "raw", &options, &reader, &fault), &fault);
    au_test_ok(audio_read_all(reader, &samples, n, &fault), &fault);
    audio_close(reader);
    return samples;
}

/* In pieces of 1 to max_in bytes, into room for 1 to max_out samples. */
static size_t push_all(struct audio_push *push, const uint8_t *bytes, float *out, size_t room,
                       size_t max_in, size_t max_out)
{
    struct au_test_random random = {2};
    size_t at = 0, n_out = 0, n, used;
    while (at < BYTES) {
        size_t in = 1 + au_test_random_u64(&random) % max_in;
        size_t max = 1 + au_test_random_u64(&random) % max_out;
        in = in < BYTES - at ? in : BYTES - at;
        assert_true(n_out + max <= room);
        au_test_ok(audio_push_run(push, bytes + at, in, &used, out + n_out, max, &n), NULL);
        assert_true(used == in || n == max); /* all is taken unless the room was too small */
        at += used;
        n_out += n;
    }
    do {
        assert_true(n_out + max_out <= room);
        au_test_ok(audio_push_run(push, NULL, 0, &used, out + n_out, max_out, &n), NULL);
        n_out += n;
    } while (n);
    return n_out;
}

static void pushed_is_as_pulled(void **state)
{
    static const struct shape shapes[] = {
        {AUDIO_RAW_S16LE, 16000, 1}, {AUDIO_RAW_F32LE, 16000, 2}, {AUDIO_RAW_F32LE, 44100, 1},
        {AUDIO_RAW_MULAW, 8000, 1},  {AUDIO_RAW_ALAW, 11025, 2},  {AUDIO_RAW_U8, 48000, 3},
        {AUDIO_RAW_S16LE, 24000, 6}, {AUDIO_RAW_F32LE, 96000, 64}};
    static const size_t cuts[][2] = {{100000, 100000}, {640, 512}, {7, 5}, {30000, 3}};
    const size_t room = 4 * BYTES;
    (void)state;
    uint8_t *bytes = au_alloc(BYTES);
    float *out = au_alloc_array(room, sizeof(*out));
    assert_true(bytes && out);
    for (size_t s = 0; s < sizeof(shapes) / sizeof(shapes[0]); s++) {
        size_t n_expected;
        bytes_fill(&shapes[s], bytes);
        float *expected = pulled(&shapes[s], bytes, &n_expected);
        for (size_t c = 0; c < sizeof(cuts) / sizeof(cuts[0]); c++) {
            struct audio_push *push;
            au_test_ok(audio_push_create(shapes[s].type, shapes[s].rate_hz, shapes[s].channels,
                                         &push, NULL),
                       NULL);
            size_t n = push_all(push, bytes, out, room, cuts[c][0], cuts[c][1]);
            assert_int_equal(n, n_expected);
            assert_memory_equal(out, expected, n * sizeof(*out));
            audio_push_destroy(push);
        }
        au_free(expected);
    }
    au_free(out);
    au_free(bytes);
}

static void what_cannot_be_is_refused(void **state)
{
    struct audio_push *push;
    struct au_fault fault = {0};
    (void)state;
    assert_int_equal(audio_push_create(AUDIO_RAW_NONE, 16000, 1, &push, &fault), AURICLE_E_INVALID);
    assert_int_equal(audio_push_create(AUDIO_RAW_U8, 10, 1, &push, &fault), AURICLE_E_UNSUPPORTED);
    assert_non_null(strstr(fault.text, "1000 to 768000"));
    assert_int_equal(audio_push_create(AUDIO_RAW_U8, 8000, 65, &push, &fault),
                     AURICLE_E_UNSUPPORTED);
    audio_push_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pushed_is_as_pulled),
        cmocka_unit_test(what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests_name("audio_push", tests, NULL, NULL);
}
