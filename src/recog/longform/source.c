/* A recording as a sliding window of samples. See source.h. */
#include "recog/longform/source.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"

enum {
    KEEP_SAMPLES = 60 * AUDIO_RATE_HZ, /* how far back a read costs nothing */
    READ_SAMPLES = AUDIO_RATE_HZ,
    ROOM_SAMPLES = KEEP_SAMPLES + 20 * AUDIO_RATE_HZ, /* what is kept moves when this is full */
    LEAD_FRAMES = 2, /* frames before the first whose samples its window reaches */
};

struct recog_source {
    /* Either borrowed samples ... */
    const float *samples;
    /* ... or a feed (read is NULL: none) ... */
    struct auricle_feed feed;
    /* ... or a reader and the window of samples [window_first, window_first + n_window). */
    struct audio_reader *reader;
    char *path;
    struct audio_decode_options options;
    float *window; /* [ROOM_SAMPLES] */
    int64_t window_first;
    size_t n_window;
    int64_t length;    /* -1 until the end was seen */
    int64_t reached;   /* end of what was read so far; not of a reader */
    int64_t allowance; /* new samples that may yet be read */
    bool starved;
    int64_t decode_ns, mel_ns;
};

static enum auricle_error open_reader(struct recog_source *source, struct au_fault *fault)
{
    if (au_str_equal(source->path, "-"))
        return audio_open_fd(STDIN_FILENO, "standard input", &source->options, &source->reader,
                             fault);
    return audio_open_path(source->path, &source->options, &source->reader, fault);
}

enum auricle_error recog_source_open(const char *path, const struct audio_decode_options *options,
                                     struct recog_source **out, struct au_fault *fault)
{
    struct recog_source *source = au_calloc(1, sizeof(*source));
    if (!source)
        return au_fail(fault, AURICLE_E_NOMEM, "out of memory");
    source->options = *options;
    source->length = -1;
    source->allowance = INT64_MAX;
    source->path = au_strdup(path);
    source->window = au_alloc_array(ROOM_SAMPLES, sizeof(float));
    enum auricle_error error = AURICLE_E_NOMEM;
    if (source->path && source->window) {
        int64_t begin = au_now_ns();
        error = open_reader(source, fault);
        source->decode_ns = au_now_ns() - begin;
    } else {
        (void)au_fail(fault, error, "out of memory");
    }
    if (error) {
        recog_source_close(source);
        return error;
    }
    *out = source;
    return AURICLE_OK;
}

enum auricle_error recog_source_from_samples(const float *samples, size_t n,
                                             struct recog_source **out)
{
    struct recog_source *source = au_calloc(1, sizeof(*source));
    if (!source)
        return AURICLE_E_NOMEM;
    source->samples = samples;
    source->length = (int64_t)n;
    source->allowance = INT64_MAX;
    *out = source;
    return AURICLE_OK;
}

enum auricle_error recog_source_from_feed(const struct auricle_feed *feed,
                                          struct recog_source **out)
{
    struct recog_source *source = au_calloc(1, sizeof(*source));
    if (!source)
        return AURICLE_E_NOMEM;
    source->feed = *feed;
    source->allowance = INT64_MAX;
    *out = source;
    return AURICLE_OK;
}

void recog_source_close(struct recog_source *source)
{
    if (!source)
        return;
    audio_close(source->reader);
    au_free(source->path);
    au_free(source->window);
    au_free(source);
}

/* Decode one more block into the window, letting go of what is too old. */
static enum auricle_error advance(struct recog_source *source, struct au_fault *fault)
{
    if (source->n_window > ROOM_SAMPLES - READ_SAMPLES) {
        size_t drop = source->n_window - KEEP_SAMPLES;
        memmove(source->window, source->window + drop, KEEP_SAMPLES * sizeof(float));
        source->window_first += (int64_t)drop;
        source->n_window = KEEP_SAMPLES;
    }
    size_t n = 0;
    int64_t begin = au_now_ns();
    enum auricle_error error = audio_read(source->reader, source->window + source->n_window,
                                          READ_SAMPLES, &n, fault);
    source->decode_ns += au_now_ns() - begin;
    if (error)
        return error;
    source->n_window += n;
    source->allowance -= (int64_t)n;
    if (n == 0)
        source->length = source->window_first + (int64_t)source->n_window;
    return AURICLE_OK;
}

static enum auricle_error rewind_to_start(struct recog_source *source, struct au_fault *fault)
{
    enum auricle_error error = audio_rewind(source->reader, fault);
    if (error)
        return error;
    source->window_first = 0;
    source->n_window = 0;
    return AURICLE_OK;
}

static size_t copy_inside(float *out, size_t n, int64_t first, const float *from,
                          int64_t from_first, size_t n_from)
{
    int64_t end = from_first + (int64_t)n_from;
    if (first < from_first || first >= end)
        return 0;
    size_t here = (size_t)(end - first);
    size_t count = n < here ? n : here;
    memcpy(out, from + (first - from_first), count * sizeof(float));
    return count;
}

/* Samples from outside may be anything; what is no number would spread over the whole window. */
static void make_finite(float *samples, size_t n)
{
    for (size_t i = 0; i < n; i++)
        samples[i] = isfinite(samples[i]) ? samples[i] : 0;
}

void recog_source_allow(struct recog_source *source, int64_t n)
{
    source->allowance = n;
}

bool recog_source_starved(const struct recog_source *source)
{
    return source->starved;
}

static enum auricle_error read_reader(struct recog_source *source, int64_t first, size_t n,
                                      float *out, size_t *n_read, struct au_fault *fault)
{
    enum auricle_error error = AURICLE_OK;
    if (first < source->window_first)
        error = rewind_to_start(source, fault);
    size_t done = 0;
    while (!error && done < n) {
        done += copy_inside(out + done, n - done, first + (int64_t)done, source->window,
                            source->window_first, source->n_window);
        bool at_end = source->length >= 0 &&
                      source->window_first + (int64_t)source->n_window >= source->length;
        if (done == n || at_end)
            break;
        error = source->allowance > 0 ? advance(source, fault) : AURICLE_E_AGAIN;
    }
    if (error)
        return error;
    *n_read = done;
    return AURICLE_OK;
}

static enum auricle_error read_feed(struct recog_source *source, int64_t first, size_t n,
                                    float *out, size_t *n_read, struct au_fault *fault)
{
    struct auricle_message message = {""};
    size_t got = 0;
    enum auricle_error error = source->feed.read(source->feed.context, first, n, out, &got,
                                                 &message);
    source->starved = error == AURICLE_E_AGAIN;
    if (error && !source->starved)
        return au_fail(fault, error, "%s", message.text[0] ? message.text : "the audio broke off");
    if (!error)
        *n_read = got < n ? got : n;
    return error;
}

/* What is given, not decoded, costs only what is done with it: new ground alone counts. */
static enum auricle_error read_given(struct recog_source *source, int64_t first, size_t n,
                                     float *out, size_t *n_read, struct au_fault *fault)
{
    size_t got = 0;
    if (first + (int64_t)n > source->reached && source->allowance <= 0)
        return AURICLE_E_AGAIN;
    enum auricle_error error = AURICLE_OK;
    if (source->feed.read)
        error = read_feed(source, first, n, out, &got, fault);
    else
        got = copy_inside(out, n, first, source->samples, 0, (size_t)source->length);
    if (error)
        return error;
    make_finite(out, got);
    int64_t fresh = first + (int64_t)got - source->reached;
    if (fresh > 0) {
        source->reached += fresh;
        source->allowance -= fresh;
    }
    *n_read = got;
    return AURICLE_OK;
}

enum auricle_error recog_source_read(struct recog_source *source, int64_t first, size_t n,
                                     float *out, size_t *n_read, struct au_fault *fault)
{
    source->starved = false;
    return source->reader ? read_reader(source, first, n, out, n_read, fault)
                          : read_given(source, first, n, out, n_read, fault);
}

int64_t recog_source_length(const struct recog_source *source)
{
    return source->feed.read ? source->feed.length(source->feed.context) : source->length;
}

double recog_source_estimate(const struct recog_source *source)
{
    int64_t length = recog_source_length(source);
    if (length >= 0)
        return (double)length / AUDIO_RATE_HZ;
    return source->feed.read ? source->feed.estimate(source->feed.context)
                             : audio_info(source->reader)->seconds;
}

const char *recog_source_warning(const struct recog_source *source)
{
    return source->reader ? audio_warning(source->reader) : NULL;
}

double recog_source_decode_seconds(const struct recog_source *source)
{
    return (double)source->decode_ns * 1e-9;
}

double recog_source_mel_seconds(const struct recog_source *source)
{
    return (double)source->mel_ns * 1e-9;
}

size_t recog_source_block_samples(size_t n_frames)
{
    return (n_frames + LEAD_FRAMES + 2) * AUDIO_MEL_HOP;
}

size_t recog_source_lead_samples(int64_t first)
{
    return (size_t)(first < LEAD_FRAMES ? first : LEAD_FRAMES) * AUDIO_MEL_HOP;
}

enum auricle_error recog_source_mel(struct recog_source *source, const struct audio_mel *mel,
                                    int64_t first, size_t n_frames, float *block, float *out,
                                    float *max, size_t *n_inside, struct au_fault *fault)
{
    /* A frame reaches 200 samples to both sides of its centre, so the block begins two hops
     * early. */
    int64_t lead = first < LEAD_FRAMES ? first : LEAD_FRAMES;
    int64_t begin = (first - lead) * AUDIO_MEL_HOP;
    size_t wanted = ((size_t)lead + n_frames + 2) * AUDIO_MEL_HOP, got = 0;
    enum auricle_error error = recog_source_read(source, begin, wanted, block, &got, fault);
    if (error)
        return error;
    memset(block + got, 0, (wanted - got) * sizeof(float));
    /* The end is never mirrored: silence follows the recording. */
    struct audio_span span = {.samples = block,
                              .first = begin,
                              .count = got,
                              .total = begin + (int64_t)wanted + AUDIO_MEL_FFT};
    int64_t started = au_now_ns();
    audio_mel_log(mel, &span, first, first + (int64_t)n_frames, out, max);
    source->mel_ns += au_now_ns() - started;
    size_t inside = got / AUDIO_MEL_HOP;
    inside = inside > (size_t)lead ? inside - (size_t)lead : 0;
    *n_inside = inside < n_frames ? inside : n_frames;
    return AURICLE_OK;
}
