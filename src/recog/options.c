/* Option profiles: what each decoding setting is unless the caller says otherwise. */
#include <math.h>
#include <stdbool.h>

#include "recog/options.h"

/* Stands for the non-speech tokens; see struct auricle_options. */
static const int32_t non_speech[] = {-1};

void auricle_options_reference(struct auricle_options *out)
{
    *out = (struct auricle_options){
        .size = sizeof(*out),
        .temperatures = {0.0f, 0.2f, 0.4f, 0.6f, 0.8f, 1.0f},
        .n_temperatures = 6,
        .long_form = AURICLE_LONG_FORM_SEQUENTIAL,
        .best_of = 5,
        .beam_size = 5,
        .patience = 1.0f,
        .length_penalty = -1.0f,
        .compression_ratio_threshold = 2.4f,
        .logprob_threshold = -1.0f,
        .no_speech_threshold = 0.6f,
        .condition_on_previous_text = true,
        .suppress_tokens = non_speech,
        .n_suppress_tokens = 1,
        .suppress_blank = true,
        .max_initial_timestamp = 1.0f,
        .hallucination_silence_threshold = -1,
        .as_original = true,
        .vad_threshold = 0.5f,
        .vad_min_speech_ms = 100,
        .vad_min_silence_ms = 160,
        .vad_speech_pad_ms = 400,
    };
}

void auricle_options_default(struct auricle_options *out)
{
    auricle_options_reference(out);
    out->long_form = AURICLE_LONG_FORM_AUTO;
    out->beam_size = 0;
    out->condition_on_previous_text = false;
    out->filter = true;
    out->as_original = false;
}

void auricle_options_strict(struct auricle_options *out)
{
    auricle_options_default(out);
    out->n_temperatures = 1;
    out->no_speech_threshold = 0.8f;
    out->logprob_threshold = -0.5f;
}

/* ---- Checks ---------------------------------------------------------------------------------- */

static enum auricle_error check_temperatures(const struct auricle_options *o,
                                             struct au_fault *fault)
{
    const float lowest = 0.01f; /* below, logits divided by it overflow */
    if (o->n_temperatures < 1 || o->n_temperatures > AURICLE_MAX_TEMPERATURES)
        return au_fail(fault, AURICLE_E_INVALID, "%d temperatures given; 1 to %d are accepted",
                       o->n_temperatures, AURICLE_MAX_TEMPERATURES);
    for (int i = 0; i < o->n_temperatures; i++) {
        float t = o->temperatures[i];
        if (!(t >= lowest && t <= 2) && !(t <= 0 && t >= 0))
            return au_fail(fault, AURICLE_E_INVALID,
                           "temperature %g is neither 0 nor between %g and 2", (double)t,
                           (double)lowest);
    }
    return AURICLE_OK;
}

static enum auricle_error check_search(const struct auricle_options *o, int max_beams,
                                       struct au_fault *fault)
{
    if (o->beam_size < 0 || o->beam_size > max_beams || o->best_of < 0 || o->best_of > max_beams)
        return au_fail(fault, AURICLE_E_INVALID,
                       "beam size %d and best-of %d: this engine was made for 0 to %d",
                       o->beam_size, o->best_of, max_beams);
    if (!(o->patience >= 0 && o->patience <= RECOG_MAX_PATIENCE))
        return au_fail(fault, AURICLE_E_INVALID, "patience %g is not above 0 and at most %d",
                       (double)o->patience, RECOG_MAX_PATIENCE);
    if (isnan(o->length_penalty) || o->length_penalty > 10)
        return au_fail(fault, AURICLE_E_INVALID,
                       "length penalty %g is not between 0 and 10; below 0 stands for none",
                       (double)o->length_penalty);
    if (o->max_tokens < 0)
        return au_fail(fault, AURICLE_E_INVALID, "max tokens %d is negative", o->max_tokens);
    if (isnan(o->max_initial_timestamp))
        return au_fail(fault, AURICLE_E_INVALID,
                       "the first timestamp's bound is not a number; below 0 stands for none");
    if (o->n_suppress_tokens < 0 || (o->n_suppress_tokens && !o->suppress_tokens))
        return au_fail(fault, AURICLE_E_INVALID, "%d suppressed tokens given, but no list of them",
                       o->n_suppress_tokens);
    return AURICLE_OK;
}

static enum auricle_error check_clips(const struct auricle_options *o, struct au_fault *fault)
{
    if (!(o->offset_seconds >= 0) || !(o->duration_seconds >= 0))
        return au_fail(fault, AURICLE_E_INVALID,
                       "offset %g s and duration %g s must not be negative", o->offset_seconds,
                       o->duration_seconds);
    if (o->n_clip_seconds < 0 || (o->n_clip_seconds && !o->clip_seconds))
        return au_fail(fault, AURICLE_E_INVALID, "%d clip times given, but no list of them",
                       o->n_clip_seconds);
    double last = 0;
    for (int i = 0; i < o->n_clip_seconds; i++) {
        if (!(o->clip_seconds[i] >= last))
            return au_fail(fault, AURICLE_E_INVALID,
                           "clip time %g s comes after %g s; clips are start, end, start ... from "
                           "the first to the last",
                           o->clip_seconds[i], last);
        last = o->clip_seconds[i];
    }
    return AURICLE_OK;
}

/* Silence around invented text is told from word times, in the form that can listen again. */
static enum auricle_error check_silence_skip(const struct auricle_options *o,
                                             struct au_fault *fault)
{
    if (isnan(o->hallucination_silence_threshold))
        return au_fail(fault, AURICLE_E_INVALID,
                       "the silence threshold is not a number; below 0 turns it off");
    if (o->hallucination_silence_threshold >= 0 &&
        (!o->word_timestamps || o->long_form == AURICLE_LONG_FORM_BATCHED))
        return au_fail(fault, AURICLE_E_INVALID,
                       "skipping silence around invented text needs word times and the sequential "
                       "long form");
    return AURICLE_OK;
}

static enum auricle_error check_input(const struct auricle_options *o, struct au_fault *fault)
{
    if (!(o->vad_max_speech_seconds >= 0))
        return au_fail(fault, AURICLE_E_INVALID,
                       "longest speech %g s is negative; 0 stands for what a window holds",
                       o->vad_max_speech_seconds);
    if (!(o->chunk_seconds == 0 || o->chunk_seconds >= 1))
        return au_fail(fault, AURICLE_E_INVALID,
                       "chunks of %g s: at least 1 is accepted; 0 stands for what the model reads "
                       "best",
                       o->chunk_seconds);
    if (o->chunk_seconds > 0 && recog_options_sequential(o))
        return au_fail(fault, AURICLE_E_INVALID,
                       "the length of chunks is for the batched long form; the sequential one goes "
                       "on where each window's text ended");
    if (o->raw_rate_hz < 0 || o->raw_channels < 0)
        return au_fail(fault, AURICLE_E_INVALID,
                       "raw samples at %d Hz in %d channels: neither may be negative",
                       o->raw_rate_hz, o->raw_channels);
    return AURICLE_OK;
}

/* Conditioning on previous text and listening again need one window after the other; nothing
 * else does. */
bool recog_options_sequential(const struct auricle_options *o)
{
    return o->long_form == AURICLE_LONG_FORM_SEQUENTIAL ||
           (o->long_form == AURICLE_LONG_FORM_AUTO &&
            (o->condition_on_previous_text || o->hallucination_silence_threshold >= 0));
}

void recog_options_vad(const struct auricle_options *o, double window_seconds,
                       struct recog_vad_options *out)
{
    bool shorter = o->vad_max_speech_seconds > 0 && o->vad_max_speech_seconds < window_seconds;
    out->threshold = (double)o->vad_threshold;
    out->min_speech_ms = o->vad_min_speech_ms;
    out->min_silence_ms = o->vad_min_silence_ms;
    out->speech_pad_ms = o->vad_speech_pad_ms;
    out->max_speech_s = shorter ? o->vad_max_speech_seconds : window_seconds;
}

/* What the batched form would refuse once it is made. */
static enum auricle_error check_batched(const struct auricle_options *o, struct au_fault *fault)
{
    double window_seconds = o->chunk_seconds > 0 ? o->chunk_seconds : 30;
    struct recog_vad_options vad = RECOG_VAD_DEFAULT;
    if (recog_options_sequential(o))
        return AURICLE_OK;
    if (o->condition_on_previous_text)
        return au_fail(fault, AURICLE_E_INVALID,
                       "windows decoded together cannot be conditioned on previous text: use the "
                       "sequential long form");
    if (o->vad == AURICLE_VAD_OFF)
        return AURICLE_OK;
    recog_options_vad(o, window_seconds, &vad);
    return recog_vad_options_check(&vad, fault);
}

enum auricle_error recog_options_check(const struct auricle_options *o, int max_beams,
                                       struct au_fault *fault)
{
    if (o->size != sizeof(*o))
        return au_fail(
            fault, AURICLE_E_INVALID,
            "options have %zu bytes, expected %zu: fill them with auricle_options_default", o->size,
            sizeof(*o));
    enum auricle_error error = check_temperatures(o, fault);
    if (!error)
        error = check_search(o, max_beams, fault);
    if (!error)
        error = check_clips(o, fault);
    if (!error)
        error = check_silence_skip(o, fault);
    if (!error)
        error = check_input(o, fault);
    return error ? error : check_batched(o, fault);
}
