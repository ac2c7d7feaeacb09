/* Utterances of a stream. See endpoint.h. */
#include "recog/stream/endpoint.h"

#include <string.h>

#include "audio/mel.h"
#include "base/mem.h"

enum { QUIET_CHUNKS = 3 }; /* about a tenth of a second: a silence worth cutting at */

static void reset_iterator(struct recog_endpoint *e)
{
    struct recog_vad_options options = RECOG_VAD_DEFAULT;
    options.threshold = e->config.threshold;
    options.min_silence_ms = e->config.silence_ms;
    options.speech_pad_ms = e->config.pad_ms;
    recog_vad_iterator_init(&e->iterator, &options, e->config.rate_hz, e->config.chunk_samples);
    e->iterator.now = e->now;
}

enum auricle_error recog_endpoint_init(struct recog_endpoint *e,
                                       const struct recog_endpoint_config *config)
{
    *e = (struct recog_endpoint){.config = *config};
    double lower = config->threshold - 0.15;
    e->neg_threshold = lower > 0.01 ? lower : 0.01;
    e->most_chunks = (size_t)config->longest / config->chunk_samples + 2;
    e->chunks = au_alloc_array(e->most_chunks, sizeof(*e->chunks));
    reset_iterator(e);
    return e->chunks ? AURICLE_OK : AURICLE_E_NOMEM;
}

void recog_endpoint_deinit(struct recog_endpoint *e)
{
    au_free(e->chunks);
    e->chunks = NULL;
}

static int64_t frame_down(int64_t sample)
{
    return sample - sample % AUDIO_MEL_HOP;
}

static void begin_speech(struct recog_endpoint *e, int64_t start)
{
    e->open = true;
    e->told = false;
    e->begin = frame_down(start);
    if (e->begin < e->floor)
        e->begin = e->floor;
    e->voiced = 0;
    e->n_chunks = 0;
    e->first_chunk = e->now - (int64_t)e->config.chunk_samples;
}

static void note_chunk(struct recog_endpoint *e, double probability, float power)
{
    bool loud = probability >= e->config.threshold;
    if (e->n_chunks < e->most_chunks)
        e->chunks[e->n_chunks++] = (struct recog_endpoint_chunk){
            .power = power, .quiet = probability < e->neg_threshold, .loud = loud};
    if (!loud)
        return;
    e->voiced += (int64_t)e->config.chunk_samples;
    e->voiced_end = e->now;
}

static void close_speech(struct recog_endpoint *e, int64_t end, struct recog_endpoint_news *news)
{
    if (e->told && end > e->begin) {
        news->heard = true;
        news->utterance = (struct recog_utterance){e->begin, end, e->voiced, true};
        e->floor = end;
    }
    e->open = e->told = false;
}

/* ---- Cutting --------------------------------------------------------------------------------- */

/* Middle of the longest silence in chunks [from, n), the latest of equals; 0: there is none. */
static size_t longest_silence(const struct recog_endpoint *e, size_t from)
{
    size_t best = 0, best_length = QUIET_CHUNKS;
    for (size_t i = from, length = 0; i < e->n_chunks; i++) {
        length = e->chunks[i].quiet ? length + 1 : 0;
        if (length >= best_length) {
            best_length = length;
            best = i + 1 - length / 2;
        }
    }
    return best;
}

/* Middle of the quietest tenth of a second in chunks [from, n). */
static size_t quietest(const struct recog_endpoint *e, size_t from)
{
    size_t best = e->n_chunks;
    float least = INFINITY;
    for (size_t i = from; i + QUIET_CHUNKS <= e->n_chunks; i++) {
        float sum = 0;
        for (size_t j = i; j < i + QUIET_CHUNKS; j++)
            sum += e->chunks[j].power;
        if (sum < least) {
            least = sum;
            best = i + QUIET_CHUNKS / 2;
        }
    }
    return best;
}

/* The speech goes on behind the cut, as another utterance that begins where this one ends. */
static void cut(struct recog_endpoint *e, struct recog_endpoint_news *news)
{
    int64_t chunk = (int64_t)e->config.chunk_samples;
    size_t from = e->n_chunks / 2, at = longest_silence(e, from);
    if (!at)
        at = quietest(e, from);
    int64_t border = frame_down(e->first_chunk + (int64_t)at * chunk), voiced = 0;
    for (size_t i = at; i < e->n_chunks; i++)
        voiced += e->chunks[i].loud ? chunk : 0;
    news->heard = true;
    news->utterance = (struct recog_utterance){e->begin, border, e->voiced - voiced, false};
    e->begin = e->floor = border;
    e->voiced = voiced;
    e->first_chunk += (int64_t)at * chunk;
    e->n_chunks -= at;
    memmove(e->chunks, e->chunks + at, e->n_chunks * sizeof(*e->chunks));
}

/* ---- Feeding --------------------------------------------------------------------------------- */

void recog_endpoint_feed(struct recog_endpoint *e, double probability, float power,
                         struct recog_endpoint_news *news)
{
    int64_t sample = 0;
    *news = (struct recog_endpoint_news){0};
    enum recog_vad_event event = recog_vad_iterator_feed(&e->iterator, probability, &sample);
    e->now = e->iterator.now;
    if (event == RECOG_VAD_START)
        begin_speech(e, sample);
    if (!e->open)
        return;
    note_chunk(e, probability, power);
    bool enough = (double)e->voiced * 1000 >= e->config.min_speech_ms * e->config.rate_hz;
    if (!e->told && enough) {
        e->told = news->started = true;
        news->start = e->begin;
    }
    if (event == RECOG_VAD_END) {
        int64_t end = frame_down(sample + AUDIO_MEL_HOP - 1);
        close_speech(e, end < e->now ? end : frame_down(e->now), news);
    } else if (e->now - e->begin >= e->config.longest) {
        cut(e, news);
    }
}

void recog_endpoint_end(struct recog_endpoint *e, int64_t at, struct recog_endpoint_news *news)
{
    *news = (struct recog_endpoint_news){0};
    if (e->open)
        close_speech(e, at, news);
    e->floor = at > e->floor ? at : e->floor;
    reset_iterator(e);
}
