/* Decoding and log-mel against the reference fixtures.
 *
 * audio/expected_decode.json says what ffmpeg made of every file: how many 16 kHz samples, and how
 * they line up with the master recording clip_s16.wav. Lossless recordings at 16 kHz must give the
 * master's samples exactly; the others must correlate with it as well as ffmpeg's did.          */
#include <math.h>
#include <stdlib.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_recording_decodes_as_expected),
        cmocka_unit_test(every_recording_decodes_with_ffmpeg_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
