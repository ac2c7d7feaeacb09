/* Log-mel: any split gives the same bits, spans stand for the whole signal, ends are mirrored. */
#include <math.h>

#include "audio/mel.h"
#include "base/clock.h"
#include "support/support.h"

#define N_SAMPLES 40000 /* 250 frames */
#define N_FRAMES  (N_SAMPLES / AUDIO_MEL_HOP)

static struct audio_mel *make_mel(int n_bins)
{
    struct audio_mel *mel;
    au_test_ok(audio_mel_create(n_bins, kern_select(KERN_N_LEVELS), &mel), NULL);
    return mel;
}

static float *make_noise(size_t n)
{
    struct au_test_random random = {.state = 3};
    float *out = au_alloc_array(n, sizeof *out);
    assert_non_null(out);
    au_test_random_fill(&random, out, n);
    return out;
}

/* One frame in double, as the definition says. */
static void reference_frame(const struct audio_mel *mel, const float *samples, int64_t n,
                            int64_t frame, double *out)
{
    int n_bins = audio_mel_bins(mel);
    float *filters = au_alloc_array((size_t)n_bins * 201, sizeof *filters);
    double power[201];
    audio_mel_filters(mel, filters);
    for (int k = 0; k <= 200; k++) {
        double re = 0, im = 0;
        for (int64_t i = 0; i < 400; i++) {
            int64_t at = frame * 160 - 200 + i;
            at = at < 0 ? -at : at;
            at = at >= n ? 2 * (n - 1) - at : at;
            double x = (double)samples[at] * (0.5 - 0.5 * cos(2 * M_PI * (double)i / 400));
            re += x * cos(2 * M_PI * (double)(k * i % 400) / 400);
            im += x * sin(2 * M_PI * (double)(k * i % 400) / 400);
        }
        power[k] = re * re + im * im;
    }
    for (int m = 0; m < n_bins; m++) {
        double sum = 0;
        for (int k = 0; k <= 200; k++)
            sum += (double)filters[m * 201 + k] * power[k];
        out[m] = log10(fmax(sum, 1e-10));
    }
    au_free(filters);
}

static void frames_follow_the_definition(void **state)
{
    static const int64_t frames[] = {0, 1, 2, 100, N_FRAMES - 2, N_FRAMES - 1};
    struct audio_mel *mel = make_mel(80);
    float *noise = make_noise(N_SAMPLES);
    struct audio_span whole = {noise, 0, N_SAMPLES, N_SAMPLES};
    (void)state;
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        double expected[80];
        float got[80], max = -INFINITY, largest = -INFINITY;
        reference_frame(mel, noise, N_SAMPLES, frames[i], expected);
        audio_mel_log(mel, &whole, frames[i], frames[i] + 1, got, &max);
        for (int m = 0; m < 80; m++) {
            assert_true(fabs((double)got[m] - expected[m]) < 1e-5);
            largest = fmaxf(largest, got[m]);
        }
        assert_true(max == largest);
    }
    au_free(noise);
    audio_mel_destroy(mel);
}

static void any_split_gives_the_same_bits(void **state)
{
    static const int64_t steps[] = {1, 3, 16, 17, 100};
    struct audio_mel *mel = make_mel(128);
    float *noise = make_noise(N_SAMPLES), max = -INFINITY;
    float *whole = au_alloc_array(N_FRAMES * 128, sizeof *whole);
    float *parts = au_alloc_array(N_FRAMES * 128, sizeof *parts);
    struct audio_span signal = {noise, 0, N_SAMPLES, N_SAMPLES};
    (void)state;
    audio_mel_log(mel, &signal, 0, N_FRAMES, whole, &max);
    for (size_t s = 0; s < sizeof steps / sizeof *steps; s++) {
        float part_max = -INFINITY;
        for (int64_t f = 0; f < N_FRAMES; f += steps[s]) {
            int64_t end = f + steps[s] < N_FRAMES ? f + steps[s] : N_FRAMES;
            /* Only the samples these frames see are in memory. */
            int64_t first = f * 160 - 200 > 0 ? f * 160 - 200 : 0;
            int64_t last = end * 160 + 200 < N_SAMPLES ? end * 160 + 200 : N_SAMPLES;
            size_t count = (size_t)(last - first);
            float *copy = au_alloc_array(count, sizeof *copy);
            memcpy(copy, noise + first, count * sizeof *copy);
            struct audio_span part = {copy, first, count, N_SAMPLES};
            audio_mel_log(mel, &part, f, end, parts + f * 128, &part_max);
            au_free(copy);
        }
        assert_memory_equal(parts, whole, N_FRAMES * 128 * sizeof *whole);
        assert_true(part_max == max);
    }
    au_free(whole);
    au_free(parts);
    au_free(noise);
    audio_mel_destroy(mel);
}

/* A silent tail that is not stored equals one that is. */
static void silence_need_not_be_stored(void **state)
{
    struct audio_mel *mel = make_mel(80);
    float *noise = make_noise(N_SAMPLES), *padded = au_calloc(2 * N_SAMPLES, sizeof *padded);
    float *stored = au_alloc_array(2 * N_FRAMES * 80, sizeof *stored);
    float *implied = au_alloc_array(2 * N_FRAMES * 80, sizeof *implied);
    float max_stored = -INFINITY, max_implied = -INFINITY;
    (void)state;
    memcpy(padded, noise, (N_SAMPLES - 77) * sizeof *padded);
    audio_mel_log(mel, &(struct audio_span){padded, 0, 2 * N_SAMPLES, 2 * N_SAMPLES}, 0,
                  2 * N_FRAMES, stored, &max_stored);
    audio_mel_log(mel, &(struct audio_span){noise, 0, N_SAMPLES - 77, 2 * N_SAMPLES}, 0,
                  2 * N_FRAMES, implied, &max_implied);
    assert_memory_equal(stored, implied, 2 * N_FRAMES * 80 * sizeof *stored);
    assert_true(max_stored == max_implied);
    au_free(stored);
    au_free(implied);
    au_free(padded);
    au_free(noise);
    audio_mel_destroy(mel);
}

static void short_and_silent_windows(void **state)
{
    static const size_t lengths[] = {0, 1, 2, 159, 201, 800};
    struct audio_mel *mel = make_mel(80);
    float *out = au_alloc_array(3000 * 80, sizeof *out);
    float *noise = make_noise(AUDIO_MEL_WINDOW_SAMPLES + 100);
    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        audio_mel_window(mel, noise, lengths[i], out);
        for (size_t k = 0; k < 3000 * 80; k++)
            assert_true(isfinite(out[k]) && out[k] >= -1.5f && out[k] < 3);
    }
    memset(noise, 0, 16000 * sizeof *noise);
    audio_mel_window(mel, noise, 16000, out);
    for (size_t k = 0; k < 3000 * 80; k++)
        assert_true(out[k] == -1.5f); /* (log10(1e-10) + 4) / 4 */
    /* What is past 30 s does not count. */
    float *cut = au_alloc_array(3000 * 80, sizeof *cut);
    audio_mel_window(mel, noise, AUDIO_MEL_WINDOW_SAMPLES, cut);
    audio_mel_window(mel, noise, AUDIO_MEL_WINDOW_SAMPLES + 100, out);
    assert_memory_equal(out, cut, 3000 * 80 * sizeof *out);
    au_free(cut);
    au_free(noise);
    au_free(out);
    audio_mel_destroy(mel);
}

/* Signals shorter than the margin are mirrored again and again; frames past them still exist. */
static void mirrors_of_very_short_signals(void **state)
{
    struct audio_mel *mel = make_mel(80);
    float samples[3] = {0.5f, -0.25f, 0.125f}, unfolded[400], a[80], b[80], max = -INFINITY;
    static const int fold[4] = {0, 1, 2, 1};
    (void)state;
    for (int i = 0; i < 400; i++)
        unfolded[i] = samples[fold[i % 4]]; /* position i - 200, and 200 is a multiple of 4 */
    audio_mel_log(mel, &(struct audio_span){samples, 0, 3, 3}, 0, 1, a, &max);
    audio_mel_log(mel, &(struct audio_span){unfolded, 1400, 400, 1 << 20}, 10, 11, b, &max);
    assert_memory_equal(a, b, sizeof a);
    audio_mel_log(mel, &(struct audio_span){samples, 0, 1, 1}, 0, 1, a, &max);
    audio_mel_log(mel, &(struct audio_span){samples, 0, 0, 0}, 0, 1, a, &max);
    for (int m = 0; m < 80; m++)
        assert_true(fabsf(a[m] + 10) < 1e-5f);
    audio_mel_destroy(mel);
}

static void normalising_clips_at_eight_below(void **state)
{
    float x[] = {-10, -7.5f, 0, 1};
    const float expected[] = {-0.75f, -0.75f, 1, 1.25f};
    (void)state;
    audio_mel_normalise(x, 4, 1);
    assert_memory_equal(x, expected, sizeof x);
}

static enum auricle_error create_once(void *context)
{
    struct audio_mel *mel = NULL;
    (void)context;
    enum auricle_error error = audio_mel_create(80, kern_select(KERN_GENERIC), &mel);
    if (!error)
        audio_mel_destroy(mel);
    return error;
}

static void any_number_of_bins(void **state)
{
    struct audio_mel *mel;
    (void)state;
    assert_int_equal(audio_mel_create(0, kern_select(KERN_GENERIC), &mel), AURICLE_E_INVALID);
    assert_int_equal(audio_mel_create(201, kern_select(KERN_GENERIC), &mel), AURICLE_E_INVALID);
    for (int n_bins = 1; n_bins <= 200; n_bins++) {
        float *filters = au_alloc_array((size_t)n_bins * 201, sizeof *filters);
        mel = make_mel(n_bins);
        assert_int_equal(audio_mel_bins(mel), n_bins);
        audio_mel_filters(mel, filters);
        for (int i = 0; i < n_bins * 201; i++)
            assert_true(filters[i] >= 0.0f && filters[i] < 0.1f);
        au_free(filters);
        audio_mel_destroy(mel);
    }
    audio_mel_destroy(NULL);
    assert_int_equal(au_test_fail_each_allocation(create_once, NULL, 10), 1);
}

static void a_window_allocates_nothing(void **state)
{
    struct audio_mel *mel = make_mel(80);
    float *noise = make_noise(AUDIO_MEL_WINDOW_SAMPLES);
    float *out = au_alloc_array(3000 * 80, sizeof *out);
    uint64_t allocations = au_mem_count();
    int64_t best_ns = INT64_MAX;
    (void)state;
    for (int i = 0; i < 5; i++) {
        int64_t began_ns = au_now_ns();
        audio_mel_window(mel, noise, AUDIO_MEL_WINDOW_SAMPLES, out);
        int64_t took_ns = au_now_ns() - began_ns;
        best_ns = took_ns < best_ns ? took_ns : best_ns;
    }
    printf("mel of 30 s: %.2f ms\n", (double)best_ns * 1e-6);
    assert_int_equal(au_mem_count(), allocations);
    au_free(out);
    au_free(noise);
    audio_mel_destroy(mel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_follow_the_definition),
        cmocka_unit_test(any_split_gives_the_same_bits),
        cmocka_unit_test(silence_need_not_be_stored),
        cmocka_unit_test(short_and_silent_windows),
        cmocka_unit_test(mirrors_of_very_short_signals),
        cmocka_unit_test(normalising_clips_at_eight_below),
        cmocka_unit_test(any_number_of_bins),
        cmocka_unit_test(a_window_allocates_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
