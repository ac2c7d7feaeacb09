/* Cutting a recording into windows of speech. See packer.h. */
#include "recog/longform/packer.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "recog/longform/clips.h"
#include "recog/options.h"
#include "recog/voice/vad.h"

enum {
    BLOCK = AUDIO_RATE_HZ,            /* samples fed to the detector at a time */
    QUIET_SEARCH = 5 * AUDIO_RATE_HZ, /* how far before its end a window is cut without detector */
    MAX_PENDING = BLOCK / 256 + 8,    /* more spans than chunks a block cannot hold */
    QUIET_SPAN = AUDIO_RATE_HZ / 10,  /* length of the quietest moment */
};

struct recog_packer {
    struct auricle_session *session;
    struct recog_vad *vad; /* NULL: windows are cut by loudness alone */
    struct recog_clips clips;
    size_t window;
    float *block;                             /* [BLOCK] */
    int64_t origin;                           /* where the detector began to listen */
    int64_t fed;                              /* samples before this one were given to it */
    int64_t cut;                              /* without detector: where the next window begins */
    bool at_end;                              /* the detector has been finished */
    struct recog_speech pending[MAX_PENDING]; /* found and not packed yet, oldest first */
    size_t n_pending;
};

static void put_back(struct recog_packer *packer, struct recog_speech speech)
{
    assert(packer->n_pending < MAX_PENDING);
    memmove(packer->pending + 1, packer->pending, packer->n_pending * sizeof(speech));
    packer->pending[0] = speech;
    packer->n_pending++;
}

static struct recog_speech take_first(struct recog_packer *packer)
{
    struct recog_speech first = packer->pending[0];
    memmove(packer->pending, packer->pending + 1, --packer->n_pending * sizeof(first));
    return first;
}

/* The caller's options, with speech cut so that every stretch fits a window. */
static enum auricle_error make_detector(struct recog_packer *packer, struct au_fault *fault)
{
    const struct auricle_engine *engine = packer->session->engine;
    const struct auricle_options *o = &packer->session->settings.options;
    struct recog_vad_config config = {.model = o->vad == AURICLE_VAD_ENERGY ? NULL : engine->vad,
                                      .rate_hz = AUDIO_RATE_HZ,
                                      .options = RECOG_VAD_DEFAULT,
                                      .energy = RECOG_VAD_ENERGY_DEFAULT};
    double window = (double)packer->window / AUDIO_RATE_HZ;
    if (o->vad == AURICLE_VAD_SILERO && !engine->vad)
        return au_fail(
            fault, AURICLE_E_NOT_FOUND,
            "no voice activity model is loaded: name one, or use --vad energy or --vad off");
    recog_options_vad(o, window, &config.options);
    return recog_vad_create(&config, &packer->vad, fault);
}

enum auricle_error recog_packer_create(struct auricle_session *session, size_t window_samples,
                                       struct recog_packer **out, struct au_fault *fault)
{
    struct recog_packer *packer = au_calloc(1, sizeof(*packer));
    if (!packer)
        return au_fail(fault, AURICLE_E_NOMEM, "out of memory");
    packer->session = session;
    packer->window = window_samples;
    packer->block = au_alloc_array(BLOCK, sizeof(float));
    enum auricle_error error = packer->block ? AURICLE_OK : AURICLE_E_NOMEM;
    if (!error)
        error = recog_clips_init(&packer->clips, &session->settings.options);
    if (!error && session->settings.options.vad != AURICLE_VAD_OFF)
        error = make_detector(packer, fault);
    if (error) {
        recog_packer_destroy(packer);
        return error;
    }
    *out = packer;
    return AURICLE_OK;
}

void recog_packer_destroy(struct recog_packer *packer)
{
    if (!packer)
        return;
    recog_vad_destroy(packer->vad);
    recog_clips_deinit(&packer->clips);
    au_free(packer->block);
    au_free(packer);
}

/* ---- Stretches from the detector ------------------------------------------------------------- */

static void take_spans(struct recog_packer *packer)
{
    struct recog_speech speech;
    while (recog_vad_next(packer->vad, &speech)) {
        assert(packer->n_pending < MAX_PENDING);
        packer->pending[packer->n_pending++] = (struct recog_speech){packer->origin + speech.start,
                                                                     packer->origin + speech.end};
    }
}

/* Feed one more block; at the end of the recording the detector is told. */
static enum auricle_error feed(struct recog_packer *packer, struct au_fault *fault)
{
    size_t n, done = 0;
    enum auricle_error error = recog_source_read(packer->session->source, packer->fed, BLOCK,
                                                 packer->block, &n, fault);
    if (error)
        return error;
    while (done < n) {
        done += recog_vad_feed(packer->vad, packer->block + done, n - done);
        take_spans(packer);
    }
    packer->fed += (int64_t)n;
    if (n < BLOCK) {
        recog_vad_finish(packer->vad);
        take_spans(packer);
        packer->at_end = true;
    }
    return AURICLE_OK;
}

/* What lies before a clip is passed over: the detector begins anew where the clip begins. */
static void jump(struct recog_packer *packer, int64_t to)
{
    recog_vad_finish(packer->vad);
    take_spans(packer);
    recog_vad_reset(packer->vad);
    packer->origin = packer->fed = to;
}

/* Behind the last clip nothing needs to be heard: the rest of the recording is left unread. */
static enum auricle_error hear_more(struct recog_packer *packer, struct au_fault *fault)
{
    struct recog_speech wanted;
    if (!recog_clips_at(&packer->clips, packer->fed, &wanted)) {
        recog_vad_finish(packer->vad);
        take_spans(packer);
        packer->at_end = true;
        return AURICLE_OK;
    }
    if (wanted.start > packer->fed)
        jump(packer, wanted.start);
    return feed(packer, fault);
}

/* Next stretch of speech inside the clips; false at the end. */
static enum auricle_error detected(struct recog_packer *packer, struct recog_speech *out,
                                   bool *found, struct au_fault *fault)
{
    *found = false;
    for (;;) {
        if (!packer->n_pending) {
            if (packer->at_end)
                return AURICLE_OK;
            enum auricle_error error = hear_more(packer, fault);
            if (error)
                return error;
            continue;
        }
        struct recog_speech speech = take_first(packer), rest;
        if (!recog_clips_cut(&packer->clips, &speech, out, &rest))
            continue;
        if (rest.start < rest.end)
            put_back(packer, rest);
        *found = true;
        return AURICLE_OK;
    }
}

/* ---- Stretches by loudness ------------------------------------------------------------------- */

/* Middle of the quietest moment in samples [begin, n). */
static size_t quietest(const float *samples, size_t begin, size_t n)
{
    double sum = 0, best = (double)INFINITY;
    size_t at = n;
    for (size_t i = begin; i < n; i++) {
        sum += (double)samples[i] * (double)samples[i];
        if (i < begin + QUIET_SPAN)
            continue;
        sum -= (double)samples[i - QUIET_SPAN] * (double)samples[i - QUIET_SPAN];
        if (sum < best) {
            best = sum;
            at = i - QUIET_SPAN / 2;
        }
    }
    return at;
}

static enum auricle_error by_loudness(struct recog_packer *packer, float *samples, size_t *n,
                                      struct recog_timeline *timeline, struct au_fault *fault)
{
    struct recog_speech clip;
    if (!recog_clips_at(&packer->clips, packer->cut, &clip))
        return AURICLE_OK;
    int64_t left = clip.end - clip.start;
    size_t wanted = left < (int64_t)packer->window ? (size_t)left : packer->window, got;
    enum auricle_error error = recog_source_read(packer->session->source, clip.start, wanted,
                                                 samples, &got, fault);
    if (error)
        return error;
    bool more = got == packer->window && left > (int64_t)packer->window;
    size_t search = got < 2 * (size_t)QUIET_SEARCH ? got / 2 : (size_t)QUIET_SEARCH;
    *n = more ? quietest(samples, got - search, got) : got;
    packer->cut = clip.start + (int64_t)(*n ? *n : wanted);
    if (*n)
        (void)recog_timeline_add(timeline, clip.start, (int64_t)*n);
    return AURICLE_OK;
}

/* ---- Windows --------------------------------------------------------------------------------- */

/* Put as much of a stretch into the window as it takes; *full when some is left. */
static enum auricle_error lay(struct recog_packer *packer, struct recog_speech speech,
                              float *samples, size_t *n, struct recog_timeline *timeline,
                              bool *full, struct au_fault *fault)
{
    size_t length = (size_t)(speech.end - speech.start), room = packer->window - *n, got;
    *full = length > room || timeline->n == RECOG_MAX_STRETCHES;
    if (*full && *n) {
        put_back(packer, speech);
        return AURICLE_OK;
    }
    size_t taken = length < room ? length : room;
    enum auricle_error error = recog_source_read(packer->session->source, speech.start, taken,
                                                 samples + *n, &got, fault);
    if (error) {
        put_back(packer, speech);
        return error;
    }
    if (taken < length)
        put_back(packer, (struct recog_speech){speech.start + (int64_t)taken, speech.end});
    if (got)
        (void)recog_timeline_add(timeline, speech.start, (int64_t)got);
    *n += got;
    return AURICLE_OK;
}

enum auricle_error recog_packer_fill(struct recog_packer *packer, float *samples, size_t *n,
                                     struct recog_timeline *timeline, struct au_fault *fault)
{
    if (!packer->vad)
        return by_loudness(packer, samples, n, timeline, fault);
    for (bool full = false; !full;) {
        struct recog_speech speech;
        bool found;
        enum auricle_error error = detected(packer, &speech, &found, fault);
        if (error || !found)
            return error;
        error = lay(packer, speech, samples, n, timeline, &full, fault);
        if (error)
            return error;
    }
    return AURICLE_OK;
}
