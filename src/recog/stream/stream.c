/* The stream as a state machine. See stream.h. */
#include "recog/stream/stream.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "audio/ring.h"
#include "base/mem.h"
#include "recog/message.h"
#include "recog/session.h"
#include "recog/stream/agree.h"
#include "recog/stream/endpoint.h"
#include "recog/stream/events.h"
#include "recog/stream/pass.h"
#include "recog/trim.h"
#include "text/language.h"

enum {
    MAX_TASKS = 64,      /* found and not heard yet; more are left in the ring */
    TASK_SLACK = 4,      /* most tasks that one chunk, one flush and the end together make */
    LISTEN_SECONDS = 30, /* audio that one call listens to at most */
    SLACK_SECONDS = 2,   /* the ring holds the longest utterance and this */
    LANGUAGE_SECONDS = 3 /* speech by which the language is decided for good */
};

/* What is to be done in order. */
struct task {
    enum { TASK_STARTED, TASK_HEAR, TASK_FLUSHED } kind;
    int64_t start;
    struct recog_utterance utterance;
    uint64_t n; /* flushes that are answered */
};

struct recog_stream {
    struct auricle_session *session;
    struct auricle_stream_options options; /* defaults filled in */
    struct audio_ring *ring;
    /* Written by the feeding thread. */
    _Atomic uint64_t n_fed, n_flushes, flushed_at;
    _Atomic bool closed;
    /* The rest is the owner's. Listening: */
    struct recog_vad *vad;
    struct recog_endpoint endpoint;
    float *chunk; /* [chunk_samples] the one being filled */
    size_t chunk_samples, n_chunk;
    int64_t heard, there;     /* samples listened to, and that can be */
    bool unanswered;          /* a flush or the end is still to be come to */
    uint64_t n_flushes_taken; /* of n_flushes, those that are tasks by now */
    bool ended;               /* closed, and all was listened to */
    struct task tasks[MAX_TASKS];
    size_t n_tasks;
    /* Hearing: */
    struct recog_pass pass;
    int64_t partial_at;  /* end of the speech that the last partial's pass was begun for */
    int64_t agree_begin; /* the utterance that agree is about */
    struct recog_agree agree;
    struct recog_events events;
    int64_t done; /* samples before this one are final */
};

/* ---- Making ---------------------------------------------------------------------------------- */

static enum auricle_error check(const struct auricle_options *o,
                                const struct auricle_stream_options *s, double window,
                                struct au_fault *fault)
{
    if (s->size != sizeof(*s))
        return au_fail(fault, AURICLE_E_INVALID, "stream options have %zu bytes, expected %zu",
                       s->size, sizeof(*s));
    if (o->offset_seconds > 0 || o->duration_seconds > 0 || o->n_clip_seconds || o->prefix)
        return au_fail(fault, AURICLE_E_INVALID,
                       "offset, duration, clips and a prefix belong to recordings, not to streams");
    if (!(s->endpoint_ms >= 0 && s->endpoint_ms <= 60e3))
        return au_fail(fault, AURICLE_E_INVALID,
                       "an utterance ends after %g ms of silence: 1 to 60000 are accepted",
                       s->endpoint_ms);
    if (!(s->partial_ms <= 60e3))
        return au_fail(fault, AURICLE_E_INVALID,
                       "partials every %g ms: at most 60000 are accepted, below 0 turns them off",
                       s->partial_ms);
    double longest = s->max_utterance_seconds;
    bool chosen = longest >= 0 && longest <= 0;
    if (!chosen && !(longest >= 1 && longest <= window))
        return au_fail(fault, AURICLE_E_INVALID,
                       "utterances of at most %g s: 1 to %g are accepted, what this model hears",
                       longest, window);
    if (!(s->buffer_seconds >= 0 && s->buffer_seconds <= 3600))
        return au_fail(fault, AURICLE_E_INVALID, "a buffer of %g s: at most 3600 are accepted",
                       s->buffer_seconds);
    return AURICLE_OK;
}

static enum auricle_error fill_in(struct auricle_stream_options *o, double window,
                                  struct au_fault *fault)
{
    const double longest = window < 30 ? window : 28;
    o->endpoint_ms = o->endpoint_ms > 0 ? o->endpoint_ms : 500;
    o->partial_ms = o->partial_ms < 0 ? -1 : o->partial_ms > 0 ? o->partial_ms : 500;
    if (!(o->max_utterance_seconds > 0))
        o->max_utterance_seconds = longest;
    double least = o->max_utterance_seconds + SLACK_SECONDS + o->endpoint_ms / 1000;
    if (!(o->buffer_seconds > 0))
        o->buffer_seconds = least < 60 ? 60 : least;
    if (o->buffer_seconds < least)
        return au_fail(fault, AURICLE_E_INVALID,
                       "a buffer of %g s: at least %g are needed for utterances of %g s",
                       o->buffer_seconds, least, o->max_utterance_seconds);
    return AURICLE_OK;
}

static enum auricle_error make_detector(struct recog_stream *s, struct au_fault *fault)
{
    const struct auricle_options *o = &s->session->settings.options;
    const struct auricle_engine *engine = s->session->engine;
    struct recog_vad_config config = {.model = o->vad == AURICLE_VAD_ENERGY ? NULL : engine->vad,
                                      .rate_hz = AUDIO_RATE_HZ,
                                      .options = RECOG_VAD_DEFAULT,
                                      .energy = RECOG_VAD_ENERGY_DEFAULT};
    config.options.threshold = (double)o->vad_threshold;
    config.options.min_speech_ms = o->vad_min_speech_ms;
    config.options.speech_pad_ms = o->vad_speech_pad_ms;
    if (o->vad == AURICLE_VAD_SILERO && !engine->vad)
        return au_fail(fault, AURICLE_E_NOT_FOUND,
                       "no voice activity model is loaded: name one, or use loudness");
    return recog_vad_create(&config, &s->vad, fault);
}

static enum auricle_error make_endpoint(struct recog_stream *s)
{
    const struct auricle_options *o = &s->session->settings.options;
    s->chunk_samples = recog_vad_chunk_samples(s->vad);
    s->chunk = au_alloc_array(s->chunk_samples, sizeof(*s->chunk));
    const struct recog_endpoint_config config = {
        .threshold = (double)o->vad_threshold,
        .silence_ms = s->options.endpoint_ms,
        .pad_ms = o->vad_speech_pad_ms,
        .min_speech_ms = o->vad_min_speech_ms,
        .longest = (int64_t)(s->options.max_utterance_seconds * AUDIO_RATE_HZ),
        .rate_hz = AUDIO_RATE_HZ,
        .chunk_samples = s->chunk_samples};
    enum auricle_error error = recog_endpoint_init(&s->endpoint, &config);
    return s->chunk ? error : AURICLE_E_NOMEM;
}

void recog_stream_destroy(struct recog_stream *s)
{
    if (!s)
        return;
    recog_pass_end(&s->pass);
    recog_events_deinit(&s->events);
    recog_agree_deinit(&s->agree);
    recog_endpoint_deinit(&s->endpoint);
    recog_vad_destroy(s->vad);
    audio_ring_destroy(s->ring);
    au_free(s->chunk);
    au_free(s);
}

static void destroy(void *self)
{
    recog_stream_destroy(self);
}

/* ---- Feeding --------------------------------------------------------------------------------- */

static struct recog_stream *stream_of(struct auricle_session *session)
{
    return session->stream;
}

size_t auricle_stream_feed(struct auricle_session *session, const float *samples, size_t n)
{
    struct recog_stream *s = stream_of(session);
    size_t taken = audio_ring_append(s->ring, samples, n);
    uint64_t fed = atomic_load_explicit(&s->n_fed, memory_order_relaxed);
    atomic_store_explicit(&s->n_fed, fed + taken, memory_order_relaxed);
    return taken;
}

/* The owner reads the count after it has seen what can be heard, so samples fed after a flush are
 * never seen without it.                                                                         */
void auricle_stream_flush(struct auricle_session *session)
{
    struct recog_stream *s = stream_of(session);
    uint64_t fed = atomic_load_explicit(&s->n_fed, memory_order_relaxed);
    atomic_store_explicit(&s->flushed_at, fed, memory_order_release);
    atomic_fetch_add_explicit(&s->n_flushes, 1, memory_order_release);
}

void auricle_stream_close(struct auricle_session *session)
{
    atomic_store_explicit(&stream_of(session)->closed, true, memory_order_release);
}

/* ---- Listening ------------------------------------------------------------------------------- */

static void add_task(struct recog_stream *s, struct task task)
{
    s->tasks[s->n_tasks++] = task;
}

static void take_news(struct recog_stream *s, const struct recog_endpoint_news *news)
{
    if (news->started) {
        /* The first words are waited for most: half the time is enough for them. */
        double lead_ms = s->options.partial_ms > 0 ? s->options.partial_ms / 2 : 0;
        s->partial_at = s->endpoint.first_chunk - (int64_t)(lead_ms * AUDIO_RATE_HZ / 1000);
        add_task(s, (struct task){.kind = TASK_STARTED, .start = news->start});
    }
    if (!news->heard)
        return;
    s->partial_at = news->utterance.end;
    add_task(s, (struct task){.kind = TASK_HEAR, .utterance = news->utterance});
}

static float power_of(const float *samples, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)samples[i] * (double)samples[i];
    return (float)(sum / (double)n);
}

/* A whole chunk. The detector's own spans are for recordings and are let go. */
static void hear_chunk(struct recog_stream *s)
{
    struct recog_endpoint_news news;
    struct recog_speech unused;
    double probability = 1;
    (void)recog_vad_feed(s->vad, s->chunk, s->n_chunk);
    while (recog_vad_next(s->vad, &unused)) {
    }
    if (s->session->settings.options.vad != AURICLE_VAD_OFF)
        probability = (double)recog_vad_probability(s->vad);
    recog_endpoint_feed(&s->endpoint, probability, power_of(s->chunk, s->n_chunk), &news);
    s->n_chunk = 0;
    take_news(s, &news);
}

static void end_speech(struct recog_stream *s)
{
    struct recog_endpoint_news news;
    recog_endpoint_end(&s->endpoint, s->heard, &news);
    take_news(s, &news);
}

static bool has_room(const struct recog_stream *s)
{
    return s->n_tasks + TASK_SLACK < MAX_TASKS;
}

/* Listen up to sample `end`, which is in the ring, as far as there is room for what is found. */
static void listen_to(struct recog_stream *s, int64_t end)
{
    while (s->heard < end && has_room(s)) {
        size_t offset = (size_t)((uint64_t)s->heard - audio_ring_position(s->ring));
        size_t wanted = s->chunk_samples - s->n_chunk, left = (size_t)(end - s->heard);
        size_t n = audio_ring_peek(s->ring, offset, s->chunk + s->n_chunk,
                                   wanted < left ? wanted : left);
        for (size_t i = 0; i < n; i++) {
            float *x = &s->chunk[s->n_chunk + i];
            *x = isfinite(*x) ? *x : 0;
        }
        s->n_chunk += n;
        s->heard += (int64_t)n;
        if (s->n_chunk == s->chunk_samples)
            hear_chunk(s);
    }
}

/* The rest of a chunk at the end of the stream, filled up with silence. */
static void listen_to_end(struct recog_stream *s)
{
    if (s->n_chunk) {
        memset(s->chunk + s->n_chunk, 0, (s->chunk_samples - s->n_chunk) * sizeof(*s->chunk));
        s->n_chunk = s->chunk_samples;
        hear_chunk(s);
    }
    end_speech(s);
    s->ended = true;
}

/* Whether the stream is closed is looked at before what is there, and the flushes after that: so no
 * sample is missed, and none that was fed after a flush is heard before it.                      */
static void listen(struct recog_stream *s)
{
    bool closed = atomic_load_explicit(&s->closed, memory_order_acquire);
    s->there = (int64_t)(audio_ring_position(s->ring) + audio_ring_available(s->ring));
    uint64_t n_flushes = atomic_load_explicit(&s->n_flushes, memory_order_acquire);
    int64_t flush = (int64_t)atomic_load_explicit(&s->flushed_at, memory_order_acquire);
    int64_t most = s->heard + LISTEN_SECONDS * AUDIO_RATE_HZ;
    int64_t end = s->there < most ? s->there : most;
    s->unanswered = true;
    if (n_flushes > s->n_flushes_taken && flush <= end) {
        listen_to(s, flush);
        if (s->heard < flush || !has_room(s))
            return;
        end_speech(s);
        add_task(s, (struct task){.kind = TASK_FLUSHED, .n = n_flushes - s->n_flushes_taken});
        s->n_flushes_taken = n_flushes;
    }
    listen_to(s, end);
    if (closed && s->heard == s->there && !s->ended && n_flushes == s->n_flushes_taken &&
        has_room(s))
        listen_to_end(s);
    s->unanswered = n_flushes > s->n_flushes_taken || (closed && !s->ended);
}

/* Would another call listen further? */
static bool more_to_listen_to(const struct recog_stream *s)
{
    return has_room(s) && (s->heard < s->there || s->unanswered);
}

/* Let go of what nobody will hear again; a beginning of speech reaches back by its padding. */
static void release(struct recog_stream *s)
{
    const struct recog_endpoint *e = &s->endpoint;
    int64_t reach = (int64_t)(s->session->settings.options.vad_speech_pad_ms * AUDIO_RATE_HZ /
                              1000);
    int64_t keep = s->heard - reach - 2 * (int64_t)s->chunk_samples - AUDIO_MEL_HOP;
    keep = keep > e->floor ? keep : e->floor;
    if (e->open && e->begin < keep)
        keep = e->begin;
    for (size_t i = 0; i < s->n_tasks; i++) {
        if (s->tasks[i].kind == TASK_HEAR && s->tasks[i].utterance.begin < keep)
            keep = s->tasks[i].utterance.begin;
    }
    if (s->pass.session && s->pass.heard.begin < keep)
        keep = s->pass.heard.begin;
    keep = keep < s->heard ? keep : s->heard;
    int64_t oldest = (int64_t)audio_ring_position(s->ring);
    if (keep > oldest)
        (void)audio_ring_discard(s->ring, (size_t)(keep - oldest));
}

/* ---- Telling --------------------------------------------------------------------------------- */

static double seconds(int64_t samples)
{
    return rint((double)samples * 1000 / AUDIO_RATE_HZ) / 1000;
}

static enum auricle_error tell(struct recog_stream *s, enum auricle_stream_kind kind, int64_t start,
                               int64_t end)
{
    struct auricle_stream_event event = {
        .kind = kind, .start = seconds(start), .end = seconds(end)};
    if (s->session->language >= 0) {
        event.language = text_language_code(s->session->language);
        event.language_probability = s->session->language_probability;
    }
    return recog_events_add(&s->events, &event);
}

/* From time in the pass to time in the stream. */
static double moved(double time, int64_t begin)
{
    return rint((time + (double)begin / AUDIO_RATE_HZ) * 1000) / 1000;
}

static void move_segment(struct auricle_segment *segment, int64_t begin)
{
    struct auricle_word *words = (struct auricle_word *)(uintptr_t)segment->words; /* a copy's */
    segment->start = moved(segment->start, begin);
    segment->end = moved(segment->end, begin);
    segment->seek += begin / AUDIO_MEL_HOP;
    for (size_t i = 0; i < segment->n_words; i++) {
        words[i].start = moved(words[i].start, begin);
        words[i].end = moved(words[i].end, begin);
    }
}

/* What the stream has settled on is told with it, else what this pass made of it. */
static void put_language(const struct recog_stream *s, struct auricle_stream_event *event)
{
    const struct auricle_session *from = s->session->language >= 0 ? s->session : s->pass.session;
    event->language = from->language >= 0 ? text_language_code(from->language) : NULL;
    event->language_probability = from->language >= 0 ? from->language_probability : 0;
}

/* Mean probability of its tokens. */
static float confidence(const struct auricle_segment *segment)
{
    double sum = 0;
    for (size_t i = 0; i < segment->n_tokens; i++)
        sum += exp((double)segment->token_logprobs[i]);
    return segment->n_tokens ? (float)(sum / (double)segment->n_tokens) : 0;
}

static enum auricle_error tell_final(struct recog_stream *s, const struct auricle_segment *from,
                                     bool end_of_speech)
{
    struct auricle_segment segment;
    size_t begin, bytes = recog_trim(from->text, strlen(from->text), &begin);
    char *text = au_strndup(from->text + begin, bytes);
    enum auricle_error error = recog_segment_copy(&segment, from);
    if (!error)
        error = text ? AURICLE_OK : AURICLE_E_NOMEM;
    if (!error) {
        move_segment(&segment, s->pass.heard.begin);
        struct auricle_stream_event event = {.kind = AURICLE_STREAM_FINAL,
                                             .start = segment.start,
                                             .end = segment.end,
                                             .text = text,
                                             .segment = &segment,
                                             .confidence = confidence(&segment),
                                             .end_of_speech = end_of_speech};
        put_language(s, &event);
        error = recog_events_add(&s->events, &event);
    }
    recog_segment_deinit(&segment);
    au_free(text);
    return error;
}

/* Enough speech tells the language of all that follows. */
static void settle_language(struct recog_stream *s)
{
    const struct auricle_session *pass = s->pass.session;
    if (s->session->language >= 0 || pass->language < 0 ||
        s->pass.heard.voiced < LANGUAGE_SECONDS * AUDIO_RATE_HZ)
        return;
    s->session->language = pass->language;
    s->session->language_probability = pass->language_probability;
}

static enum auricle_error tell_finals(struct recog_stream *s)
{
    size_t n, last = 0;
    const struct auricle_segment *segments = auricle_session_segments(s->pass.session, &n);
    enum auricle_error error = AURICLE_OK;
    settle_language(s);
    for (size_t i = 0; i < n; i++)
        last = segments[i].n_tokens ? i : last;
    for (size_t i = 0; i < n && !error; i++) {
        if (segments[i].n_tokens)
            error = tell_final(s, &segments[i], s->pass.heard.last && i == last);
    }
    return error;
}

static enum auricle_error tell_partial(struct recog_stream *s)
{
    struct auricle_segment segment;
    enum auricle_error error = recog_pass_join(&s->pass, &segment);
    if (error || !segment.n_tokens)
        return error;
    if (s->agree_begin != s->pass.heard.begin)
        recog_agree_reset(&s->agree);
    s->agree_begin = s->pass.heard.begin;
    error = recog_agree_hear(
        &s->agree, segment.text, strlen(segment.text),
        text_language_has_spaces(recog_session_text_language(s->pass.session)));
    if (!error) {
        move_segment(&segment, s->pass.heard.begin);
        struct auricle_stream_event event = {.kind = AURICLE_STREAM_PARTIAL,
                                             .start = segment.start,
                                             .end = segment.end,
                                             .text = s->agree.shown.data,
                                             .n_stable = s->agree.n_stable,
                                             .segment = segment.n_words ? &segment : NULL,
                                             .confidence = confidence(&segment)};
        put_language(s, &event);
        error = recog_events_add(&s->events, &event);
    }
    recog_segment_deinit(&segment);
    return error;
}

/* ---- Hearing --------------------------------------------------------------------------------- */

/* After the finals of an utterance, or instead where it has none. */
static enum auricle_error utterance_over(struct recog_stream *s,
                                         const struct recog_utterance *heard)
{
    s->done = heard->end;
    return heard->last ? tell(s, AURICLE_STREAM_SPEECH_ENDED, heard->end, heard->end) : AURICLE_OK;
}

static void add_timings(struct recog_stream *s)
{
    struct auricle_timings *all = &s->session->timings;
    const struct auricle_timings *pass = &s->pass.session->timings;
    all->mel += pass->mel; /* the time of units was counted when they came back */
    all->encoder_windows += pass->encoder_windows;
    all->decoder_steps += pass->decoder_steps;
    all->decoder_tokens += pass->decoder_tokens;
}

static enum auricle_error pass_over(struct recog_stream *s)
{
    enum auricle_error error = AURICLE_OK;
    if (!s->pass.abandoned)
        error = s->pass.final ? tell_finals(s) : tell_partial(s);
    if (!error && s->pass.final)
        error = utterance_over(s, &s->pass.heard);
    add_timings(s);
    recog_pass_end(&s->pass);
    return error;
}

static enum auricle_error begin_pass(struct recog_stream *s, const struct recog_utterance *heard,
                                     bool final, struct au_fault *fault)
{
    s->pass.heard = *heard;
    s->pass.final = final;
    s->pass.ring = s->ring;
    int language = s->session->language;
    return recog_pass_begin(&s->pass, s->session,
                            language >= 0 ? text_language_code(language) : NULL, fault);
}

static struct task take_task(struct recog_stream *s)
{
    struct task first = s->tasks[0];
    memmove(s->tasks, s->tasks + 1, --s->n_tasks * sizeof(first));
    return first;
}

static enum auricle_error begin_task(struct recog_stream *s, struct au_fault *fault)
{
    struct task task = take_task(s);
    enum auricle_error error = AURICLE_OK;
    switch (task.kind) {
    case TASK_STARTED: return tell(s, AURICLE_STREAM_SPEECH_STARTED, task.start, task.start);
    case TASK_FLUSHED:
        for (uint64_t i = 0; i < task.n && !error; i++)
            error = tell(s, AURICLE_STREAM_FLUSHED, s->done, s->done);
        return error;
    case TASK_HEAR: break;
    }
    if (!task.utterance.voiced) /* what a cut left of it is silence */
        return utterance_over(s, &task.utterance);
    return begin_pass(s, &task.utterance, true, fault);
}

/* Is enough new to be heard of an utterance that goes on? */
static bool partial_due(const struct recog_stream *s)
{
    double new_ms = (double)(s->endpoint.voiced_end - s->partial_at) * 1000 / AUDIO_RATE_HZ;
    return s->options.partial_ms > 0 && s->endpoint.told && s->endpoint.voiced > 0 &&
           new_ms >= s->options.partial_ms;
}

static enum auricle_error begin_partial(struct recog_stream *s, struct au_fault *fault)
{
    const struct recog_utterance heard = {.begin = s->endpoint.begin,
                                          .end = s->endpoint.now < s->heard ? s->endpoint.now
                                                                            : s->heard,
                                          .voiced = s->endpoint.voiced};
    s->partial_at = s->endpoint.voiced_end;
    return begin_pass(s, &heard, false, fault);
}

/* A partial is of no use any more once the final can be had. */
static void give_way(struct recog_stream *s)
{
    if (!s->pass.session || s->pass.final || !s->n_tasks)
        return;
    s->pass.abandoned = true;
    if (s->pass.session->n_out)
        return;
    add_timings(s);
    recog_pass_end(&s->pass);
}

/* ---- The machine ----------------------------------------------------------------------------- */

/* The pass's next unit, as one of the stream's. */
static enum auricle_error pass_unit(struct recog_stream *s, struct auricle_unit **out,
                                    struct au_fault *fault)
{
    struct auricle_message message = {""};
    if (s->pass.abandoned)
        return AURICLE_OK;
    enum auricle_error error = auricle_session_next(s->pass.session, out, &message);
    if (error)
        return au_fail(fault, error, "%s", message.text);
    if (*out)
        (*out)->session = s->session;
    return AURICLE_OK;
}

static bool over(const struct recog_stream *s)
{
    return s->ended && !s->n_tasks && !s->pass.session;
}

/* Tasks and passes until one has a unit to hand out, or must wait. */
static enum auricle_error get_on(struct recog_stream *s, struct auricle_unit **out,
                                 struct au_fault *fault)
{
    enum auricle_error error = AURICLE_OK;
    while (!error && !*out) {
        if (s->pass.session) {
            error = pass_unit(s, out, fault);
            if (error || *out || !auricle_session_finished(s->pass.session))
                return error;
            error = pass_over(s);
        } else if (s->n_tasks) {
            error = begin_task(s, fault);
        } else if (partial_due(s)) {
            error = begin_partial(s, fault);
        } else {
            return AURICLE_OK;
        }
    }
    return error;
}

static enum auricle_error next(void *self, struct auricle_unit **out, struct au_fault *fault)
{
    struct recog_stream *s = self;
    listen(s);
    give_way(s);
    enum auricle_error error = get_on(s, out, fault);
    if (error)
        return fault->code ? error : recog_no_room(error, fault);
    release(s);
    if (*out)
        return AURICLE_OK;
    enum auricle_wait pass = s->pass.session ? auricle_session_wait(s->pass.session)
                                             : AURICLE_WAIT_AUDIO;
    s->session->idle = more_to_listen_to(s) ? AURICLE_WAIT_NONE : pass;
    return AURICLE_OK;
}

static enum auricle_error complete(void *self, struct auricle_unit *unit, struct au_fault *fault)
{
    struct recog_stream *s = self;
    struct auricle_message message = {""};
    if (!s->pass.session || !s->pass.session->n_out)
        return au_fail(fault, AURICLE_E_STATE, "this unit is not out: it was completed before");
    unit->session = s->pass.session;
    enum auricle_error error = auricle_session_complete(s->pass.session, unit, &message);
    if (error)
        return au_fail(fault, error, "%s", message.text);
    if (auricle_session_finished(s->pass.session) && !s->pass.abandoned)
        error = pass_over(s);
    else
        give_way(s);
    return error ? recog_not_kept(error, fault) : AURICLE_OK;
}

static bool finished(const void *self)
{
    return over(self);
}

static void position(const void *self, double *done, double *total)
{
    const struct recog_stream *s = self;
    *total = s->ended ? seconds(s->heard) : -1;
    *done = seconds(over(s) ? s->heard : s->done);
}

enum auricle_error recog_stream_start(struct recog_stream *s, struct auricle_session *session,
                                      struct au_fault *fault)
{
    s->session = session;
    session->strategy = (struct recog_strategy){s, next, complete, finished, position, destroy};
    double window = (double)recog_engine_window_frames(session->engine) / 100;
    enum auricle_error error = check(&session->settings.options, &s->options, window, fault);
    if (!error)
        error = fill_in(&s->options, window, fault);
    if (!error)
        error = make_detector(s, fault);
    if (!error)
        error = make_endpoint(s);
    if (!error)
        error = audio_ring_create((size_t)(s->options.buffer_seconds * AUDIO_RATE_HZ), &s->ring);
    return error;
}

/* ---- Public ---------------------------------------------------------------------------------- */

/* The session reads nothing itself; its length is how much was listened to. */
static enum auricle_error no_samples(void *context, int64_t first, size_t n, float *out,
                                     size_t *n_read, struct auricle_message *message)
{
    (void)context;
    (void)first;
    (void)n;
    (void)out;
    (void)n_read;
    (void)message;
    return AURICLE_E_AGAIN;
}

static int64_t heard_length(void *context)
{
    const struct recog_stream *s = context;
    return s->ended ? s->heard : -1;
}

static double heard_seconds(void *context)
{
    return (double)((const struct recog_stream *)context)->heard / AUDIO_RATE_HZ;
}

enum auricle_error auricle_session_create_stream(struct auricle_engine *engine,
                                                 const struct auricle_options *options,
                                                 const struct auricle_stream_options *stream,
                                                 struct auricle_session **out,
                                                 struct auricle_message *message)
{
    struct au_fault fault = {0};
    struct recog_source *source = NULL;
    struct recog_stream *s = au_calloc(1, sizeof(*s));
    enum auricle_error error = s ? AURICLE_OK : AURICLE_E_NOMEM;
    if (!error) {
        const struct auricle_feed feed = {.size = sizeof(feed),
                                          .context = s,
                                          .read = no_samples,
                                          .length = heard_length,
                                          .estimate = heard_seconds};
        s->options = *stream;
        s->agree_begin = -1;
        recog_agree_init(&s->agree);
        error = recog_source_from_feed(&feed, &source);
    }
    if (error)
        au_free(s);
    else
        error = recog_session_create(engine, source, options, s, out, &fault);
    return recog_message(error, &fault, message);
}

bool auricle_stream_next_event(struct auricle_session *session, struct auricle_stream_event *out)
{
    return recog_events_next(&stream_of(session)->events, out);
}
