/* whisper.cpp's front door: POST /inference.
 *
 * Every field of its server is known here. One that this engine has no counterpart for is accepted
 * with the value that changes nothing and refused by name with any other, so that nobody believes a
 * setting to be at work that is not.                                                             */
#include "api/rest/whispercpp.h"

#include "base/json.h"
#include "base/str.h"
#include "recog/render/json.h"
#include "recog/render/render.h"
#include "text/language.h"

enum { FORMAT_JSON, FORMAT_TEXT, FORMAT_SRT, FORMAT_VERBOSE_JSON, FORMAT_VTT };

struct inference_params {
    int offset_ms, duration_ms, best_of, beam_size, format;
    double logprob_threshold, no_speech_threshold, temperature, temperature_step;
    bool translate, detect_language, carry_prompt, suppress_symbols, vad, no_timestamps, words;
    bool no_probabilities;
    const char *language, *prompt, *model;
    double vad_threshold, vad_min_speech_ms, vad_min_silence_ms, vad_max_speech_s, vad_pad_ms;
};

#define AT(member)        offsetof(struct inference_params, member)
#define LEAST_PROBABILITY 0.001f
#define NO                "false|0|no|n"

/* clang-format off */
static const struct rest_param fields[] = {
    {"model", REST_TEXT, AT(model), 0, 0, NULL},
    {"offset_t", REST_INT, AT(offset_ms), 0, 1e9, NULL},
    {"duration", REST_INT, AT(duration_ms), 0, 1e9, NULL},
    {"best_of", REST_INT, AT(best_of), -1, 5, NULL},
    {"beam_size", REST_INT, AT(beam_size), -1, 5, NULL},
    {"logprob_thold", REST_NUMBER, AT(logprob_threshold), -100, 0, NULL},
    {"no_speech_thold", REST_NUMBER, AT(no_speech_threshold), 0, 1, NULL},
    {"temperature", REST_NUMBER, AT(temperature), 0, 1, NULL},
    {"temperature_inc", REST_NUMBER, AT(temperature_step), 0, 1, NULL},
    {"translate", REST_BOOL, AT(translate), 0, 0, NULL},
    {"detect_language", REST_BOOL, AT(detect_language), 0, 0, NULL},
    {"carry_initial_prompt", REST_BOOL, AT(carry_prompt), 0, 0, NULL},
    {"suppress_non_speech", REST_BOOL, AT(suppress_symbols), 0, 0, NULL},
    {"suppress_nst", REST_BOOL, AT(suppress_symbols), 0, 0, NULL},
    {"no_timestamps", REST_BOOL, AT(no_timestamps), 0, 0, NULL},
    {"token_timestamps", REST_BOOL, AT(words), 0, 0, NULL},
    {"language", REST_TEXT, AT(language), 0, 0, NULL},
    {"prompt", REST_TEXT, AT(prompt), 0, 0, NULL},
    {"response_format", REST_CHOICE, AT(format), 0, 0, "json|text|srt|verbose_json|vtt"},
    {"vad", REST_BOOL, AT(vad), 0, 0, NULL},
    {"vad_threshold", REST_NUMBER, AT(vad_threshold), 0, 1, NULL},
    {"vad_min_speech_duration_ms", REST_NUMBER, AT(vad_min_speech_ms), 0, 1e6, NULL},
    {"vad_min_silence_duration_ms", REST_NUMBER, AT(vad_min_silence_ms), 0, 1e6, NULL},
    {"vad_max_speech_duration_s", REST_NUMBER, AT(vad_max_speech_s), 0, 1e6, NULL},
    {"vad_speech_pad_ms", REST_NUMBER, AT(vad_pad_ms), 0, 1e6, NULL},
    {"offset_n", REST_FIXED, 0, 0, 0, "0"},
    {"max_context", REST_FIXED, 0, 0, 0, "-1|0"},
    {"max_len", REST_FIXED, 0, 0, 0, "0"},
    {"audio_ctx", REST_FIXED, 0, 0, 0, "0"},
    {"word_thold", REST_FIXED, 0, 0, 0, "0.01"},
    {"entropy_thold", REST_FIXED, 0, 0, 0, "2.4|2.40"},
    {"vad_samples_overlap", REST_FIXED, 0, 0, 0, "0.1"},
    {"debug_mode", REST_FIXED, 0, 0, 0, NO},
    {"diarize", REST_FIXED, 0, 0, 0, NO},
    {"tinydiarize", REST_FIXED, 0, 0, 0, NO},
    {"split_on_word", REST_FIXED, 0, 0, 0, NO},
    {"no_language_probabilities", REST_BOOL, AT(no_probabilities), 0, 0, NULL},
    {NULL, REST_TEXT, 0, 0, 0, NULL},
};
/* clang-format on */

static void set_defaults(void *params)
{
    struct inference_params *p = params;
    *p = (struct inference_params){.logprob_threshold = -1,
                                   .no_speech_threshold = 0.6,
                                   .temperature_step = 0.2,
                                   .suppress_symbols = true,
                                   .vad = true,
                                   .vad_threshold = -1,
                                   .vad_min_speech_ms = -1,
                                   .vad_min_silence_ms = -1,
                                   .vad_max_speech_s = -1,
                                   .vad_pad_ms = -1};
}

/* temperature, temperature + step ... up to 1; no step: the first alone. */
static void set_temperatures(const struct inference_params *p, struct auricle_options *o)
{
    o->n_temperatures = 0;
    for (int i = 0; i < AURICLE_MAX_TEMPERATURES; i++) {
        double temperature = p->temperature + i * p->temperature_step;
        if (temperature > 1.0 + 1e-6 || (i > 0 && p->temperature_step < 1e-3))
            return;
        o->temperatures[o->n_temperatures++] = (float)temperature;
    }
}

static void set_vad(const struct inference_params *p, struct auricle_options *o)
{
    if (!p->vad)
        o->vad = AURICLE_VAD_OFF;
    if (p->vad_threshold >= 0)
        o->vad_threshold = (float)p->vad_threshold;
    if (p->vad_min_speech_ms >= 0)
        o->vad_min_speech_ms = p->vad_min_speech_ms;
    if (p->vad_min_silence_ms >= 0)
        o->vad_min_silence_ms = p->vad_min_silence_ms;
    if (p->vad_max_speech_s > 0)
        o->vad_max_speech_seconds = p->vad_max_speech_s;
    if (p->vad_pad_ms >= 0)
        o->vad_speech_pad_ms = p->vad_pad_ms;
}

static enum auricle_error make_plan(struct rest_job *job, struct rest_reject *reject)
{
    const struct inference_params *p = job->params;
    struct auricle_options *o = &job->options;
    auricle_options_default(o);
    job->model = p->model;
    o->task = p->translate ? AURICLE_TASK_TRANSLATE : AURICLE_TASK_TRANSCRIBE;
    if (p->language && !p->detect_language && !au_str_equal_nocase(p->language, "auto")) {
        if (text_language_find(p->language) < 0)
            return rest_reject(reject, "language", "invalid_value",
                               "language is \"%s\", which is no language known here", p->language);
        o->language = p->language;
    }
    o->initial_prompt = p->prompt;
    o->carry_initial_prompt = p->carry_prompt;
    o->offset_seconds = p->offset_ms / 1e3;
    o->duration_seconds = p->duration_ms / 1e3;
    o->word_timestamps = rest_fields_find(&job->upload.fields, "token_timestamps")
                             ? p->words
                             : p->format == FORMAT_VERBOSE_JSON && !p->no_timestamps;
    o->without_timestamps = p->no_timestamps;
    o->logprob_threshold = (float)p->logprob_threshold;
    o->no_speech_threshold = (float)p->no_speech_threshold;
    if (p->beam_size > 0)
        o->beam_size = p->beam_size;
    if (p->best_of > 0)
        o->best_of = p->best_of;
    if (!p->suppress_symbols)
        o->n_suppress_tokens = 0;
    set_temperatures(p, o);
    set_vad(p, o);
    return AURICLE_OK;
}

/* ---- Answers --------------------------------------------------------------------------------- */

/* Those that its server would name. Where the language was given nothing was detected. */
static void put_probabilities(struct au_json_writer *w, const struct auricle_result *result)
{
    if (!result->language_probabilities)
        return;
    au_json_key(w, "language_probabilities");
    au_json_open_object(w);
    for (size_t i = 0; i < result->n_languages; i++)
        if (result->language_probabilities[i] > LEAST_PROBABILITY)
            recog_json_float(w, text_language_code((int)i), result->language_probabilities[i]);
    au_json_close_object(w);
}

static void put_verbose(struct au_json_writer *w, const struct inference_params *p,
                        const struct auricle_result *result)
{
    int language = result->language ? text_language_find(result->language) : -1;
    const char *name = language >= 0 ? text_language_name(language) : "";
    au_json_add_string(w, "task", p->translate ? "translate" : "transcribe");
    au_json_add_string(w, "language", name);
    recog_json_time(w, "duration", result->duration);
    au_json_add_string(w, "text", result->text);
    recog_json_segments(w, "segments", result->segments, result->n_segments, true);
    au_json_add_string(w, "detected_language", name);
    recog_json_float(w, "detected_language_probability", result->language_probability);
    if (!p->no_probabilities)
        put_probabilities(w, result);
}

/* One line per segment, as its server writes them. */
static void put_lines(const struct auricle_result *result, struct au_buf *out)
{
    for (size_t i = 0; i < result->n_segments; i++)
        au_buf_printf(out, "%s\n", result->segments[i].text);
}

static void put_json(struct au_json_writer *w, const struct auricle_result *result)
{
    struct au_buf lines;
    au_buf_init(&lines, 0);
    put_lines(result, &lines);
    au_json_key(w, "text");
    au_json_put_string_n(w, lines.data, lines.len);
    au_buf_deinit(&lines);
}

static const char *write_rendered(const char *format, const struct auricle_result *result,
                                  struct au_buf *out)
{
    const struct recog_render *render = recog_render_find(format);
    return recog_render_result(render, result, out) == AURICLE_OK ? render->media_type : NULL;
}

static const char *write(const struct rest_job *job, const struct service_outcome *outcome,
                         struct au_buf *out)
{
    const struct inference_params *p = job->params;
    struct au_json_writer w;
    if (p->format == FORMAT_SRT)
        return write_rendered("srt", outcome->result, out);
    if (p->format == FORMAT_VTT)
        return write_rendered("vtt", outcome->result, out);
    if (p->format == FORMAT_TEXT) {
        put_lines(outcome->result, out);
        return "text/plain; charset=utf-8"; /* never text/html: it holds what strangers said */
    }
    au_json_writer_init(&w, out, 0);
    au_json_open_object(&w);
    if (p->format == FORMAT_VERBOSE_JSON)
        put_verbose(&w, p, outcome->result);
    else
        put_json(&w, outcome->result);
    au_json_close_object(&w);
    au_buf_putc(out, '\n');
    return "application/json";
}

/* {"error": "sentence"}, as its clients know it. */
static void fail(struct http_request *request, const struct api_error *error)
{
    struct au_buf body;
    struct au_json_writer w;
    au_buf_init(&body, 0);
    au_json_writer_init(&w, &body, 0);
    au_json_open_object(&w);
    au_json_add_string(&w, "error", error->message);
    au_json_close_object(&w);
    api_answer_failure(request, error, &body);
    au_buf_deinit(&body);
}

const struct rest_door whispercpp_inference = {
    .table = fields,
    .params_bytes = sizeof(struct inference_params),
    .defaults = set_defaults,
    .plan = make_plan,
    .write = write,
    .fail = fail,
};
