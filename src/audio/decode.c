/* The reader: chooses a decoder, resamples, cuts, and holds the limits. See decode.h.
 *
 * A read runs down this chain, each step in small fixed blocks:
 *     decoder (mono at its own rate) -> sanitise -> soxr -> skip to start -> cut at duration
 * Positions are counted in 16 kHz samples from the start of the recording, skipped ones included:
 * the limit on seconds bounds the work, not only the result.                                    */
#include "audio/decode.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "audio/decoder.h"
#include "audio/pcm.h"
#include "audio/resample.h"
#include "base/clock.h"
#include "base/mem.h"

#define BLOCK_SAMPLES 4096

struct audio_reader {
    struct audio_input *input;
    struct audio_decode_options options;
    struct audio_probe probe;
    struct audio_decoder *decoder;
    struct audio_resampler *resampler; /* NULL while the decoder's rate is wanted */
    int resampler_hz;                  /* the rate it converts from */
    struct audio_info info;
    struct au_fault first_failure; /* of the decoder tried first */
    int64_t spent_ns;              /* of this pass, for the limit on time */
    int64_t total_ns;              /* of all passes */
    uint64_t position;             /* samples made so far, skipped ones included */
    uint64_t begin, end, limit;
    bool decoder_ended, ended;
    uint64_t n_not_numbers; /* samples that came as NaN or infinity */
    char warning[512];

    float block[BLOCK_SAMPLES]; /* decoded, not yet resampled */
    size_t block_used, block_filled;
};

const char *audio_accepted_formats(void)
{
    return "WAV, FLAC, MP3, Ogg (Vorbis, Opus, Speex), WebM and Matroska, MP4 and M4A, AAC, AMR, "
           "AIFF, CAF, AU, WMA, or raw samples with their type and rate";
}

enum auricle_error audio_check_shape(const char *name, long long rate_hz, long long channels,
                                     struct au_fault *fault)
{
    if (rate_hz < AUDIO_MIN_RATE_HZ || rate_hz > AUDIO_MAX_RATE_HZ)
        return au_fail(fault, AURICLE_E_UNSUPPORTED,
                       "%s: the header says %lld samples per second; %d to %d are accepted", name,
                       rate_hz, AUDIO_MIN_RATE_HZ, AUDIO_MAX_RATE_HZ);
    if (channels < 1 || channels > AUDIO_MAX_CHANNELS)
        return au_fail(fault, AURICLE_E_UNSUPPORTED,
                       "%s: the header says %lld channels; 1 to %d are accepted", name, channels,
                       AUDIO_MAX_CHANNELS);
    return AURICLE_OK;
}

/* ---- Opening --------------------------------------------------------------------------------- */

static int64_t deadline(const struct audio_reader *reader)
{
    if (reader->options.max_decode_seconds <= 0)
        return 0;
    int64_t budget_ns = (int64_t)(fmin(reader->options.max_decode_seconds, 1e9) * 1e9);
    return au_now_ns() + (budget_ns > reader->spent_ns ? budget_ns - reader->spent_ns : 1);
}

static void note_time(struct audio_reader *reader, int64_t began_ns)
{
    int64_t took_ns = au_now_ns() - began_ns;
    reader->spent_ns += took_ns;
    reader->total_ns += took_ns;
    reader->info.decode_ms = (double)reader->total_ns * 1e-6;
}

/* One sentence for a file no decoder takes, made of what is known about it. */
static enum auricle_error refuse(struct audio_reader *reader, const struct au_fault *second,
                                 struct au_fault *fault)
{
    const char *name = audio_input_name(reader->input), *text = reader->probe.text;
    enum auricle_error code = second->code;
    if (code != AURICLE_E_FORMAT) {
        if (fault)
            *fault = *second;
        return code;
    }
    if (reader->probe.kind == AUDIO_KIND_MP4)
        return au_fail(fault, code,
                       "%s: an MP4 whose index (moov) is missing or damaged: the recording was "
                       "probably cut off before it was finished",
                       name);
    if (reader->probe.kind == AUDIO_KIND_UNKNOWN || reader->probe.kind == AUDIO_KIND_NOT_AUDIO)
        return au_fail(fault, code, "%s: %s, not a recording; accepted are %s", name, text,
                       audio_accepted_formats());
    return au_fail(fault, code,
                   "%s: a damaged %s file, or a kind that cannot be read; accepted are %s", name,
                   text, audio_accepted_formats());
}

/* WAV headers are understood here, so that what is wrong with one can be said exactly. */
static enum auricle_error check_probe(const struct audio_reader *reader, struct au_fault *fault)
{
    const char *name = audio_input_name(reader->input);
    const struct audio_probe *probe = &reader->probe;
    const struct au_fault *failed = audio_input_fault(reader->input);
    if (failed->code) {
        if (fault)
            *fault = *failed;
        return failed->code;
    }
    if (probe->kind == AUDIO_KIND_EMPTY)
        return au_fail(fault, AURICLE_E_NO_AUDIO, "%s: empty (0 bytes)", name);
    if (probe->kind == AUDIO_KIND_NOT_AUDIO)
        return au_fail(fault, AURICLE_E_FORMAT, "%s: %s, not a recording; accepted are %s", name,
                       probe->text, audio_accepted_formats());
    if (probe->wav.found)
        return audio_check_shape(name, probe->wav.rate_hz, probe->wav.channels, fault);
    return AURICLE_OK;
}

/* What libsndfile reads badly (ADR 010): libmpg123 prints to stderr and drops the last frame of a
 * cut MP3, libopus takes three times as long as FFmpeg's decoder, damaged Ogg leaks memory; and a
 * streamed WAV over 4 GiB has no size libsndfile could be told. Without FFmpeg it is still better
 * than nothing.                                                                                 */
static bool prefers_ffmpeg(const struct audio_reader *reader)
{
    const struct audio_probe *probe = &reader->probe;
    switch (probe->kind) {
    case AUDIO_KIND_WAV: return probe->wav.streamed && probe->wav.stored_bytes >= UINT32_MAX;
    case AUDIO_KIND_SNDFILE: return false;
    case AUDIO_KIND_MP3:
    case AUDIO_KIND_OGG: return reader->options.no_ffmpeg || audio_ffmpeg_available();
    default: return true;
    }
}

static enum auricle_error open_with(struct audio_reader *reader, bool ffmpeg,
                                    struct au_fault *fault)
{
    if (ffmpeg && reader->options.no_ffmpeg)
        return au_fail(fault, AURICLE_E_STATE, "%s: FFmpeg's libraries are needed",
                       audio_input_name(reader->input));
    /* How long an MP3 is, and with it where it ends, FFmpeg tells by the size of the whole. */
    if (ffmpeg && reader->probe.kind == AUDIO_KIND_MP3)
        (void)audio_input_measure(reader->input);
    if (ffmpeg)
        return audio_ffmpeg_open(reader->input, deadline(reader), &reader->decoder, fault);
    return audio_sndfile_open(reader->input, &reader->probe, &reader->decoder, fault);
}

/* libsndfile wants to know how long a WAV is. */
static void take_in_whole(struct audio_reader *reader)
{
    (void)audio_input_measure(reader->input);
    audio_probe(reader->input, &reader->probe);
}

/* Try the decoder that suits the content, then FFmpeg, which reads the most. */
static enum auricle_error open_decoder(struct audio_reader *reader, struct au_fault *fault)
{
    if (reader->options.raw != AUDIO_RAW_NONE)
        return audio_raw_open(reader->input, &reader->options, &reader->decoder, fault);
    audio_probe(reader->input, &reader->probe);
    if (reader->probe.wav.arriving && !reader->probe.wav.found)
        take_in_whole(reader);
    enum auricle_error error = check_probe(reader, fault);
    if (error)
        return error;
    if (reader->probe.wav.arriving && !reader->options.try_ffmpeg_only &&
        audio_wav_is_plain(&reader->probe))
        return audio_wav_open(reader->input, &reader->probe, &reader->decoder, fault);
    if (reader->probe.wav.arriving)
        take_in_whole(reader);
    bool ffmpeg = reader->options.try_ffmpeg_only || prefers_ffmpeg(reader);
    struct au_fault *first = &reader->first_failure, second = {0};
    error = open_with(reader, ffmpeg, first);
    if (!error || error == AURICLE_E_NOMEM || error == AURICLE_E_TIMEOUT) {
        if (error && fault)
            *fault = *first;
        return error;
    }
    second = *first;
    if (!ffmpeg) {
        error = open_with(reader, true, &second);
        if (!error) {
            reader->decoder->info.fallback = first->text;
            return AURICLE_OK;
        }
    }
    const struct au_fault *failed = audio_input_fault(reader->input);
    return refuse(reader, failed->code ? failed : &second, fault);
}

/* Set the cut and the limit; an exact header that promises too much is refused here. */
static enum auricle_error set_bounds(struct audio_reader *reader, struct au_fault *fault)
{
    const struct audio_decode_options *options = &reader->options;
    const char *name = audio_input_name(reader->input);
    double seconds = reader->decoder->info.seconds;
    double end = options->start_seconds + options->duration_seconds, rate = options->rate_hz;
    reader->begin = (uint64_t)(options->start_seconds * rate + 0.5);
    reader->end = UINT64_MAX;
    reader->limit = UINT64_MAX;
    if (options->duration_seconds > 0) {
        reader->end = reader->begin + (uint64_t)(options->duration_seconds * rate + 0.5);
        seconds = fmin(seconds, end);
    }
    if (options->max_seconds <= 0)
        return AURICLE_OK;
    reader->limit = (uint64_t)(options->max_seconds * rate + 0.5);
    if (reader->decoder->seconds_exact && seconds > options->max_seconds + 0.01)
        return au_fail(fault, AURICLE_E_LIMIT, "%s: %.1f s long; at most %.1f s are accepted", name,
                       seconds, options->max_seconds);
    return AURICLE_OK;
}

/* Where samples can be found by counting, start a second early and let the rest be skipped: the
 * resampler then has its history, and whole seconds are whole samples at both rates.             */
static void seek_to_start(struct audio_reader *reader)
{
    struct audio_decoder *decoder = reader->decoder;
    if (reader->options.start_seconds < 2 || !decoder->ops->seek)
        return;
    uint64_t second = (uint64_t)reader->options.start_seconds - 1;
    if (decoder->ops->seek(decoder, second * (uint64_t)decoder->rate_hz))
        reader->position = second * (uint64_t)reader->options.rate_hz;
}

static bool in_range(double seconds)
{
    return seconds >= 0 && seconds <= 1e9; /* false for NaN */
}

/* Everything above the input: also what a second pass starts with. */
static enum auricle_error start(struct audio_reader *reader, struct au_fault *fault)
{
    int64_t began_ns = au_now_ns();
    enum auricle_error error = open_decoder(reader, fault);
    if (!error)
        error = set_bounds(reader, fault);
    if (!error) {
        seek_to_start(reader);
        reader->info = reader->decoder->info;
    }
    note_time(reader, began_ns);
    return error;
}

/* Takes the input, also on failure. */
static enum auricle_error open_reader(struct audio_input *input,
                                      const struct audio_decode_options *options,
                                      struct audio_reader **out, struct au_fault *fault)
{
    enum auricle_error error;
    struct audio_reader *reader = au_calloc(1, sizeof *reader);
    if (!reader) {
        audio_input_close(input);
        return au_fail(fault, AURICLE_E_NOMEM, "recording: out of memory");
    }
    reader->input = input;
    if (options) {
        reader->options = *options;
        audio_input_ask(input, options->go_on, options->go_on_context);
    }
    if (!reader->options.rate_hz)
        reader->options.rate_hz = AUDIO_RATE_HZ;
    if (reader->options.rate_hz < 1000 || reader->options.rate_hz > 768000)
        error = au_fail(fault, AURICLE_E_INVALID,
                        "%s: samples at %d Hz were asked for; 1000 to 768000 are accepted",
                        audio_input_name(input), reader->options.rate_hz);
    else if (in_range(reader->options.max_seconds) && in_range(reader->options.start_seconds) &&
             in_range(reader->options.duration_seconds))
        error = start(reader, fault);
    else
        error = au_fail(fault, AURICLE_E_INVALID, "%s: a time to cut at is out of range",
                        audio_input_name(input));
    if (error)
        audio_close(reader);
    else
        *out = reader;
    return error;
}

static uint64_t max_bytes(const struct audio_decode_options *options)
{
    return options ? options->max_input_bytes : 0;
}

enum auricle_error audio_open_path(const char *path, const struct audio_decode_options *options,
                                   struct audio_reader **out, struct au_fault *fault)
{
    struct audio_input *input;
    enum auricle_error error = audio_input_open_path(path, max_bytes(options), &input, fault);
    return error ? error : open_reader(input, options, out, fault);
}

enum auricle_error audio_open_fd(int fd, const char *name,
                                 const struct audio_decode_options *options,
                                 struct audio_reader **out, struct au_fault *fault)
{
    struct audio_input *input;
    enum auricle_error error = audio_input_open_fd(fd, name, max_bytes(options), &input, fault);
    return error ? error : open_reader(input, options, out, fault);
}

enum auricle_error audio_open_source(const struct audio_source *source, const char *name,
                                     const struct audio_decode_options *options,
                                     struct audio_reader **out, struct au_fault *fault)
{
    struct audio_input *input;
    enum auricle_error error = audio_input_open_source(source, name, max_bytes(options), &input,
                                                       fault);
    return error ? error : open_reader(input, options, out, fault);
}

enum auricle_error audio_open_memory(const uint8_t *data, size_t bytes, const char *name,
                                     const struct audio_decode_options *options,
                                     struct audio_reader **out, struct au_fault *fault)
{
    struct audio_input *input;
    enum auricle_error error = audio_input_open_memory(data, bytes, name, max_bytes(options),
                                                       &input, fault);
    return error ? error : open_reader(input, options, out, fault);
}

static void drop_decoder(struct audio_reader *reader)
{
    audio_resampler_destroy(reader->resampler);
    reader->resampler = NULL;
    if (reader->decoder)
        reader->decoder->ops->close(reader->decoder);
    reader->decoder = NULL;
}

void audio_close(struct audio_reader *reader)
{
    if (!reader)
        return;
    drop_decoder(reader);
    audio_input_close(reader->input);
    au_free(reader);
}

enum auricle_error audio_rewind(struct audio_reader *reader, struct au_fault *fault)
{
    drop_decoder(reader);
    reader->position = 0;
    reader->n_not_numbers = 0;
    reader->block_used = reader->block_filled = 0;
    reader->decoder_ended = reader->ended = false;
    reader->resampler_hz = 0;
    reader->spent_ns = 0;
    return start(reader, fault);
}

const struct audio_info *audio_info(const struct audio_reader *reader)
{
    return &reader->info;
}

const char *audio_warning(const struct audio_reader *reader)
{
    return reader->warning[0] ? reader->warning : NULL;
}

/* ---- Reading --------------------------------------------------------------------------------- */

static enum auricle_error no_memory(const struct audio_reader *reader, struct au_fault *fault)
{
    return au_fail(fault, AURICLE_E_NOMEM, "%s: out of memory", audio_input_name(reader->input));
}

/* Decode one block at the recording's own rate. */
static enum auricle_error fill_block(struct audio_reader *reader, struct au_fault *fault)
{
    struct audio_decoder *decoder = reader->decoder;
    size_t n = 0;
    enum auricle_error error = decoder->ops->read(decoder, reader->block, BLOCK_SAMPLES, &n, fault);
    if (error)
        return error;
    const struct au_fault *failed = audio_input_fault(reader->input);
    if (n == 0 && failed->code) {
        if (fault)
            *fault = *failed;
        return failed->code;
    }
    reader->n_not_numbers += audio_sanitise(reader->block, n);
    reader->block_used = 0;
    reader->block_filled = n;
    reader->decoder_ended = n == 0;
    return AURICLE_OK;
}

/* The recording changed its rate, or is about to begin: flush the old resampler first. Sets
 * *flushing while old samples still come.                                                       */
static enum auricle_error follow_rate(struct audio_reader *reader, float *out, size_t max,
                                      size_t *n, struct au_fault *fault)
{
    size_t used;
    *n = 0;
    if (reader->resampler) {
        if (audio_resampler_run(reader->resampler, NULL, 0, &used, out, max, n))
            return no_memory(reader, fault);
        audio_sanitise(out, *n);
        if (*n > 0)
            return AURICLE_OK;
        audio_resampler_destroy(reader->resampler);
        reader->resampler = NULL;
    }
    if (reader->decoder_ended) {
        reader->ended = true;
        return AURICLE_OK;
    }
    reader->resampler_hz = reader->decoder->rate_hz;
    if (reader->resampler_hz != reader->options.rate_hz &&
        audio_resampler_create(reader->resampler_hz, reader->options.rate_hz,
                               reader->options.finest_resampler, &reader->resampler))
        return no_memory(reader, fault);
    return AURICLE_OK;
}

/* Some samples of the rate asked for; *n may be 0 before the end too (see `ended`). */
static enum auricle_error make_samples(struct audio_reader *reader, float *out, size_t max,
                                       size_t *n, struct au_fault *fault)
{
    *n = 0;
    if (reader->block_used == reader->block_filled && !reader->decoder_ended) {
        enum auricle_error error = fill_block(reader, fault);
        if (error)
            return error;
    }
    if (reader->decoder_ended || reader->decoder->rate_hz != reader->resampler_hz)
        return follow_rate(reader, out, max, n, fault);
    const float *in = reader->block + reader->block_used;
    size_t available = reader->block_filled - reader->block_used, used;
    if (reader->resampler) {
        if (audio_resampler_run(reader->resampler, in, available, &used, out, max, n))
            return no_memory(reader, fault);
        audio_sanitise(out, *n); /* a resampler overshoots at edges */
    } else {
        *n = used = available < max ? available : max;
        memcpy(out, in, used * sizeof *out);
    }
    reader->block_used += used;
    return AURICLE_OK;
}

/* The part of samples [position, position + n) that lies in the cut, moved to the front. */
static size_t cut(struct audio_reader *reader, float *samples, size_t n)
{
    uint64_t from = reader->position, to = from + n;
    reader->position = to;
    if (to >= reader->end)
        reader->ended = true;
    uint64_t first = from > reader->begin ? from : reader->begin;
    uint64_t last = to < reader->end ? to : reader->end;
    if (first >= last)
        return 0;
    if (first > from)
        memmove(samples, samples + (first - from), (size_t)(last - first) * sizeof *samples);
    return (size_t)(last - first);
}

static enum auricle_error at_end(struct audio_reader *reader, struct au_fault *fault)
{
    const char *name = audio_input_name(reader->input);
    snprintf(reader->warning, sizeof reader->warning, "%s", reader->decoder->warning);
    if (reader->position == 0 && reader->warning[0])
        return au_fail(fault, AURICLE_E_FORMAT, "%s: not one sample could be decoded: %s", name,
                       reader->warning);
    if (reader->position == 0)
        snprintf(reader->warning, sizeof reader->warning, "the recording is empty: 0 samples");
    else if (reader->n_not_numbers && !reader->warning[0])
        snprintf(reader->warning, sizeof reader->warning,
                 "%llu samples are no numbers (NaN or infinity) and count as silence",
                 (unsigned long long)reader->n_not_numbers);
    return AURICLE_OK;
}

static enum auricle_error read_timed(struct audio_reader *reader, float *samples, size_t max,
                                     size_t *n_read, struct au_fault *fault)
{
    size_t n = 0;
    reader->decoder->deadline_ns = deadline(reader);
    while (n == 0 && !reader->ended) {
        enum auricle_error error = make_samples(reader, samples, max, &n, fault);
        if (error)
            return error;
        n = cut(reader, samples, n);
        if (reader->position > reader->limit && reader->limit < reader->end)
            return au_fail(fault, AURICLE_E_LIMIT, "%s: longer than the %.1f s that are accepted",
                           audio_input_name(reader->input), reader->options.max_seconds);
        if (reader->ended && n == 0)
            return at_end(reader, fault);
        if (reader->options.max_decode_seconds > 0 && au_now_ns() > reader->decoder->deadline_ns)
            return au_fail(fault, AURICLE_E_TIMEOUT, "%s: decoding took longer than %.1f s",
                           audio_input_name(reader->input), reader->options.max_decode_seconds);
    }
    audio_sanitise(samples, n); /* again: the resampler rings past the bound on hostile input */
    *n_read = n;
    return AURICLE_OK;
}

enum auricle_error audio_read(struct audio_reader *reader, float *samples, size_t max,
                              size_t *n_read, struct au_fault *fault)
{
    int64_t began_ns = au_now_ns();
    *n_read = 0;
    if (max == 0)
        return AURICLE_OK;
    if (!reader->decoder) /* a second pass could not begin */
        return au_fail(fault, AURICLE_E_STATE, "%s: not open", audio_input_name(reader->input));
    enum auricle_error error = read_timed(reader, samples, max, n_read, fault);
    note_time(reader, began_ns);
    return error;
}

enum auricle_error audio_read_all(struct audio_reader *reader, float **out, size_t *n_out,
                                  struct au_fault *fault)
{
    size_t capacity = 0, used = 0, got = 0;
    float *samples = NULL;
    enum auricle_error error;
    do {
        if (capacity - used < BLOCK_SAMPLES) {
            /* Grows with what was decoded, never with what a header says. */
            size_t grown = capacity + capacity / 2 + 16 * BLOCK_SAMPLES, bytes;
            float *block = au_mul_size(grown, sizeof *block, &bytes) ? au_realloc(samples, bytes)
                                                                     : NULL;
            if (!block) {
                error = no_memory(reader, fault);
                goto fail;
            }
            samples = block;
            capacity = grown;
        }
        error = audio_read(reader, samples + used, capacity - used, &got, fault);
        if (error)
            goto fail;
        used += got;
    } while (got > 0);
    *out = samples;
    *n_out = used;
    return AURICLE_OK;
fail:
    au_free(samples);
    return error;
}
