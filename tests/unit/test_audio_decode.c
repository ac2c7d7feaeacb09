/* Decoding of recordings made here: sample types, headers that lie, cuts, limits, pipes. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audio/decode.h"
#include "base/clock.h"
#include "support/support.h"
#include "support/wav.h"

struct recording {
    float *samples;
    size_t n;
    char warning[512];
};

static enum auricle_error decode_memory(const uint8_t *data, size_t bytes,
                                        const struct audio_decode_options *options,
                                        struct recording *out, struct au_fault *fault)
{
    struct audio_reader *reader;
    memset(out, 0, sizeof *out);
    enum auricle_error error = audio_open_memory(data, bytes, "made.wav", options, &reader, fault);
    if (error)
        return error;
    error = audio_read_all(reader, &out->samples, &out->n, fault);
    if (audio_warning(reader))
        snprintf(out->warning, sizeof out->warning, "%s", audio_warning(reader));
    audio_close(reader);
    return error;
}

static struct recording must_decode(const uint8_t *data, size_t bytes,
                                    const struct audio_decode_options *options)
{
    struct recording out;
    struct au_fault fault = {0};
    au_test_ok(decode_memory(data, bytes, options, &out, &fault), &fault);
    return out;
}

/* The sentence must name the input and hold every one of the words. */
static void must_fail(const uint8_t *data, size_t bytes, const struct audio_decode_options *options,
                      enum auricle_error code, const char *words)
{
    struct recording out;
    struct au_fault fault = {0};
    enum auricle_error error = decode_memory(data, bytes, options, &out, &fault);
    if (error != code || !strstr(fault.text, "made.wav") || !strstr(fault.text, words))
        fail_msg("expected %d with \"%s\", got %d: %s", code, words, error, fault.text);
}

static int16_t *noise_s16(size_t n)
{
    struct au_test_random random = {.state = n};
    int16_t *out = au_alloc_array(n, sizeof *out);
    assert_non_null(out);
    for (size_t i = 0; i < n; i++)
        out[i] = (int16_t)(au_test_random_u64(&random) >> 48);
    return out;
}

/* ---- Sample types ---------------------------------------------------------------------------- */

static void s16_samples_are_exact(void **state)
{
    size_t bytes;
    int16_t *noise = noise_s16(5000);
    uint8_t *file = au_test_wav_s16(noise, 5000, 1, 16000, &bytes);
    (void)state;
    for (int ffmpeg = 0; ffmpeg < 2; ffmpeg++) {
        struct audio_decode_options options = {.try_ffmpeg_only = ffmpeg};
        struct recording got = must_decode(file, bytes, &options);
        assert_int_equal(got.n, 5000);
        for (size_t i = 0; i < got.n; i++)
            assert_true(got.samples[i] == (float)noise[i] / 32768.0f);
        assert_string_equal(got.warning, "");
        au_free(got.samples);
    }
    au_free(file);
    au_free(noise);
}

static void channels_are_averaged(void **state)
{
    size_t bytes;
    const int16_t frames[] = {100, 300, -700, 32767, -32768, 1000, 0, 0, 3};
    uint8_t *file = au_test_wav_s16(frames, 9, 3, 16000, &bytes);
    (void)state;
    struct recording got = must_decode(file, bytes, NULL);
    assert_int_equal(got.n, 3);
    const float expected[] = {-100.0f / 32768, 333.0f / 32768, 1.0f / 32768};
    au_test_close(got.samples, expected, 3, 1e-7);
    au_free(got.samples);
    au_free(file);
}

static void nan_and_infinity_become_silence(void **state)
{
    size_t bytes;
    const float in[] = {NAN, INFINITY, -INFINITY, 4.0f, 100.0f, -1e30f, 1e-42f, 0.5f};
    const float expected[] = {0, 0, 0, 4.0f, 8.0f, -8.0f, 1e-42f, 0.5f};
    struct au_test_wav header = {3, 1, 32, 16000, sizeof in};
    uint8_t *file = au_test_wav_make(&header, in, sizeof in, &bytes);
    (void)state;
    struct recording got = must_decode(file, bytes, NULL);
    assert_int_equal(got.n, 8);
    assert_memory_equal(got.samples, expected, sizeof expected);
    au_free(got.samples);
    au_free(file);
}

/* The resampler rings beyond its input: noise of +-8 at 44.1 kHz would come out above 8. */
static void resampled_garbage_keeps_its_bound(void **state)
{
    enum { N = 44100 };
    size_t bytes;
    struct au_test_random random = {.state = 3};
    float *noise = au_alloc_array(N, sizeof *noise);
    (void)state;
    assert_non_null(noise);
    for (size_t i = 0; i < N; i++)
        noise[i] = au_test_random_u64(&random) >> 63 ? 8.0f : -8.0f;
    struct au_test_wav header = {3, 1, 32, 44100, N * sizeof *noise};
    uint8_t *file = au_test_wav_make(&header, noise, N * sizeof *noise, &bytes);
    struct recording got = must_decode(file, bytes, NULL);
    float largest = 0.0f;
    for (size_t i = 0; i < got.n; i++)
        largest = fmaxf(largest, fabsf(got.samples[i]));
    if (!(largest <= 8.0f) || largest < 7.0f)
        fail_msg("largest sample %g", (double)largest);
    au_free(got.samples);
    au_free(file);
    au_free(noise);
}

/* Raw G.711 against libsndfile's reading of the same bytes in a WAV, for all 256 codes. */
static void raw_g711_equals_wav_g711(void **state)
{
    static const enum audio_raw_type types[] = {AUDIO_RAW_ALAW, AUDIO_RAW_MULAW};
    uint8_t codes[256];
    size_t bytes;
    (void)state;
    for (int i = 0; i < 256; i++)
        codes[i] = (uint8_t)i;
    for (int i = 0; i < 2; i++) {
        struct au_test_wav header = {(uint16_t)(6 + i), 1, 8, 16000, sizeof codes};
        uint8_t *file = au_test_wav_make(&header, codes, sizeof codes, &bytes);
        struct audio_decode_options raw = {
            .raw = types[i], .raw_rate_hz = 16000, .raw_channels = 1};
        struct recording from_wav = must_decode(file, bytes, NULL);
        struct recording from_raw = must_decode(codes, sizeof codes, &raw);
        assert_int_equal(from_wav.n, 256);
        assert_int_equal(from_raw.n, 256);
        assert_memory_equal(from_raw.samples, from_wav.samples, 256 * sizeof(float));
        au_free(from_wav.samples);
        au_free(from_raw.samples);
        au_free(file);
    }
}

static void raw_types_are_read_as_told(void **state)
{
    const uint8_t bytes[] = {0x00, 0x80, 0xff, 0x7f, 0x00, 0x40, 0x01};
    const float as_s16[] = {-1.0f, 32767.0f / 32768, 0.5f};
    const float as_u8[] = {-1.0f, 0.0f, 127.0f / 128, -1.0f / 128, -1.0f, -0.5f, -127.0f / 128};
    const float floats[] = {0.25f, -0.75f, 1.0f, 0.5f};
    const float as_stereo[] = {-0.25f, 0.75f};
    struct audio_decode_options options = {.raw_rate_hz = 16000, .raw_channels = 1};
    (void)state;
    options.raw = AUDIO_RAW_S16LE; /* the odd byte at the end is no sample */
    struct recording got = must_decode(bytes, sizeof bytes, &options);
    assert_int_equal(got.n, 3);
    assert_memory_equal(got.samples, as_s16, sizeof as_s16);
    au_free(got.samples);
    options.raw = AUDIO_RAW_U8;
    got = must_decode(bytes, sizeof bytes, &options);
    assert_int_equal(got.n, 7);
    assert_memory_equal(got.samples, as_u8, sizeof as_u8);
    au_free(got.samples);
    options.raw = AUDIO_RAW_F32LE;
    options.raw_channels = 2;
    got = must_decode((const uint8_t *)floats, sizeof floats, &options);
    assert_int_equal(got.n, 2);
    assert_memory_equal(got.samples, as_stereo, sizeof as_stereo);
    au_free(got.samples);
    options.raw_channels = 0;
    must_fail(bytes, sizeof bytes, &options, AURICLE_E_UNSUPPORTED, "0 channels");
    options.raw_channels = 1, options.raw_rate_hz = 10;
    must_fail(bytes, sizeof bytes, &options, AURICLE_E_UNSUPPORTED, "10 samples per second");
}

/* A recording that has the rate asked for is not touched; cuts and limits count in that rate. */
static void another_rate_comes_when_asked_for(void **state)
{
    size_t bytes;
    int16_t *noise = noise_s16(24000);
    uint8_t *file = au_test_wav_s16(noise, 24000, 1, 8000, &bytes);
    struct audio_decode_options options = {.rate_hz = 8000};
    (void)state;
    struct recording got = must_decode(file, bytes, &options);
    assert_int_equal(got.n, 24000);
    for (size_t i = 0; i < got.n; i++)
        assert_true(got.samples[i] * 32768.0f == (float)noise[i]);
    options.start_seconds = 2.5, options.duration_seconds = 0.25;
    struct recording part = must_decode(file, bytes, &options);
    assert_int_equal(part.n, 2000);
    assert_memory_equal(part.samples, got.samples + 20000, 2000 * sizeof(float));
    au_free(part.samples);
    au_free(got.samples);
    options = (struct audio_decode_options){.rate_hz = 4000};
    got = must_decode(file, bytes, &options);
    assert_int_equal(got.n, 12000);
    au_free(got.samples);
    options.max_seconds = 2.9;
    must_fail(file, bytes, &options, AURICLE_E_LIMIT, "3.0 s long");
    options.rate_hz = 999;
    must_fail(file, bytes, &options, AURICLE_E_INVALID, "999 Hz");
    au_free(file);
    au_free(noise);
}

/* ---- Headers that lie ------------------------------------------------------------------------ */

/* 1000 samples under a header that claims `claimed` bytes: how many come out? */
static struct recording decode_claim(uint32_t claimed)
{
    size_t bytes;
    int16_t *noise = noise_s16(1000);
    struct au_test_wav header = {1, 1, 16, 16000, claimed};
    uint8_t *file = au_test_wav_make(&header, noise, 2000, &bytes);
    struct recording got = must_decode(file, bytes, NULL);
    for (size_t i = 0; i < got.n; i++)
        assert_true(got.samples[i] == (float)noise[i] / 32768.0f);
    au_free(file);
    au_free(noise);
    au_free(got.samples);
    return got;
}

static void streamed_wav_goes_to_the_end(void **state)
{
    static const uint32_t placeholders[] = {0, 0xffffffffu, 0xfffffff0u, 0x7fffffffu, 0x80000000u};
    (void)state;
    for (size_t i = 0; i < sizeof placeholders / sizeof *placeholders; i++) {
        struct recording got = decode_claim(placeholders[i]);
        assert_int_equal(got.n, 1000);
        assert_string_equal(got.warning, "");
    }
}

static void cut_wav_gives_what_is_there_and_warns(void **state)
{
    (void)state;
    struct recording got = decode_claim(50000);
    assert_int_equal(got.n, 1000);
    assert_non_null(strstr(got.warning, "promises 50000 bytes"));
    assert_non_null(strstr(got.warning, "holds 2000"));
    assert_int_equal(decode_claim(500).n, 250); /* a smaller claim is believed */
}

static void wav_without_samples_is_empty_not_broken(void **state)
{
    size_t bytes;
    struct au_test_wav header = {1, 1, 16, 16000, 0};
    const char list[] = "LIST\x04\0\0\0INFO";
    (void)state;
    for (int with_list = 0; with_list < 2; with_list++) {
        uint8_t *file = au_test_wav_make(&header, list, with_list ? 12 : 0, &bytes);
        struct recording got = must_decode(file, bytes, NULL);
        assert_int_equal(got.n, 0);
        assert_non_null(strstr(got.warning, "0 samples"));
        au_free(got.samples);
        au_free(file);
    }
}

static void impossible_shapes_are_refused(void **state)
{
    static const struct {
        uint16_t channels;
        uint32_t rate_hz;
        const char *words;
    } cases[] = {
        {0, 16000, "0 channels"},           {65, 16000, "65 channels"},
        {65535, 16000, "channels"},         {1, 0, "0 samples per second"},
        {1, 1, "1 samples per second"},     {1, 4294967295u, "4294967295 samples per second"},
        {1, 800000, "768000 are accepted"},
    };
    const uint8_t silence[64] = {0};
    size_t bytes;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct au_test_wav header = {1, cases[i].channels, 16, cases[i].rate_hz, sizeof silence};
        uint8_t *file = au_test_wav_make(&header, silence, sizeof silence, &bytes);
        must_fail(file, bytes, NULL, AURICLE_E_UNSUPPORTED, cases[i].words);
        au_free(file);
    }
}

static void other_files_are_named_for_what_they_are(void **state)
{
    static const struct {
        const char *content, *words;
    } cases[] = {
        {"PK\x03\x04 and so on", "ZIP"},
        {"%PDF-1.7 and so on", "PDF"},
        {"Hello, I am not a recording.\n", "plain text"},
        {"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "plain text"},
        {"ffconcat version 1.0\nfile /etc/passwd\n", "plain text"},
        {"\x01\x02\x03\x04\x05\x06\x07\x08", "not a recording"},
        {"....ftypM4A cut here", "index (moov)"},
        {"fLaC", "FLAC"},
        {"OggS", "Ogg"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        must_fail((const uint8_t *)cases[i].content, strlen(cases[i].content), NULL,
                  AURICLE_E_FORMAT, cases[i].words);
    must_fail((const uint8_t *)"", 0, NULL, AURICLE_E_NO_AUDIO, "empty");
}

/* Every prefix of a small file, and thousands of damaged copies: any outcome but a crash, a hang or
 * more samples than the bytes can hold.                                                          */
static void damaged_files_do_no_harm(void **state)
{
    struct au_test_random random = {.state = 11};
    int16_t *noise = noise_s16(400);
    size_t bytes;
    uint8_t *file = au_test_wav_s16(noise, 400, 2, 22050, &bytes);
    uint8_t *copy = au_alloc(bytes);
    (void)state;
    for (size_t i = 0; i < 3000 + bytes; i++) {
        struct recording got;
        size_t length = i < bytes ? i : bytes;
        memcpy(copy, file, bytes);
        for (int k = 0; i >= bytes && k < 3; k++)
            copy[au_test_random_u64(&random) % 64] = (uint8_t)au_test_random_u64(&random);
        enum auricle_error error = decode_memory(copy, length, NULL, &got, NULL);
        if (error)
            continue;
        assert_in_range(got.n, 0, 16 * 2 * bytes); /* 1000 Hz, 4 bits a sample */
        au_free(got.samples);
    }
    au_free(copy);
    au_free(file);
    au_free(noise);
}

/* ---- Resampling ------------------------------------------------------------------------------ */

/* A tone of 1 kHz at any rate comes out as the tone at 16 kHz: same length, no delay, no ringing
 * worth mentioning except where it starts and stops.                                             */
static void tones_keep_length_and_phase(void **state)
{
    static const int rates[] = {8000, 11025, 16001, 22050, 32000, 44100, 48000, 96000, 192000};
    (void)state;
    for (size_t r = 0; r < sizeof rates / sizeof *rates; r++) {
        size_t n = (size_t)rates[r], bytes;
        float *tone = au_alloc_array(n, sizeof *tone);
        for (size_t i = 0; i < n; i++)
            tone[i] = 0.5f * (float)sin(2 * M_PI * 1000 * (double)i / rates[r]);
        struct au_test_wav header = {3, 1, 32, (uint32_t)rates[r], (uint32_t)(4 * n)};
        uint8_t *file = au_test_wav_make(&header, tone, 4 * n, &bytes);
        for (int finest = 0; finest < 2; finest++) {
            struct audio_decode_options options = {.finest_resampler = finest};
            struct recording got = must_decode(file, bytes, &options);
            assert_in_range(got.n, 15999, 16001);
            double worst = 0;
            for (size_t i = 1000; i < 15000; i++)
                worst = fmax(worst, fabs((double)got.samples[i] -
                                         0.5 * sin(2 * M_PI * 1000 * (double)i / 16000)));
            if (worst > 2e-5)
                fail_msg("%d Hz: off by %g", rates[r], worst);
            au_free(got.samples);
        }
        au_free(file);
        au_free(tone);
    }
}

static void resampled_samples_stay_in_bounds(void **state)
{
    float square[22050];
    size_t bytes;
    (void)state;
    for (int i = 0; i < 22050; i++)
        square[i] = i / 50 % 2 ? 1e9f : -1e9f;
    struct au_test_wav header = {3, 1, 32, 22050, sizeof square};
    uint8_t *file = au_test_wav_make(&header, square, sizeof square, &bytes);
    struct recording got = must_decode(file, bytes, NULL);
    for (size_t i = 0; i < got.n; i++)
        assert_true(got.samples[i] >= -8.0f && got.samples[i] <= 8.0f);
    au_free(got.samples);
    au_free(file);
}

/* A click in the first and in the last milliseconds is still there, where it was. */
static void nothing_is_lost_at_the_ends(void **state)
{
    int16_t *samples = au_calloc(48000, sizeof *samples);
    size_t bytes;
    (void)state;
    samples[30] = samples[48000 - 30] = 30000;
    uint8_t *file = au_test_wav_s16(samples, 48000, 1, 48000, &bytes);
    struct recording got = must_decode(file, bytes, NULL);
    assert_int_equal(got.n, 16000);
    for (size_t i = 0; i < got.n; i++)
        if (i != 10 && i != 16000 - 10)
            assert_true(fabsf(got.samples[i]) < got.samples[10]);
    assert_true(got.samples[10] > 0.2f && got.samples[16000 - 10] > 0.2f);
    au_free(got.samples);
    au_free(file);
    au_free(samples);
}

static void block_sizes_do_not_matter(void **state)
{
    static const size_t sizes[] = {1, 7, 4096, 30000};
    int16_t *noise = noise_s16(20000);
    size_t bytes;
    uint8_t *file = au_test_wav_s16(noise, 20000, 2, 44100, &bytes);
    struct recording whole = must_decode(file, bytes, NULL);
    float *block = au_alloc_array(30000, sizeof *block);
    (void)state;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        struct audio_reader *reader;
        struct au_fault fault = {0};
        size_t at = 0, n = 0;
        au_test_ok(audio_open_memory(file, bytes, "made.wav", NULL, &reader, &fault), &fault);
        for (int pass = 0; pass < 2; pass++) {
            for (at = 0;; at += n) {
                au_test_ok(audio_read(reader, block, sizes[s], &n, &fault), &fault);
                if (n == 0)
                    break;
                assert_in_range(n, 1, sizes[s]);
                assert_memory_equal(block, whole.samples + at, n * sizeof *block);
            }
            assert_int_equal(at, whole.n);
            au_test_ok(audio_rewind(reader, &fault), &fault);
        }
        audio_close(reader);
    }
    au_free(block);
    au_free(whole.samples);
    au_free(file);
    au_free(noise);
}

/* ---- Cuts and limits ------------------------------------------------------------------------- */

static void a_cut_is_a_slice(void **state)
{
    static const struct {
        double start, duration;
    } cuts[] = {{0, 1}, {0.5, 0.25}, {2.5, 1}, {3.999, 10}, {4, 1}, {9, 1}, {2.000125, 0.5}};
    static const int rates[] = {16000, 22050};
    (void)state;
    for (size_t r = 0; r < 2; r++) {
        size_t n = 4 * (size_t)rates[r], bytes;
        int16_t *noise = noise_s16(n);
        uint8_t *file = au_test_wav_s16(noise, n, 1, rates[r], &bytes);
        struct recording whole = must_decode(file, bytes, NULL);
        for (size_t c = 0; c < 2 * sizeof cuts / sizeof *cuts; c++) {
            struct audio_decode_options options = {.start_seconds = cuts[c / 2].start,
                                                   .duration_seconds = cuts[c / 2].duration,
                                                   .try_ffmpeg_only = c % 2};
            size_t begin = (size_t)(options.start_seconds * 16000 + 0.5);
            size_t length = (size_t)(options.duration_seconds * 16000 + 0.5);
            begin = begin < whole.n ? begin : whole.n;
            length = length < whole.n - begin ? length : whole.n - begin;
            struct recording got = must_decode(file, bytes, &options);
            assert_int_equal(got.n, length);
            if (length > 0)
                au_test_close(got.samples, whole.samples + begin, length, 1e-5);
            au_free(got.samples);
        }
        au_free(whole.samples);
        au_free(file);
        au_free(noise);
    }
}

static void times_out_of_range_are_refused(void **state)
{
    static const double bad[] = {-1, (double)NAN, (double)INFINITY, 1e10};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        must_fail((const uint8_t *)"x", 1, &(struct audio_decode_options){.start_seconds = bad[i]},
                  AURICLE_E_INVALID, "out of range");
        must_fail((const uint8_t *)"x", 1,
                  &(struct audio_decode_options){.duration_seconds = bad[i]}, AURICLE_E_INVALID,
                  "out of range");
        must_fail((const uint8_t *)"x", 1, &(struct audio_decode_options){.max_seconds = bad[i]},
                  AURICLE_E_INVALID, "out of range");
    }
}

static void limits_hold(void **state)
{
    size_t bytes;
    int16_t *noise = noise_s16(32000);
    uint8_t *file = au_test_wav_s16(noise, 32000, 1, 16000, &bytes);
    (void)state;
    must_fail(file, bytes, &(struct audio_decode_options){.max_seconds = 1.5}, AURICLE_E_LIMIT,
              "2.0 s long; at most 1.5 s");
    must_fail(file, bytes, &(struct audio_decode_options){.max_input_bytes = bytes - 1},
              AURICLE_E_LIMIT, "limit");
    must_fail(file, bytes, &(struct audio_decode_options){.max_decode_seconds = 1e-9},
              AURICLE_E_TIMEOUT, "longer than");
    /* A part may be taken from a recording that as a whole would be too long. */
    struct recording got = must_decode(
        file, bytes, &(struct audio_decode_options){.max_seconds = 1.5, .duration_seconds = 1});
    assert_int_equal(got.n, 16000);
    au_free(got.samples);
    got = must_decode(file, bytes,
                      &(struct audio_decode_options){.max_seconds = 2, .max_input_bytes = bytes});
    assert_int_equal(got.n, 32000);
    au_free(got.samples);
    au_free(file);
    au_free(noise);
}

/* What the caller does between two reads is not decoding. */
static void a_slow_caller_is_no_timeout(void **state)
{
    struct audio_decode_options options = {.max_decode_seconds = 0.5};
    struct audio_reader *reader;
    struct au_fault fault = {0};
    size_t bytes, n;
    float samples[100];
    int16_t *noise = noise_s16(3000);
    uint8_t *file = au_test_wav_s16(noise, 3000, 1, 16000, &bytes);
    (void)state;
    au_test_ok(audio_open_memory(file, bytes, "made.wav", &options, &reader, &fault), &fault);
    au_test_ok(audio_read(reader, samples, 100, &n, &fault), &fault);
    for (int64_t began_ns = au_now_ns(); au_now_ns() < began_ns + 600000000;)
        sched_yield();
    au_test_ok(audio_read(reader, samples, 100, &n, &fault), &fault);
    assert_int_equal(n, 100);
    audio_close(reader);
    au_free(file);
    au_free(noise);
}

/* 20 KB that claim to be 768 kHz, or 1 kHz and so 16 times their length: the limit on seconds
 * stops the second, and neither reserves what it claims.                                         */
static void forged_headers_reserve_nothing(void **state)
{
    struct rusage before, after;
    uint8_t data[20000] = {0};
    size_t bytes;
    (void)state;
    getrusage(RUSAGE_SELF, &before);
    struct au_test_wav ten_hours = {1, 1, 16, 16000, 36000u * 32000u};
    uint8_t *file = au_test_wav_make(&ten_hours, data, sizeof data, &bytes);
    struct recording got = must_decode(file, bytes, NULL);
    assert_int_equal(got.n, 10000);
    au_free(got.samples);
    au_free(file);
    struct au_test_wav slow = {1, 1, 8, 1000, sizeof data};
    file = au_test_wav_make(&slow, data, sizeof data, &bytes);
    must_fail(file, bytes, &(struct audio_decode_options){.max_seconds = 5}, AURICLE_E_LIMIT,
              "20.0 s long");
    au_free(file);
    getrusage(RUSAGE_SELF, &after);
    assert_in_range(after.ru_maxrss - before.ru_maxrss, 0, 16 << 10); /* KiB */
}

/* ---- Files and pipes ------------------------------------------------------------------------- */

static void paths_that_are_no_recordings(void **state)
{
    struct audio_reader *reader;
    struct au_fault fault = {0};
    char *folder = au_test_scratch_folder();
    (void)state;
    assert_int_equal(audio_open_path("/nowhere/at/all.wav", NULL, &reader, &fault),
                     AURICLE_E_NOT_FOUND);
    assert_non_null(strstr(fault.text, "/nowhere/at/all.wav"));
    assert_int_equal(audio_open_path(folder, NULL, &reader, &fault), AURICLE_E_INVALID);
    assert_non_null(strstr(fault.text, "directory"));
    char *empty = au_test_write(folder, "empty.wav", "", 0);
    assert_int_equal(audio_open_path(empty, NULL, &reader, &fault), AURICLE_E_NO_AUDIO);
    assert_non_null(strstr(fault.text, "empty.wav: empty"));
    assert_int_equal(audio_open_fd(-1, "closed", NULL, &reader, &fault), AURICLE_E_IO);
    au_free(empty);
    au_test_scratch_remove(folder);
}

static void a_descriptor_is_read_from_where_it_stands(void **state)
{
    size_t bytes;
    int16_t *noise = noise_s16(3000);
    uint8_t *file = au_test_wav_s16(noise, 3000, 1, 16000, &bytes);
    uint8_t *padded = au_calloc(1, 100 + bytes);
    char *folder = au_test_scratch_folder();
    struct audio_reader *reader;
    struct au_fault fault = {0};
    float *samples;
    size_t n;
    (void)state;
    memcpy(padded + 100, file, bytes);
    char *path = au_test_write(folder, "padded", padded, 100 + bytes);
    int fd = open(path, O_RDONLY);
    assert_int_equal(lseek(fd, 100, SEEK_SET), 100);
    au_test_ok(audio_open_fd(fd, "made.wav", NULL, &reader, &fault), &fault);
    au_test_ok(audio_read_all(reader, &samples, &n, &fault), &fault);
    assert_int_equal(n, 3000);
    assert_int_equal(lseek(fd, 0, SEEK_CUR), 100);
    audio_close(reader);
    close(fd);
    au_free(samples);
    au_free(path);
    au_test_scratch_remove(folder);
    au_free(padded);
    au_free(file);
    au_free(noise);
}

struct pipe_writer {
    const uint8_t *data;
    size_t bytes;
    int fd;
};

static void *write_pipe(void *context)
{
    struct pipe_writer *writer = context;
    size_t at = 0;
    while (at < writer->bytes) {
        ssize_t done = write(writer->fd, writer->data + at, writer->bytes - at);
        if (done <= 0)
            break;
        at += (size_t)done;
    }
    close(writer->fd);
    return NULL;
}

/* Through a pipe, small enough for memory and too large for it; and a second pass. No file with a
 * name appears where temporary files go.                                                         */
static void pipes_are_kept_without_a_named_file(void **state)
{
    static const size_t lengths[] = {5000, (20 << 20) / 2};
    char *folder = au_test_scratch_folder();
    (void)state;
    setenv("TMPDIR", folder, 1);
    for (size_t i = 0; i < 2; i++) {
        size_t bytes, n, again;
        int16_t *noise = noise_s16(lengths[i]);
        uint8_t *file = au_test_wav_s16(noise, lengths[i], 1, 16000, &bytes);
        struct audio_reader *reader;
        struct au_fault fault = {0};
        int ends[2];
        float *samples, *second;
        pthread_t thread;
        assert_int_equal(pipe(ends), 0);
        struct pipe_writer writer = {file, bytes, ends[1]};
        assert_int_equal(pthread_create(&thread, NULL, write_pipe, &writer), 0);
        au_test_ok(audio_open_fd(ends[0], "pipe", NULL, &reader, &fault), &fault);
        au_test_ok(audio_read_all(reader, &samples, &n, &fault), &fault);
        assert_int_equal(n, lengths[i]);
        for (size_t k = 0; k < n; k++)
            assert_true(samples[k] == (float)noise[k] / 32768.0f);
        assert_int_equal(rmdir(folder), 0); /* succeeds only if it is empty */
        assert_int_equal(mkdir(folder, 0700), 0);
        au_test_ok(audio_rewind(reader, &fault), &fault);
        au_test_ok(audio_read_all(reader, &second, &again, &fault), &fault);
        assert_int_equal(again, n);
        assert_memory_equal(second, samples, n * sizeof *samples);
        pthread_join(thread, NULL);
        audio_close(reader);
        close(ends[0]);
        au_free(samples);
        au_free(second);
        au_free(file);
        au_free(noise);
    }
    unsetenv("TMPDIR");
    au_test_scratch_remove(folder);
}

static void pipes_obey_the_limit_on_bytes(void **state)
{
    size_t bytes;
    int16_t *noise = noise_s16(20000);
    uint8_t *file = au_test_wav_s16(noise, 20000, 1, 16000, &bytes);
    struct audio_decode_options options = {.max_input_bytes = 30000};
    struct audio_reader *reader;
    struct au_fault fault = {0};
    int ends[2];
    (void)state;
    assert_int_equal(pipe(ends), 0);
    struct pipe_writer writer = {file, bytes, ends[1]};
    write_pipe(&writer); /* fits into the pipe's own buffer */
    assert_int_equal(audio_open_fd(ends[0], "pipe", &options, &reader, &fault), AURICLE_E_LIMIT);
    assert_non_null(strstr(fault.text, "30000 bytes"));
    close(ends[0]);
    au_free(file);
    au_free(noise);
}

/* Asked so often before it gives up. */
static bool ask_less(void *context)
{
    int *left = context;
    return (*left)-- > 0;
}

static void a_pipe_that_gives_nothing_is_given_up(void **state)
{
    int16_t *noise = noise_s16(20000);
    int ends[2], left = 0;
    struct audio_decode_options options = {.go_on = ask_less, .go_on_context = &left};
    struct audio_reader *reader = NULL;
    struct au_fault fault = {0};
    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(audio_open_fd(ends[0], "pipe", &options, &reader, &fault),
                     AURICLE_E_CANCELLED); /* while its kind is looked for */
    assert_null(reader);

    options.raw = AUDIO_RAW_S16LE;
    options.raw_rate_hz = 16000;
    options.raw_channels = 1;
    left = 2; /* what there is, and half a second of waiting */
    assert_int_equal(write(ends[1], noise, 40000), 40000);
    au_test_ok(audio_open_fd(ends[0], "pipe", &options, &reader, &fault), &fault);
    float block[4096];
    size_t n, all = 0;
    enum auricle_error error;
    while ((error = audio_read(reader, block, 4096, &n, &fault)) == AURICLE_OK && n)
        all += n;
    assert_int_equal(error, AURICLE_E_CANCELLED);
    assert_int_equal(all, 20000); /* the samples before that were good */
    assert_true(left < 0);
    audio_close(reader);
    close(ends[0]);
    close(ends[1]);
    au_free(noise);
}

/* ---- FFmpeg, formats made by hand ------------------------------------------------------------ */

/* AMR: two frames of speech with a second of "no data" between them, and one at the end. */
static void pauses_in_amr_keep_their_time(void **state)
{
    uint8_t file[6 + 2 * 32 + 60] = "#!AMR\n";
    size_t at = 6;
    (void)state;
    file[at] = 0x3c, at += 32; /* 12.2 kbit/s: 31 bytes of zeros */
    for (int i = 0; i < 50; i++)
        file[at++] = 0x7c; /* no data */
    file[at] = 0x3c, at += 32;
    for (int i = 0; i < 10; i++)
        file[at++] = 0x7c;
    assert_int_equal(at, sizeof file);
    struct recording got = must_decode(file, at, NULL);
    assert_in_range(got.n, 62 * 320 - 1, 62 * 320 + 1);
    assert_non_null(strstr(got.warning, "60 frames"));
    au_free(got.samples);
}

static void info_says_who_decoded_and_why(void **state)
{
    size_t bytes;
    int16_t *noise = noise_s16(16000);
    struct audio_reader *reader;
    struct au_fault fault = {0};
    (void)state;
    /* G.722 in WAV: libsndfile does not read it, FFmpeg does. */
    struct au_test_wav header = {0x028f, 1, 4, 16000, 8000};
    uint8_t *file = au_test_wav_make(&header, noise, 8000, &bytes);
    au_test_ok(audio_open_memory(file, bytes, "made.wav", NULL, &reader, &fault), &fault);
    const struct audio_info *info = audio_info(reader);
    assert_string_equal(info->decoder, "ffmpeg");
    assert_non_null(info->fallback);
    assert_string_equal(info->codec, "adpcm_g722");
    assert_int_equal(info->rate_hz, 16000);
    assert_true(info->decode_ms > 0);
    audio_close(reader);
    au_free(file);
    file = au_test_wav_s16(noise, 16000, 2, 8000, &bytes);
    au_test_ok(audio_open_memory(file, bytes, "made.wav", NULL, &reader, &fault), &fault);
    info = audio_info(reader);
    assert_string_equal(info->decoder, "libsndfile");
    assert_null(info->fallback);
    assert_int_equal(info->rate_hz, 8000);
    assert_int_equal(info->channels, 2);
    assert_true(fabs(info->seconds - 1.0) < 1e-9);
    audio_close(reader);
    au_free(file);
    au_free(noise);
}

/* ---- Lack of memory -------------------------------------------------------------------------- */

struct attempt {
    const uint8_t *file;
    size_t bytes;
    struct audio_decode_options options;
};

static enum auricle_error decode_once(void *context)
{
    const struct attempt *attempt = context;
    struct recording got;
    struct au_fault fault = {0};
    enum auricle_error error = decode_memory(attempt->file, attempt->bytes, &attempt->options, &got,
                                             &fault);
    assert_int_equal(error, fault.code);
    if (!error)
        au_free(got.samples);
    return error;
}

static void lack_of_memory_is_an_error(void **state)
{
    int16_t *noise = noise_s16(5000);
    struct attempt attempt = {0};
    uint8_t *file = au_test_wav_s16(noise, 5000, 1, 8000, &attempt.bytes);
    (void)state;
    attempt.file = file;
    assert_in_range(au_test_fail_each_allocation(decode_once, &attempt, 100), 5, 100);
    attempt.options.try_ffmpeg_only = true;
    assert_in_range(au_test_fail_each_allocation(decode_once, &attempt, 100), 5, 100);
    attempt.options = (struct audio_decode_options){
        .raw = AUDIO_RAW_S16LE, .raw_channels = 1, .raw_rate_hz = 8000};
    assert_in_range(au_test_fail_each_allocation(decode_once, &attempt, 100), 5, 100);
    au_free(file);
    au_free(noise);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(s16_samples_are_exact),
        cmocka_unit_test(channels_are_averaged),
        cmocka_unit_test(nan_and_infinity_become_silence),
        cmocka_unit_test(resampled_garbage_keeps_its_bound),
        cmocka_unit_test(raw_g711_equals_wav_g711),
        cmocka_unit_test(raw_types_are_read_as_told),
        cmocka_unit_test(another_rate_comes_when_asked_for),
        cmocka_unit_test(streamed_wav_goes_to_the_end),
        cmocka_unit_test(cut_wav_gives_what_is_there_and_warns),
        cmocka_unit_test(wav_without_samples_is_empty_not_broken),
        cmocka_unit_test(impossible_shapes_are_refused),
        cmocka_unit_test(other_files_are_named_for_what_they_are),
        cmocka_unit_test(damaged_files_do_no_harm),
        cmocka_unit_test(tones_keep_length_and_phase),
        cmocka_unit_test(resampled_samples_stay_in_bounds),
        cmocka_unit_test(nothing_is_lost_at_the_ends),
        cmocka_unit_test(block_sizes_do_not_matter),
        cmocka_unit_test(a_cut_is_a_slice),
        cmocka_unit_test(times_out_of_range_are_refused),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(a_slow_caller_is_no_timeout),
        cmocka_unit_test(forged_headers_reserve_nothing),
        cmocka_unit_test(paths_that_are_no_recordings),
        cmocka_unit_test(a_descriptor_is_read_from_where_it_stands),
        cmocka_unit_test(pipes_are_kept_without_a_named_file),
        cmocka_unit_test(pipes_obey_the_limit_on_bytes),
        cmocka_unit_test(a_pipe_that_gives_nothing_is_given_up),
        cmocka_unit_test(pauses_in_amr_keep_their_time),
        cmocka_unit_test(info_says_who_decoded_and_why),
        cmocka_unit_test(lack_of_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
