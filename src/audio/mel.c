/* Log-mel spectrogram. See mel.h.
 *
 * Work goes in tiles of KERN_FFT_TILE frames: the kernel leaves a tile's power spectra with frames
 * side by side, so that the filters and the logarithm are straight loops over lanes. A filter is a
 * short run of bins (each bin belongs to at most two filters), stored as first bin, count and
 * weights. Compiled once for the baseline: the FFT is the only part worth an instruction set.   */
#include "audio/mel.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

#define N_FREQUENCIES 201
#define TILE          KERN_FFT_TILE
#define TILE_SAMPLES  ((TILE - 1) * AUDIO_MEL_HOP + AUDIO_MEL_FFT)
#define MARGIN        (AUDIO_MEL_FFT / 2)
#define LOG_FLOOR     1e-10f

struct mel_filter {
    int first_bin, n_bins;
    int weights; /* index into audio_mel.weights */
};

struct audio_mel {
    int n_bins;
    void (*power_spectrum)(const struct kern_fft400 *plan, const float *x, size_t hop,
                           size_t n_frames, const float *window, float *power);
    struct kern_fft400 fft;
    float window[AUDIO_MEL_FFT];
    struct mel_filter filters[AUDIO_MEL_MAX_BINS];
    float weights[2 * N_FREQUENCIES];
};

/* ---- Filters --------------------------------------------------------------------------------- */

/* Slaney's mel scale (Auditory Toolbox, 1998): linear to 1000 Hz, then 27 steps per factor 6.4. */
static double hz_from_mel(double mel)
{
    const double hz_per_mel = 200.0 / 3, break_mel = 15.0;
    if (mel < break_mel)
        return mel * hz_per_mel;
    return 1000.0 * exp((mel - break_mel) * (log(6.4) / 27.0));
}

static double mel_from_hz(double hz)
{
    if (hz < 1000.0)
        return hz / (200.0 / 3);
    return 15.0 + log(hz / 1000.0) / (log(6.4) / 27.0);
}

/* Edge i of the n + 2 edges, evenly spaced in mel from 0 to 8000 Hz. */
static double filter_edge_hz(int i, int n)
{
    double last = mel_from_hz(8000.0);
    return hz_from_mel(i == n + 1 ? last : i * (last / (n + 1)));
}

/* Triangle i of n over the bins 0 to 8000 Hz, of unit area per Hz. Intermediate roundings to f32
 * are those of the published filters, so that the values agree exactly.                          */
static float filter_weight(int i, int n, int bin)
{
    double left = filter_edge_hz(i, n), centre = filter_edge_hz(i + 1, n);
    double right = filter_edge_hz(i + 2, n), hz = bin * 40.0;
    double rising = (hz - left) / (centre - left), falling = (right - hz) / (right - centre);
    double triangle = fmax(0.0, fmin(rising, falling));
    return (float)((double)(float)triangle * (2.0 / (right - left)));
}

static void make_filters(struct audio_mel *mel)
{
    int used = 0;
    for (int i = 0; i < mel->n_bins; i++) {
        struct mel_filter *filter = &mel->filters[i];
        filter->weights = used;
        for (int bin = 0; bin < N_FREQUENCIES; bin++) {
            float weight = filter_weight(i, mel->n_bins, bin);
            if (weight <= 0.0f)
                continue;
            if (filter->n_bins == 0)
                filter->first_bin = bin;
            filter->n_bins++;
            mel->weights[used++] = weight; /* each bin lies in at most two triangles */
        }
    }
}

enum auricle_error audio_mel_create(int n_bins, const struct kern_ops *ops, struct audio_mel **out)
{
    if (n_bins < 1 || n_bins > AUDIO_MEL_MAX_BINS)
        return AURICLE_E_INVALID;
    struct audio_mel *mel = au_alloc_aligned(sizeof *mel);
    if (!mel)
        return AURICLE_E_NOMEM;
    memset(mel, 0, sizeof *mel);
    mel->n_bins = n_bins;
    mel->power_spectrum = ops->power_spectrum;
    kern_fft400_init(&mel->fft);
    for (int i = 0; i < AUDIO_MEL_FFT; i++)
        mel->window[i] = (float)(0.5 - 0.5 * cos(6.283185307179586476925 * i / AUDIO_MEL_FFT));
    make_filters(mel);
    *out = mel;
    return AURICLE_OK;
}

void audio_mel_destroy(struct audio_mel *mel)
{
    au_free(mel);
}

int audio_mel_bins(const struct audio_mel *mel)
{
    return mel->n_bins;
}

void audio_mel_filters(const struct audio_mel *mel, float *out)
{
    memset(out, 0, sizeof *out * (size_t)mel->n_bins * N_FREQUENCIES);
    for (int i = 0; i < mel->n_bins; i++) {
        const struct mel_filter *filter = &mel->filters[i];
        memcpy(out + (size_t)i * N_FREQUENCIES + filter->first_bin, mel->weights + filter->weights,
               sizeof *out * (size_t)filter->n_bins);
    }
}

/* ---- Logarithm ------------------------------------------------------------------------------- */

typedef float lanes __attribute__((vector_size(16)));
typedef int32_t int_lanes __attribute__((vector_size(16)));

#define N_LANE_GROUPS (TILE / 4)

/* log10 of positive normal numbers, within 1e-7 relative: x = 2^e m with m near 1, the polynomial
 * for log(m) is that of Cephes (Moshier 1992); constants are split so that e * log10(2) is exact to
 * more than a float.                                                                            */
static inline lanes log10_lanes(lanes x)
{
    const float log10e_high = 4.3359375e-1f, log10e_low = 7.00731903251827651e-4f;
    const float log10_2_high = 3.0078125e-1f, log10_2_low = 2.48745663981195214e-4f;
    const int32_t sqrt_half_bits = 0x3f3504f3;
    int_lanes bits = (int_lanes)x;
    int_lanes exponent = (bits - sqrt_half_bits) >> 23;
    lanes f = (lanes)(bits - (exponent << 23)) - 1.0f; /* m - 1, m in [sqrt(1/2), sqrt(2)) */
    lanes e = __builtin_convertvector(exponent, lanes);
    lanes p = 7.0376836292e-2f * f - 1.1514610310e-1f;
    p = p * f + 1.1676998740e-1f;
    p = p * f - 1.2420140846e-1f;
    p = p * f + 1.4249322787e-1f;
    p = p * f - 1.6668057665e-1f;
    p = p * f + 2.0000714765e-1f;
    p = p * f - 2.4999993993e-1f;
    p = p * f + 3.3333331174e-1f;
    lanes square = f * f;
    lanes rest = square * f * p - 0.5f * square; /* log(m) - f */
    return (f + rest) * log10e_low + rest * log10e_high + f * log10e_high + e * log10_2_low +
           e * log10_2_high;
}

/* One filter over a tile: logs[f] = log10(max(sum_k weight[k] * power[k, f], 1e-10)). */
static void filter_tile(const float *weights, int n_bins, const float *power, float logs[TILE])
{
    lanes sum[N_LANE_GROUPS] = {{0}};
    for (int k = 0; k < n_bins; k++) {
        const lanes *row = (const lanes *)(const void *)(power + (size_t)k * TILE);
        for (int g = 0; g < N_LANE_GROUPS; g++)
            sum[g] += weights[k] * row[g];
    }
    for (int g = 0; g < N_LANE_GROUPS; g++) {
        lanes floored;
        for (int i = 0; i < 4; i++)
            floored[i] = sum[g][i] > LOG_FLOOR ? sum[g][i] : LOG_FLOOR;
        floored = log10_lanes(floored);
        memcpy(logs + 4 * g, &floored, sizeof floored);
    }
}

/* ---- Frames ---------------------------------------------------------------------------------- */

/* Mirror a position at the signal's ends without repeating the end sample, as often as needed. */
static int64_t mirrored(int64_t position, int64_t total)
{
    if (total <= 1)
        return 0;
    while (position < 0 || position >= total)
        position = position < 0 ? -position : 2 * (total - 1) - position;
    return position;
}

static void gather(const struct audio_span *signal, int64_t begin, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++) {
        int64_t position = begin + (int64_t)i;
        if (position < 0 || position >= signal->total)
            position = mirrored(position, signal->total);
        int64_t index = position - signal->first;
        out[i] = index >= 0 && index < (int64_t)signal->count ? signal->samples[index] : 0.0f;
    }
}

/* Samples [begin, begin + n): in place when they are in memory, else assembled in scratch. NULL
 * when all of them are silence past the samples in memory.                                      */
static const float *tile_samples(const struct audio_span *signal, int64_t begin, size_t n,
                                 float *scratch)
{
    int64_t end = begin + (int64_t)n, have = signal->first + (int64_t)signal->count;
    if (begin >= signal->first && end <= have && end <= signal->total)
        return signal->samples + (begin - signal->first);
    /* Even mirrored at the end, these positions come from the silent tail. */
    if (begin >= have && end <= signal->total)
        return NULL;
    gather(signal, begin, n, scratch);
    return scratch;
}

static void mel_tile(const struct audio_mel *mel, const float *samples, size_t n_frames, float *out,
                     float *max)
{
    float power[N_FREQUENCIES * TILE] __attribute__((aligned(64)));
    if (samples)
        mel->power_spectrum(&mel->fft, samples, AUDIO_MEL_HOP, n_frames, mel->window, power);
    else
        memset(power, 0, sizeof power);
    size_t n_bins = (size_t)mel->n_bins;
    for (size_t m = 0; m < n_bins; m++) {
        const struct mel_filter *filter = &mel->filters[m];
        float logs[TILE];
        filter_tile(mel->weights + filter->weights, filter->n_bins,
                    power + (size_t)filter->first_bin * TILE, logs);
        for (size_t f = 0; f < n_frames; f++) {
            out[f * n_bins + m] = logs[f];
            *max = logs[f] > *max ? logs[f] : *max;
        }
    }
}

void audio_mel_log(const struct audio_mel *mel, const struct audio_span *signal, int64_t f0,
                   int64_t f1, float *out, float *max)
{
    float scratch[TILE_SAMPLES];
    for (int64_t f = f0; f < f1; f += TILE) {
        size_t n_frames = (size_t)(f1 - f < TILE ? f1 - f : TILE);
        size_t n_samples = (n_frames - 1) * AUDIO_MEL_HOP + AUDIO_MEL_FFT;
        const float *samples = tile_samples(signal, f * AUDIO_MEL_HOP - MARGIN, n_samples, scratch);
        mel_tile(mel, samples, n_frames, out + (size_t)(f - f0) * (size_t)mel->n_bins, max);
    }
}

void audio_mel_normalise(float *x, size_t n, float max)
{
    float floor = max - 8.0f;
    for (size_t i = 0; i < n; i++)
        x[i] = ((x[i] > floor ? x[i] : floor) + 4.0f) * 0.25f;
}

void audio_mel_window(const struct audio_mel *mel, const float *samples, size_t n, float *out)
{
    struct audio_span signal = {samples, 0, n, AUDIO_MEL_WINDOW_SAMPLES};
    if (n > AUDIO_MEL_WINDOW_SAMPLES)
        signal.count = AUDIO_MEL_WINDOW_SAMPLES;
    float max = -INFINITY;
    audio_mel_log(mel, &signal, 0, AUDIO_MEL_WINDOW_FRAMES, out, &max);
    audio_mel_normalise(out, (size_t)AUDIO_MEL_WINDOW_FRAMES * (size_t)mel->n_bins, max);
}
