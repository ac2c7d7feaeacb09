/* Sessions: making them, and handing the public calls to the long-form strategy. See session.h. */
#include "recog/session.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "recog/longform/batched.h"
#include "recog/longform/sequential.h"
#include "recog/message.h"
#include "recog/options.h"
#include "text/language.h"

/* New samples that one call of auricle_session_next looks through at most: some tens of
 * milliseconds of its owner's time.                                                              */
enum { LOOK_SAMPLES = 30 * AUDIO_RATE_HZ };

int32_t recog_session_language_token(const struct auricle_session *session)
{
    return session->engine->specials->language[session->language < 0 ? 0 : session->language];
}

const char *recog_session_text_language(const struct auricle_session *session)
{
    return session->settings.options.task == AURICLE_TASK_TRANSLATE
               ? "en"
               : text_language_code(session->language);
}

/* ---- Making ---------------------------------------------------------------------------------- */

static enum auricle_error unknown_language(const char *name, struct au_fault *fault)
{
    return au_fail(fault, AURICLE_E_INVALID,
                   "language \"%s\" is not known; use a code such as en or a name such as english",
                   name);
}

static enum auricle_error set_language(struct auricle_session *session, struct au_fault *fault)
{
    const struct auricle_options *o = &session->settings.options;
    const struct text_specials *specials = session->engine->specials;
    session->language = -1;
    session->language_probability = 1;
    if (!o->language) {
        if (!specials->multilingual)
            session->language = text_language_find("en");
        return AURICLE_OK;
    }
    session->language = text_language_find(o->language);
    if (session->language < 0)
        return unknown_language(o->language, fault);
    bool known = specials->multilingual ? session->language < specials->n_languages &&
                                              specials->language[session->language] >= 0
                                        : session->language == text_language_find("en");
    if (!known)
        return au_fail(fault, AURICLE_E_UNSUPPORTED, "this model does not know %s; it is %s",
                       text_language_name(session->language),
                       specials->multilingual ? "an earlier multilingual one"
                                              : "an English-only one");
    return AURICLE_OK;
}

/* Which languages detection may choose: those of the list that the model knows. */
static enum auricle_error set_candidates(struct auricle_session *session, struct au_fault *fault)
{
    const struct text_specials *specials = session->engine->specials;
    const char *list = session->settings.options.languages;
    bool any = false;
    for (int i = 0; i < TEXT_MAX_LANGUAGES; i++)
        session->candidates[i] = list ? -1 : specials->language[i];
    while (list && *list) {
        size_t n = strcspn(list, ",");
        char name[64];
        snprintf(name, sizeof(name), "%.*s", (int)n, list);
        int index = text_language_find(name);
        if (index < 0)
            return unknown_language(name, fault);
        session->candidates[index] = specials->language[index];
        any = any || specials->language[index] >= 0;
        list += n + (list[n] == ',');
    }
    if (session->settings.options.languages && specials->multilingual && !any)
        return au_fail(fault, AURICLE_E_UNSUPPORTED,
                       "this model knows none of the languages \"%s\"",
                       session->settings.options.languages);
    return AURICLE_OK;
}

static enum auricle_error check_task(const struct auricle_session *session, struct au_fault *fault)
{
    if (session->settings.options.task == AURICLE_TASK_TRANSLATE &&
        !session->engine->specials->multilingual)
        return au_fail(fault, AURICLE_E_UNSUPPORTED,
                       "this model is English-only and cannot translate; use a multilingual one");
    return AURICLE_OK;
}

enum auricle_error recog_no_room(enum auricle_error error, struct au_fault *fault)
{
    return au_fail(
        fault, error,
        "out of memory for another window: lower the beam size or wait for others to end");
}

enum auricle_error recog_not_kept(enum auricle_error error, struct au_fault *fault)
{
    return au_fail(fault, error,
                   error == AURICLE_E_STATE ? "this unit is not out: it was completed before"
                                            : "out of memory while keeping the transcript");
}

/* Conditioning on previous text and listening again need one window after the other; nothing else
 * does. */
static enum auricle_error make_strategy(struct auricle_session *session, struct au_fault *fault)
{
    if (session->stream)
        return recog_stream_start(session->stream, session, fault);
    return recog_options_sequential(&session->settings.options)
               ? recog_sequential_create(session, &session->strategy, fault)
               : recog_batched_create(session, &session->strategy, fault);
}

/* A model may ask for a beam; the engine's memory bounds it. */
static void choose_beam(struct auricle_session *session)
{
    struct auricle_engine *engine = session->engine;
    int asked = whisper_beams(engine->model);
    if (!session->settings.options.beam_size)
        session->settings.options.beam_size = asked < engine->max_beams ? asked : engine->max_beams;
}

static enum auricle_error build(struct auricle_session *session,
                                const struct auricle_options *options, struct au_fault *fault)
{
    struct auricle_engine *engine = session->engine;
    enum auricle_error error = recog_options_check(options, engine->max_beams, fault);
    /* Ids above the timestamps are padding of the vocabulary, or tokens that are no time. */
    size_t n_vocab = (size_t)engine->dims->n_vocab,
           n_times = (size_t)engine->specials->timestamp_begin + (size_t)engine->dims->n_audio_ctx +
                     1;
    if (!error)
        error = recog_settings_init(&session->settings, options);
    if (!error) {
        choose_beam(session);
        error = set_language(session, fault);
    }
    if (!error)
        error = set_candidates(session, fault);
    if (!error)
        error = check_task(session, fault);
    if (!error)
        error = recog_rules_init(&session->rules, engine->tokenizer,
                                 n_times < n_vocab ? n_times : n_vocab, options);
    if (!error)
        error = recog_prompt_encode(engine->tokenizer, options->hotwords, &session->hotwords,
                                    &session->n_hotwords);
    if (!error)
        error = recog_result_create(&session->result);
    if (!error)
        error = make_strategy(session, fault);
    return error;
}

enum auricle_error recog_session_create(struct auricle_engine *engine, struct recog_source *source,
                                        const struct auricle_options *options,
                                        struct recog_stream *stream, struct auricle_session **out,
                                        struct au_fault *fault)
{
    struct auricle_session *session = au_calloc(1, sizeof(*session));
    if (!session) {
        recog_stream_destroy(stream);
        recog_source_close(source);
        return AURICLE_E_NOMEM;
    }
    session->engine = engine;
    session->source = source;
    session->stream = stream;
    session->started_ns = au_now_ns();
    session->max_windows = engine->max_windows;
    enum auricle_error error = build(session, options, fault);
    if (error) {
        auricle_session_destroy(session);
        return error;
    }
    *out = session;
    return AURICLE_OK;
}

enum auricle_error recog_session_open(struct auricle_engine *engine, const char *path,
                                      const struct auricle_options *options, audio_go_on *go_on,
                                      void *context, struct auricle_session **out,
                                      struct auricle_message *message)
{
    struct au_fault fault = {0};
    struct recog_source *source = NULL;
    struct audio_decode_options decode = {.go_on = go_on, .go_on_context = context};
    enum auricle_error error = recog_options_check(options, engine->max_beams, &fault);
    if (!error)
        error = recog_settings_input(options, &decode, &fault);
    if (!error)
        error = recog_source_open(path, &decode, &source, &fault);
    if (!error)
        error = recog_session_create(engine, source, options, NULL, out, &fault);
    return recog_message(error, &fault, message);
}

enum auricle_error auricle_session_create(struct auricle_engine *engine, const char *path,
                                          const struct auricle_options *options,
                                          struct auricle_session **out,
                                          struct auricle_message *message)
{
    return recog_session_open(engine, path, options, NULL, NULL, out, message);
}

enum auricle_error auricle_session_create_samples(struct auricle_engine *engine,
                                                  const float *samples, size_t n,
                                                  const struct auricle_options *options,
                                                  struct auricle_session **out,
                                                  struct auricle_message *message)
{
    struct au_fault fault = {0};
    struct recog_source *source = NULL;
    enum auricle_error error = recog_source_from_samples(samples, n, &source);
    if (!error)
        error = recog_session_create(engine, source, options, NULL, out, &fault);
    return recog_message(error, &fault, message);
}

static enum auricle_error check_feed(const struct auricle_feed *feed, struct au_fault *fault)
{
    if (feed->size != sizeof(*feed))
        return au_fail(fault, AURICLE_E_INVALID, "a feed has %zu bytes, expected %zu", feed->size,
                       sizeof(*feed));
    if (!feed->read || !feed->length || !feed->estimate)
        return au_fail(fault, AURICLE_E_INVALID,
                       "a feed needs its functions read, length and estimate");
    return AURICLE_OK;
}

enum auricle_error auricle_session_create_feed(struct auricle_engine *engine,
                                               const struct auricle_feed *feed,
                                               const struct auricle_options *options,
                                               struct auricle_session **out,
                                               struct auricle_message *message)
{
    struct au_fault fault = {0};
    struct recog_source *source = NULL;
    enum auricle_error error = check_feed(feed, &fault);
    if (!error)
        error = recog_source_from_feed(feed, &source);
    if (!error)
        error = recog_session_create(engine, source, options, NULL, out, &fault);
    return recog_message(error, &fault, message);
}

void auricle_session_set_max_windows(struct auricle_session *session, int n)
{
    int most = session->engine->max_windows;
    session->max_windows = n < 1 ? 1 : n < most ? n : most;
}

void auricle_session_destroy(struct auricle_session *session)
{
    if (!session)
        return;
    if (session->strategy.destroy)
        session->strategy.destroy(session->strategy.self);
    else
        recog_stream_destroy(session->stream);
    recog_cells_unclaim(session->engine->free_cells, &session->claim);
    recog_source_close(session->source);
    recog_rules_deinit(&session->rules);
    recog_settings_deinit(&session->settings);
    au_free(session->hotwords);
    if (session->result)
        auricle_result_destroy(&session->result->pub);
    au_free(session);
}

/* ---- Work ------------------------------------------------------------------------------------ */

static enum auricle_error result_taken(struct au_fault *fault)
{
    return au_fail(fault, AURICLE_E_STATE,
                   "the result of this session was taken, and with that it has ended");
}

enum auricle_error auricle_session_next(struct auricle_session *session, struct auricle_unit **out,
                                        struct auricle_message *message)
{
    struct au_fault fault = {0};
    *out = NULL;
    if (!session->result)
        return recog_message(result_taken(&fault), &fault, message);
    session->idle = AURICLE_WAIT_UNITS;
    recog_source_allow(session->source, LOOK_SAMPLES);
    enum auricle_error error = session->strategy.next(session->strategy.self, out, &fault);
    if (error == AURICLE_E_AGAIN) {
        error = AURICLE_OK;
        if (session->idle == AURICLE_WAIT_UNITS)
            session->idle = recog_source_starved(session->source) ? AURICLE_WAIT_AUDIO
                                                                  : AURICLE_WAIT_NONE;
    }
    session->n_out += *out != NULL;
    return recog_message(error, &fault, message);
}

enum auricle_wait auricle_session_wait(const struct auricle_session *session)
{
    if (auricle_session_finished(session))
        return AURICLE_WAIT_END;
    if (session->idle == AURICLE_WAIT_NONE)
        return AURICLE_WAIT_NONE;
    return session->n_out ? AURICLE_WAIT_UNITS : session->idle;
}

enum auricle_error auricle_session_complete(struct auricle_session *session,
                                            struct auricle_unit *unit,
                                            struct auricle_message *message)
{
    struct au_fault fault = {0};
    enum auricle_error error = session->result ? AURICLE_OK : result_taken(&fault);
    if (!error && unit->session != session)
        error = au_fail(&fault, AURICLE_E_STATE, "this unit belongs to another session");
    if (error)
        return recog_message(error, &fault, message);
    if (unit->kind == RECOG_UNIT_ENCODE)
        session->timings.encoder += unit->seconds;
    else
        session->timings.decoder += unit->seconds;
    error = session->strategy.complete(session->strategy.self, unit, &fault);
    session->n_out -= !error;
    session->idle = AURICLE_WAIT_NONE;
    return recog_message(error, &fault, message);
}

bool auricle_session_finished(const struct auricle_session *session)
{
    return session->strategy.finished(session->strategy.self);
}

const struct auricle_segment *auricle_session_segments(const struct auricle_session *session,
                                                       size_t *n)
{
    *n = session->result ? session->result->pub.n_segments : 0;
    return session->result ? session->result->pub.segments : NULL;
}

/* How much of the parts that are asked for lies in the recording's first `seconds`; -1: no end. */
static double asked_within(const struct auricle_options *o, double seconds)
{
    const double part[] = {o->offset_seconds, o->offset_seconds + o->duration_seconds};
    const double *times = o->n_clip_seconds ? o->clip_seconds : part;
    int n = o->n_clip_seconds ? o->n_clip_seconds : o->duration_seconds > 0 ? 2 : 1;
    double sum = 0;
    for (int i = 0; i < n; i += 2) {
        double end = i + 1 < n && times[i + 1] < seconds ? times[i + 1] : seconds;
        sum += end > times[i] ? end - times[i] : 0;
    }
    return isfinite(sum) ? sum : -1;
}

void auricle_session_position(const struct auricle_session *session, double *seconds_done,
                              double *seconds_total)
{
    const struct auricle_options *o = &session->settings.options;
    double done, total;
    session->strategy.position(session->strategy.self, &done, &total);
    *seconds_total = asked_within(o, total >= 0 ? total : (double)INFINITY);
    bool all = auricle_session_finished(session) && *seconds_total >= 0;
    *seconds_done = all ? *seconds_total : asked_within(o, done);
}

/* The text of the whole is what the tokens of all kept segments say together: characters whose
 * bytes lie in two segments come out whole.                                                      */
static enum auricle_error write_text(struct auricle_session *session)
{
    struct recog_result *result = session->result;
    size_t n = 0;
    for (size_t i = 0; i < result->pub.n_segments; i++)
        n += result->segments[i].n_tokens;
    int32_t *tokens = au_alloc_array(n ? n : 1, sizeof(*tokens));
    if (!tokens)
        return AURICLE_E_NOMEM;
    n = 0;
    for (size_t i = 0; i < result->pub.n_segments; i++) {
        const struct auricle_segment *segment = &result->segments[i];
        if (segment->n_tokens)
            memcpy(tokens + n, segment->tokens, segment->n_tokens * sizeof(*tokens));
        n += segment->n_tokens;
    }
    au_buf_clear(&result->text);
    enum auricle_error error = text_decode(session->engine->tokenizer, tokens, n, &result->text);
    recog_result_publish(result);
    au_free(tokens);
    return error;
}

/* Seconds of audio: exact once the end was seen, else what the file says of itself, else how far it
 * was heard. */
static double duration(const struct auricle_session *session)
{
    const struct auricle_options *o = &session->settings.options;
    double seconds = recog_source_estimate(session->source), total;
    if (seconds >= 0)
        return seconds;
    session->strategy.position(session->strategy.self, &seconds, &total);
    double last = o->n_clip_seconds ? o->clip_seconds[o->n_clip_seconds - 1]
                                    : o->offset_seconds + o->duration_seconds;
    return auricle_session_finished(session) && last > seconds ? last : seconds;
}

/* A part that begins behind the end is no recording without speech: the warning tells them
 * apart. */
static enum auricle_error warn(struct auricle_session *session)
{
    const struct auricle_options *o = &session->settings.options;
    const char *warning = recog_source_warning(session->source);
    int64_t length = recog_source_length(session->source);
    double first = o->n_clip_seconds ? o->clip_seconds[0] : o->offset_seconds;
    double seconds = (double)length / AUDIO_RATE_HZ;
    char sentence[160];
    if (!warning && length >= 0 && first > 0 && first >= seconds) {
        snprintf(sentence, sizeof(sentence),
                 "nothing to hear: the part that was asked for begins at %g s, and the recording "
                 "ends after %.1f s",
                 first, seconds);
        warning = sentence;
    }
    return warning ? recog_result_set_warning(session->result, warning) : AURICLE_OK;
}

enum auricle_error auricle_session_take_result(struct auricle_session *session,
                                               struct auricle_result **out)
{
    struct recog_result *result = session->result;
    if (!result)
        return AURICLE_E_STATE;
    /* A warning that is there says more: the session was stopped. */
    enum auricle_error error = result->warning ? AURICLE_OK : warn(session);
    if (!error)
        error = write_text(session);
    if (error)
        return error;
    bool decided = session->language >= 0;
    result->pub.language = decided ? text_language_code(session->language) : NULL;
    result->pub.language_probability = decided ? session->language_probability : 0;
    if (session->language_samples > 0) {
        size_t bytes = sizeof(result->language_probabilities);
        memcpy(result->language_probabilities, session->language_probabilities, bytes);
        result->pub.language_probabilities = result->language_probabilities;
        result->pub.n_languages = TEXT_N_LANGUAGES;
    }
    result->pub.duration = duration(session);
    result->pub.timings = session->timings;
    result->pub.timings.decode_audio = recog_source_decode_seconds(session->source);
    result->pub.timings.mel += recog_source_mel_seconds(session->source);
    result->pub.timings.total = (double)(au_now_ns() - session->started_ns) * 1e-9;
    *out = &result->pub;
    session->result = NULL;
    return AURICLE_OK;
}
