/* Voice activity: gate, cutter, iterator and their combination. See vad.h. */
#include "recog/voice/vad.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"

/* ---- Energy and zero crossings --------------------------------------------------------------- */

bool recog_vad_energy_passes(const struct recog_vad_energy *energy, int rate_hz,
                             const float *samples, size_t n)
{
    double power = 0.0;
    size_t crossings = 0;

    if (n == 0)
        return false;
    for (size_t i = 0; i < n; i++)
        power += (double)samples[i] * (double)samples[i];
    for (size_t i = 1; i < n; i++)
        crossings += (samples[i] < 0.0F) != (samples[i - 1] < 0.0F);
    return sqrt(power / (double)n) >= (double)energy->rms &&
           (double)crossings * rate_hz >= (double)energy->crossings_hz * (double)n;
}

/* ---- Options --------------------------------------------------------------------------------- */

static bool in_range(double x, double low, double high)
{
    return x >= low && x <= high;
}

enum auricle_error recog_vad_options_check(const struct recog_vad_options *options,
                                           struct au_fault *fault)
{
    const double hour_ms = 3600e3;

    if (!in_range(options->threshold, 0.0, 1.0))
        return au_fail(fault, AURICLE_E_INVALID, "VAD threshold %g: 0 to 1 is accepted",
                       options->threshold);
    if (!(options->neg_threshold <= 1.0))
        return au_fail(fault, AURICLE_E_INVALID,
                       "VAD negative threshold %g: at most 1 is accepted; below 0 means automatic",
                       options->neg_threshold);
    if (!in_range(options->min_speech_ms, 0.0, hour_ms) ||
        !in_range(options->min_silence_ms, 0.0, hour_ms) ||
        !in_range(options->speech_pad_ms, 0.0, hour_ms) ||
        !in_range(options->min_silence_at_max_speech_ms, 0.0, hour_ms))
        return au_fail(fault, AURICLE_E_INVALID,
                       "VAD times: speech of at least %g ms, silence of %g ms, padding of %g ms, "
                       "silence at a cut of %g ms; each may be 0 to 3600000",
                       options->min_speech_ms, options->min_silence_ms, options->speech_pad_ms,
                       options->min_silence_at_max_speech_ms);
    if (!(options->max_speech_s * 1e3 >= 100.0 + 2.0 * options->speech_pad_ms))
        return au_fail(fault, AURICLE_E_INVALID,
                       "VAD longest speech %g s: at least 0.1 s plus twice the padding of %g ms",
                       options->max_speech_s, options->speech_pad_ms);
    return AURICLE_OK;
}

/* ---- Cutter ---------------------------------------------------------------------------------- */

void recog_vad_cutter_init(struct recog_vad_cutter *cutter, const struct recog_vad_options *options,
                           int rate_hz, size_t chunk_samples)
{
    double rate = rate_hz, pad = rate * options->speech_pad_ms / 1000.0;

    *cutter = (struct recog_vad_cutter){
        .threshold = options->threshold,
        .neg_threshold = options->neg_threshold >= 0.0 ? options->neg_threshold
                                                       : fmax(options->threshold - 0.15, 0.01),
        .min_speech = rate * options->min_speech_ms / 1000.0,
        .max_speech = rate * options->max_speech_s - (double)chunk_samples - 2.0 * pad,
        .min_silence = rate * options->min_silence_ms / 1000.0,
        .pad = pad,
        .lead = pad,
        .min_silence_at_max = rate * options->min_silence_at_max_speech_ms / 1000.0,
        .cut_at_longest = options->cut_at_longest_silence,
        .chunk = (int64_t)chunk_samples,
    };
}

static void begin_speech(struct recog_vad_cutter *c, int64_t start)
{
    c->current.start = start;
    c->begun = true;
}

/* Close the current speech at `end`; whether another follows is for the caller to say. */
static void close_speech(struct recog_vad_cutter *c, int64_t end)
{
    assert(c->n_ready < (int)(sizeof c->ready / sizeof c->ready[0]));
    c->ready[c->n_ready++] = (struct recog_speech){c->current.start, end};
    c->begun = false;
}

static void forget_silences(struct recog_vad_cutter *c)
{
    c->cut_end = c->cut_resume = c->quiet_since = 0;
    c->longest = (struct recog_speech){0, 0};
}

/* Speech after quiet: the silence between them may serve as a place to cut. */
static void note_silence(struct recog_vad_cutter *c)
{
    int64_t silence = c->now - c->quiet_since;

    if ((double)silence > c->min_silence_at_max &&
        silence > c->longest.end - c->longest.start) /* the first of equals */
        c->longest = (struct recog_speech){c->quiet_since, c->now};
    c->quiet_since = 0;
    if (c->cut_resume < c->cut_end)
        c->cut_resume = c->now;
}

/* The current speech is too long. Returns false when the chunk needs no further look. */
static bool cut_long_speech(struct recog_vad_cutter *c)
{
    if (c->cut_at_longest && c->longest.end > 0) {
        int64_t resume = c->longest.end;
        close_speech(c, c->longest.start);
        begin_speech(c, resume);
        forget_silences(c);
        return true;
    }
    if (c->cut_end > 0) {
        int64_t resume = c->cut_resume;
        bool heard_again = resume >= c->cut_end;
        close_speech(c, c->cut_end);
        if (heard_again)
            begin_speech(c, resume);
        else
            c->triggered = false;
        forget_silences(c);
        return true;
    }
    close_speech(c, c->now);
    forget_silences(c);
    c->triggered = false;
    return false;
}

/* A chunk below the negative threshold while speech is on. */
static void hear_quiet(struct recog_vad_cutter *c)
{
    if (c->quiet_since == 0)
        c->quiet_since = c->now;
    int64_t silence = c->now - c->quiet_since;
    if (!c->cut_at_longest && (double)silence > c->min_silence_at_max)
        c->cut_end = c->quiet_since;
    if ((double)silence < c->min_silence)
        return;
    if ((double)(c->quiet_since - c->current.start) > c->min_speech)
        close_speech(c, c->quiet_since);
    c->begun = false;
    c->triggered = false;
    forget_silences(c);
}

static void hear_chunk(struct recog_vad_cutter *c, double probability)
{
    bool loud = probability >= c->threshold;

    if (loud && c->quiet_since != 0)
        note_silence(c);
    if (loud && !c->triggered) {
        c->triggered = true;
        begin_speech(c, c->now);
        return;
    }
    if (c->triggered && (double)(c->now - c->current.start) > c->max_speech && !cut_long_speech(c))
        return;
    if (c->triggered && probability < c->neg_threshold)
        hear_quiet(c);
}

void recog_vad_cutter_feed(struct recog_vad_cutter *cutter, double probability)
{
    hear_chunk(cutter, probability);
    cutter->now += cutter->chunk;
}

void recog_vad_cutter_finish(struct recog_vad_cutter *cutter, int64_t n_samples)
{
    cutter->now = n_samples;
    cutter->finished = true;
    if (cutter->begun && (double)(n_samples - cutter->current.start) > cutter->min_speech)
        close_speech(cutter, n_samples);
    cutter->begun = false;
}

/* Where the speech after the oldest span begins: where at the earliest, and whether exactly
 * there. What is being heard may yet be dropped as too short, unless enough of it was heard. The
 * last chunk may have been filled up: all that is certain of it is where it began.               */
static int64_t next_start(const struct recog_vad_cutter *c, bool *exactly)
{
    int64_t last_chunk = c->now - c->chunk;

    *exactly = c->n_ready > 1;
    if (c->n_ready > 1)
        return c->ready[1].start;
    if (!c->begun)
        return last_chunk;
    int64_t heard = c->quiet_since ? c->quiet_since : last_chunk;
    *exactly = (double)(heard - c->current.start) > c->min_speech;
    return c->current.start;
}

/* Each side of a gap gets its padding, or half of a short gap. False: not settled yet. */
static bool share_gap(struct recog_vad_cutter *c, struct recog_speech *before)
{
    bool exactly;
    int64_t gap = next_start(c, &exactly) - before->end;

    if ((double)gap >= 2.0 * c->pad) {
        before->end = (int64_t)((double)before->end + c->pad);
        c->lead = c->pad;
        return true;
    }
    if (!exactly)
        return false;
    before->end += gap / 2;
    c->lead = (double)(gap / 2);
    return true;
}

bool recog_vad_cutter_next(struct recog_vad_cutter *cutter, struct recog_speech *out)
{
    struct recog_speech oldest = cutter->ready[0];
    double lead = cutter->lead;

    if (cutter->n_ready == 0)
        return false;
    if (cutter->finished && cutter->n_ready == 1)
        oldest.end = (int64_t)fmin((double)cutter->now, (double)oldest.end + cutter->pad);
    else if (!share_gap(cutter, &oldest))
        return false;
    oldest.start = (int64_t)fmax(0.0, (double)oldest.start - lead);
    *out = oldest;
    cutter->n_ready--;
    memmove(&cutter->ready[0], &cutter->ready[1], (size_t)cutter->n_ready * sizeof oldest);
    return true;
}

/* ---- Iterator -------------------------------------------------------------------------------- */

void recog_vad_iterator_init(struct recog_vad_iterator *iterator,
                             const struct recog_vad_options *options, int rate_hz,
                             size_t chunk_samples)
{
    *iterator = (struct recog_vad_iterator){
        .threshold = options->threshold,
        .min_silence = rate_hz * options->min_silence_ms / 1000.0,
        .pad = rate_hz * options->speech_pad_ms / 1000.0,
        .chunk = (int64_t)chunk_samples,
    };
}

enum recog_vad_event recog_vad_iterator_feed(struct recog_vad_iterator *iterator,
                                             double probability, int64_t *sample)
{
    struct recog_vad_iterator *it = iterator;
    bool loud = probability >= it->threshold;

    it->now += it->chunk; /* the end of this chunk */
    if (loud)
        it->quiet_since = 0;
    if (loud && !it->triggered) {
        it->triggered = true;
        *sample = (int64_t)fmax(0.0, (double)it->now - it->pad - (double)it->chunk);
        return RECOG_VAD_START;
    }
    if (!it->triggered || probability >= it->threshold - 0.15)
        return RECOG_VAD_NOTHING;
    if (it->quiet_since == 0)
        it->quiet_since = it->now;
    if ((double)(it->now - it->quiet_since) < it->min_silence)
        return RECOG_VAD_NOTHING;
    *sample = (int64_t)((double)it->quiet_since + it->pad - (double)it->chunk);
    it->quiet_since = 0;
    it->triggered = false;
    return RECOG_VAD_END;
}

/* ---- Samples in, spans out ------------------------------------------------------------------- */

#define ENERGY_CHUNK_MS 32 /* Silero's own */

struct recog_vad {
    struct recog_vad_config config;
    struct recog_vad_cutter cutter;
    struct silero_state state;
    struct tensor_workspace ws;
    float *chunk; /* [chunk_samples]; owned */
    size_t chunk_samples, filled;
    int64_t n_samples;
    uint64_t chunks, skipped;
    float probability;
};

enum auricle_error recog_vad_create(const struct recog_vad_config *config, struct recog_vad **out,
                                    struct au_fault *fault)
{
    enum auricle_error error = recog_vad_options_check(&config->options, fault);
    if (error)
        return error;
    if (!config->model && (config->rate_hz < 1000 || config->rate_hz > 384000))
        return au_fail(fault, AURICLE_E_INVALID, "VAD sample rate %d: 1000 to 384000 is accepted",
                       config->rate_hz);
    struct recog_vad *vad = au_calloc(1, sizeof *vad);
    if (!vad)
        goto no_memory;
    vad->config = *config;
    if (config->model) {
        vad->config.rate_hz = silero_rate_hz(config->model);
        vad->chunk_samples = silero_chunk_samples(config->model);
        if (tensor_workspace_create(&vad->ws, silero_plan(config->model, 1)))
            goto no_memory;
    } else {
        vad->chunk_samples = (size_t)config->rate_hz * ENERGY_CHUNK_MS / 1000;
    }
    vad->chunk = au_alloc_array(vad->chunk_samples, sizeof *vad->chunk);
    if (!vad->chunk)
        goto no_memory;
    recog_vad_reset(vad);
    *out = vad;
    return AURICLE_OK;
no_memory:
    recog_vad_destroy(vad);
    return au_fail(fault, AURICLE_E_NOMEM, "not enough memory for voice activity detection");
}

void recog_vad_destroy(struct recog_vad *vad)
{
    if (!vad)
        return;
    tensor_workspace_deinit(&vad->ws);
    au_free(vad->chunk);
    au_free(vad);
}

void recog_vad_reset(struct recog_vad *vad)
{
    recog_vad_cutter_init(&vad->cutter, &vad->config.options, vad->config.rate_hz,
                          vad->chunk_samples);
    silero_state_reset(&vad->state);
    vad->filled = 0;
    vad->n_samples = 0;
    vad->chunks = vad->skipped = 0;
    vad->probability = 0.0F;
}

size_t recog_vad_chunk_samples(const struct recog_vad *vad)
{
    return vad->chunk_samples;
}

static void run_chunk(struct recog_vad *vad)
{
    const struct recog_vad_config *config = &vad->config;
    const float *chunk = vad->chunk;
    struct silero_state *state = &vad->state;
    bool passes = true;

    if (!config->model || config->energy_first)
        passes = recog_vad_energy_passes(&config->energy, config->rate_hz, chunk,
                                         vad->chunk_samples);
    if (!config->model) {
        vad->probability = passes ? 1.0F : 0.0F;
    } else if (passes) {
        silero_run(config->model, &vad->ws, 1, &chunk, &state, &vad->probability);
    } else {
        silero_state_skip(config->model, state, chunk);
        vad->probability = 0.0F;
        vad->skipped++;
    }
    vad->chunks++;
    vad->filled = 0;
    recog_vad_cutter_feed(&vad->cutter, (double)vad->probability);
}

size_t recog_vad_feed(struct recog_vad *vad, const float *samples, size_t n)
{
    size_t space = vad->chunk_samples - vad->filled, taken = n < space ? n : space;

    if (taken == 0)
        return 0;
    memcpy(vad->chunk + vad->filled, samples, taken * sizeof *samples);
    vad->filled += taken;
    vad->n_samples += (int64_t)taken;
    if (vad->filled == vad->chunk_samples)
        run_chunk(vad);
    return taken;
}

void recog_vad_finish(struct recog_vad *vad)
{
    if (vad->filled > 0) {
        memset(vad->chunk + vad->filled, 0,
               (vad->chunk_samples - vad->filled) * sizeof *vad->chunk);
        run_chunk(vad);
    }
    recog_vad_cutter_finish(&vad->cutter, vad->n_samples);
}

bool recog_vad_next(struct recog_vad *vad, struct recog_speech *out)
{
    return recog_vad_cutter_next(&vad->cutter, out);
}

float recog_vad_probability(const struct recog_vad *vad)
{
    return vad->probability;
}

uint64_t recog_vad_chunks(const struct recog_vad *vad, uint64_t *skipped)
{
    *skipped = vad->skipped;
    return vad->chunks;
}
