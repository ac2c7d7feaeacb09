/* Decoding and log-mel against the reference fixtures.
 *
 * audio/expected_decode.json says what ffmpeg made of every file: how many 16 kHz samples, and how
 * they line up with the master recording clip_s16.wav. Lossless recordings at 16 kHz must give the
 * master's samples exactly; the others must correlate with it as well as ffmpeg's did.          */
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "audio/decode.h"
#include "audio/mel.h"
#include "base/json.h"
#include "kern/kern.h"
#include "support/support.h"

#define MAX_LAG_SLACK 32

struct recording {
    float *samples;
    size_t n;
};

static struct recording read_fixture(const char *name, const struct audio_decode_options *options)
{
    struct recording out;
    struct audio_reader *reader;
    struct au_fault fault = {0};
    char *path = au_test_fixture(name);
    au_test_ok(audio_open_path(path, options, &reader, &fault), &fault);
    au_test_ok(audio_read_all(reader, &out.samples, &out.n, &fault), &fault);
    audio_close(reader);
    au_free(path);
    return out;
}

/* ---- Every file of audio/ -------------------------------------------------------------------- */

/* Correlation of a[i + lag] with b[i] over their overlap. */
static double correlation(const struct recording *a, const struct recording *b, long lag)
{
    double ab = 0, aa = 0, bb = 0;
    for (long i = lag < 0 ? -lag : 0; i < (long)b->n && i + lag < (long)a->n; i++) {
        double x = (double)a->samples[i + lag], y = (double)b->samples[i];
        ab += x * y, aa += x * x, bb += y * y;
    }
    return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 0;
}

static double best_correlation(const struct recording *a, const struct recording *b, long lag)
{
    double best = -1;
    for (long l = lag - MAX_LAG_SLACK; l <= lag + MAX_LAG_SLACK; l++)
        best = fmax(best, correlation(a, b, l));
    return best;
}

/* Samples of one packet at 16 kHz: how far a lossy recording's length may be off. */
static size_t frame_of(const char *codec)
{
    if (strcmp(codec, "mp3") == 0)
        return 1152;
    if (strcmp(codec, "aac") == 0)
        return 1024;
    if (strcmp(codec, "wmav2") == 0)
        return 2048;
    return 320; /* 20 ms: Opus, Speex, AMR, G.722 */
}

static bool is_lossless(const char *codec)
{
    return strncmp(codec, "pcm_s", 5) == 0 || strncmp(codec, "pcm_f", 5) == 0 ||
           strcmp(codec, "flac") == 0 || strcmp(codec, "alac") == 0;
}

static void check_file(const char *name, const struct au_json *entry,
                       const struct recording *master, bool ffmpeg_only)
{
    char path[256];
    struct recording got = {0};
    struct audio_reader *reader = NULL;
    struct au_fault fault = {0};
    const struct audio_decode_options options = {.try_ffmpeg_only = ffmpeg_only};
    const struct au_json *probe = au_json_get(entry, "probe");
    const char *codec = au_json_string(au_json_get(probe, "codec"), "");
    size_t want = (size_t)au_json_int(au_json_get(entry, "ffmpeg_samples_16k_mono"), 0);
    if (strcmp(name, "clip_dtx.amr") == 0) /* comfort noise becomes silence: all 10 s stay */
        want = (size_t)au_json_int(au_json_get(entry, "sox_samples_16k_mono"), 0);

    snprintf(path, sizeof path, "audio/%s", name);
    char *file = au_test_fixture(path);
    enum auricle_error error = audio_open_path(file, &options, &reader, &fault);
    if (!error)
        error = audio_read_all(reader, &got.samples, &got.n, &fault);
    printf("%-30s %s %s %s %zu of %zu%s%s%s%s\n", name, reader ? audio_info(reader)->decoder : "-",
           reader ? audio_info(reader)->container : "", reader ? audio_info(reader)->codec : "",
           got.n, want, error ? " error: " : "", error ? fault.text : "",
           reader && audio_warning(reader) ? " warning: " : "",
           reader && audio_warning(reader) ? audio_warning(reader) : "");
    if (au_json_int(au_json_get(entry, "ffmpeg_exit"), 0) != 0) {
        assert_int_not_equal(error, AURICLE_OK);
        assert_non_null(strstr(fault.text, name));
    } else {
        au_test_ok(error, &fault);
        bool same_rate = au_json_int(au_json_get(probe, "sample_rate"), 0) == AUDIO_RATE_HZ;
        size_t slack = is_lossless(codec) ? !same_rate : frame_of(codec);
        assert_in_range(got.n, want > slack ? want - slack : 0, want + slack);
        double expected = au_json_number(au_json_get(entry, "corr_vs_clip_s16"), -1);
        long lag = (long)au_json_int(au_json_get(entry, "lag_vs_clip_s16"), 0);
        if (expected == 1.0 && is_lossless(codec) && same_rate)
            assert_memory_equal(got.samples, master->samples, got.n * sizeof(float));
        else if (expected > 0.5 && best_correlation(&got, master, lag) < expected - 0.01)
            fail_msg("%s: correlation %.4f at lag %ld, expected %.4f", name,
                     best_correlation(&got, master, lag), lag, expected);
    }
    audio_close(reader);
    au_free(got.samples);
    au_free(file);
}

static void check_all(bool ffmpeg_only)
{
    struct au_json *expected;
    struct au_fault fault = {0};
    char *path = au_test_fixture("audio/expected_decode.json");
    au_test_ok(au_json_read(path, 1 << 20, &expected, &fault), &fault);
    struct recording master = read_fixture("audio/clip_s16.wav", NULL);
    const struct au_json *files = au_json_get(expected, "files");
    assert_in_range(au_json_size(files), 50, 100);
    for (size_t i = 0; i < au_json_size(files); i++) {
        const char *name;
        const struct au_json *entry = au_json_member(files, i, &name);
        check_file(name, entry, &master, ffmpeg_only);
    }
    au_free(master.samples);
    au_json_free(expected);
    au_free(path);
}

static void every_recording_decodes_as_expected(void **state)
{
    (void)state;
    check_all(false);
}

static void every_recording_decodes_with_ffmpeg_alone(void **state)
{
    (void)state;
    check_all(true);
}

static const char *const broken_files[] = {
    "audio/bad_truncated.flac",        "audio/bad_truncated.mp3",      "audio/bad_truncated.webm",
    "audio/bad_random_bytes.wav",      "audio/bad_odd_bytes.wav",      "audio/bad_zero_rate.wav",
    "audio/bad_header_4gb.wav",        "audio/bad_header_only.wav",    "audio/clip_dtx.amr",
    "audio/bad_truncated_no_moov.m4a", "audio/bad_data_size_zero.wav",
};

/* The libraries underneath like to talk; the log of a server is not theirs. */
static void decoding_prints_nothing(void **state)
{
    char *folder = au_test_scratch_folder();
    char *path = au_test_write(folder, "output", "", 0);
    size_t bytes;
    (void)state;
    fflush(NULL);
    int saved_out = dup(STDOUT_FILENO), saved_err = dup(STDERR_FILENO), file = open(path, O_WRONLY);
    dup2(file, STDOUT_FILENO);
    dup2(file, STDERR_FILENO);
    for (size_t i = 0; i < sizeof broken_files / sizeof *broken_files; i++) {
        struct audio_reader *reader;
        float *samples;
        size_t n;
        char *name = au_test_fixture(broken_files[i]);
        if (audio_open_path(name, NULL, &reader, NULL) == AURICLE_OK) {
            if (audio_read_all(reader, &samples, &n, NULL) == AURICLE_OK)
                au_free(samples);
            audio_close(reader);
        }
        au_free(name);
    }
    fflush(NULL);
    dup2(saved_out, STDOUT_FILENO);
    dup2(saved_err, STDERR_FILENO);
    close(file), close(saved_out), close(saved_err);
    char *output = au_test_read(path, &bytes);
    assert_string_equal(output, "");
    au_free(output);
    au_free(path);
    au_test_scratch_remove(folder);
}

/* ---- Resampling ------------------------------------------------------------------------------ */

#define HALF_TAPS 400

/* Low-pass at cutoff (of 16 kHz), windowed sinc of 801 taps, away from the ends. */
static void low_pass(const float *in, size_t n, double cutoff_hz, double *out)
{
    double taps[2 * HALF_TAPS + 1];
    for (int k = -HALF_TAPS; k <= HALF_TAPS; k++) {
        double x = 2 * M_PI * cutoff_hz / AUDIO_RATE_HZ * k;
        double sinc = k == 0 ? 1 : sin(x) / x;
        taps[k + HALF_TAPS] = 2 * cutoff_hz / AUDIO_RATE_HZ * sinc *
                              (0.5 + 0.5 * cos(M_PI * k / (HALF_TAPS + 1.0)));
    }
    for (size_t i = 0; i + 2 * HALF_TAPS < n; i++) {
        out[i] = 0;
        for (int k = 0; k <= 2 * HALF_TAPS; k++)
            out[i] += taps[k] * (double)in[i + (size_t)k];
    }
}

static double snr_db(const struct recording *got, const struct recording *expected,
                     double cutoff_hz)
{
    size_t n = got->n - 2 * HALF_TAPS;
    double *a = au_calloc(got->n, sizeof *a), *b = au_calloc(got->n, sizeof *b);
    double signal = 0, noise = 0;
    low_pass(got->samples, got->n, cutoff_hz, a);
    low_pass(expected->samples, got->n, cutoff_hz, b);
    for (size_t i = 0; i < n; i++) {
        signal += b[i] * b[i];
        noise += (a[i] - b[i]) * (a[i] - b[i]);
    }
    au_free(a);
    au_free(b);
    return 10 * log10(signal / noise);
}

static void check_resampled(const char *input, const char *stem, double nyquist_hz, bool finest)
{
    char name[128];
    const struct audio_decode_options options = {.finest_resampler = finest};
    struct recording got = read_fixture(input, &options);
    snprintf(name, sizeof name, "resample/%s_to16k_swr.flac", stem);
    struct recording expected = read_fixture(name, NULL);
    assert_int_equal(got.n, expected.n);
    double snr = snr_db(&got, &expected, 0.9 * nyquist_hz);
    snprintf(name, sizeof name, "resample/%s_mel_swr_first1100.npy", stem);
    struct au_test_npy mel_expected = au_test_npy_fixture(name);
    struct audio_mel *mel;
    float *out = au_alloc_array(3000 * 80, sizeof *out);
    au_test_ok(audio_mel_create(80, kern_select(KERN_N_LEVELS), &mel), NULL);
    audio_mel_window(mel, got.samples, got.n, out);
    double sum = 0;
    for (size_t t = 0; t < 1100; t++)
        for (size_t b = 0; b < 40; b++)
            sum += fabs((double)out[t * 80 + b] - (double)mel_expected.f32[b * 1100 + t]);
    printf("%s: %.1f dB, mel off by %.2g\n", input, snr, sum / (1100 * 40));
    assert_true(snr > 45);
    assert_true(sum / (1100 * 40) < 1e-3);
    audio_mel_destroy(mel);
    au_free(out);
    au_test_npy_free(&mel_expected);
    au_free(expected.samples);
    au_free(got.samples);
}

static void resampling_agrees_with_the_reference(void **state)
{
    (void)state;
    for (int finest = 0; finest < 2; finest++) {
        check_resampled("resample/jfk_8k.wav", "jfk_8k", 4000, finest);
        check_resampled("resample/jfk_22050.flac", "jfk_22050", 8000, finest);
        check_resampled("resample/jfk_48k_stereo.flac", "jfk_48k_stereo", 8000, finest);
    }
}

/* ---- Log-mel --------------------------------------------------------------------------------- */

static void filters_equal_the_published_ones(void **state)
{
    static const struct {
        int n_bins;
        const char *name;
    } sets[] = {{80, "mel/mel_filters_80.npy"}, {128, "mel/mel_filters_128.npy"}};
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct au_test_npy expected = au_test_npy_fixture(sets[i].name);
        float *got = au_alloc_array(expected.n, sizeof *got);
        struct audio_mel *mel;
        au_test_ok(audio_mel_create(sets[i].n_bins, kern_select(KERN_GENERIC), &mel), NULL);
        audio_mel_filters(mel, got);
        assert_int_equal(expected.n, (size_t)sets[i].n_bins * 201);
        for (size_t k = 0; k < expected.n; k++)
            assert_true(got[k] == expected.f32[k]);
        audio_mel_destroy(mel);
        au_free(got);
        au_test_npy_free(&expected);
    }
}

/* expected [bins, frames], got [3000, bins]. */
static void check_mel(int n_bins, const char *name, enum kern_level level)
{
    struct au_test_npy expected = au_test_npy_fixture(name);
    struct recording jfk = read_fixture("audio/jfk_16k.wav", NULL);
    size_t bins = (size_t)n_bins, frames = expected.shape[1];
    float *window = au_alloc_array(3000 * bins, sizeof *window);
    float *got = au_alloc_array(expected.n, sizeof *got);
    struct audio_mel *mel;
    au_test_ok(audio_mel_create(n_bins, kern_select(level), &mel), NULL);
    audio_mel_window(mel, jfk.samples, jfk.n, window);
    for (size_t b = 0; b < bins; b++)
        for (size_t t = 0; t < frames; t++)
            got[b * frames + t] = window[t * bins + b];
    struct au_test_diff diff = au_test_compare(got, expected.f32, expected.n);
    printf("%s, %s: max %.2g, mean %.2g\n", name, kern_level_name(level), diff.max_abs,
           diff.mean_abs);
    assert_true(diff.max_abs < 1e-4);
    assert_true(diff.mean_abs < 1e-6);
    audio_mel_destroy(mel);
    au_free(window);
    au_free(got);
    au_free(jfk.samples);
    au_test_npy_free(&expected);
}

static void mel_equals_the_reference(void **state)
{
    (void)state;
    for (enum kern_level level = KERN_GENERIC; level < KERN_N_LEVELS; level++) {
        if (!kern_level_usable(level))
            continue;
        check_mel(80, "whisper-micro/ref/mel.npy", level);
        check_mel(128, "whisper-micro-v3/ref/mel_first1200.npy", level);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_recording_decodes_as_expected),
        cmocka_unit_test(every_recording_decodes_with_ffmpeg_alone),
        cmocka_unit_test(decoding_prints_nothing),
        cmocka_unit_test(resampling_agrees_with_the_reference),
        cmocka_unit_test(filters_equal_the_published_ones),
        cmocka_unit_test(mel_equals_the_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
