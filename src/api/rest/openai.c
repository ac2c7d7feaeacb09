/* What the fields of OpenAI's audio endpoints ask for. See openai.h. */
#include "api/rest/openai.h"

#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "text/language.h"

#define AT(member) offsetof(struct openai_params, member)

enum { PROFILE_DEFAULT, PROFILE_STRICT, PROFILE_REFERENCE };
static const char *const formats[] = {
    [OPENAI_JSON] = "json", [OPENAI_TEXT] = "text",
    [OPENAI_SRT] = "srt",   [OPENAI_VERBOSE_JSON] = "verbose_json",
    [OPENAI_VTT] = "vtt",
};

/* Fields of both endpoints, for each table to begin with. */
/* clang-format off */
#define COMMON_FIELDS                                                                     \
    {"model", REST_TEXT, AT(model), 0, 0, NULL},                                          \
    {"prompt", REST_TEXT, AT(prompt), 0, 0, NULL},                                        \
    {"response_format", REST_TEXT, AT(response_format), 0, 0, NULL},                      \
    {"temperature", REST_NUMBER, AT(temperature), 0, 1, NULL},                            \
    {"profile", REST_CHOICE, AT(profile), 0, 0, "default|strict|reference"},              \
    {"beam_size", REST_INT, AT(beam_size), 1, 5, NULL},                                   \
    {"best_of", REST_INT, AT(best_of), 1, 5, NULL},                                       \
    {"hotwords", REST_TEXT, AT(hotwords), 0, 0, NULL},                                    \
    {"vad_filter", REST_BOOL, AT(vad_filter), 0, 0, NULL}

static const struct rest_param transcription_fields[] = {
    COMMON_FIELDS,
    {"language", REST_TEXT, AT(language), 0, 0, NULL},
    {"languages", REST_LIST, AT(languages), 0, 0, NULL},
    {"keywords", REST_LIST, AT(keywords), 0, 0, NULL},
    {"include", REST_LIST, AT(include), 0, 0, NULL},
    {"timestamp_granularities", REST_LIST, AT(granularities), 0, 0, NULL},
    {"stream", REST_BOOL, AT(stream), 0, 0, NULL},
    {"chunking_strategy", REST_TEXT, AT(chunking), 0, 0, NULL},
    {"chunking_strategy[type]", REST_TEXT, AT(chunking_type), 0, 0, NULL},
    {"chunking_strategy[prefix_padding_ms]", REST_NUMBER, AT(prefix_padding_ms), 0, 10000, NULL},
    {"chunking_strategy[silence_duration_ms]", REST_NUMBER, AT(silence_duration_ms), 0, 10000,
     NULL},
    {"chunking_strategy[threshold]", REST_NUMBER, AT(threshold), 0, 1, NULL},
    {"known_speaker_names", REST_LIST, AT(speakers), 0, 0, NULL},
    {"known_speaker_references", REST_LIST, AT(references), 0, 0, NULL},
    {NULL, REST_TEXT, 0, 0, 0, NULL},
};
static const struct rest_param translation_fields[] = {
    COMMON_FIELDS,
    {NULL, REST_TEXT, 0, 0, 0, NULL},
};
/* clang-format on */

static void set_defaults(void *params)
{
    struct openai_params *p = params;
    *p = (struct openai_params){.prefix_padding_ms = -1,
                                .silence_duration_ms = -1,
                                .threshold = -1,
                                .vad_filter = true,
                                .segment_times = true};
}

/* ---- What is asked for ----------------------------------------------------------------------- */

static enum auricle_error read_format(struct openai_params *p, struct rest_reject *reject)
{
    const char *name = p->response_format ? p->response_format : formats[OPENAI_JSON];
    if (au_str_equal(name, "diarized_json"))
        return rest_reject(reject, "response_format", "unsupported_value",
                           "response_format is \"diarized_json\", but this server does not tell "
                           "speakers apart; ask for json or verbose_json");
    while (p->format < OPENAI_N_FORMATS && !au_str_equal(name, formats[p->format]))
        p->format++;
    if (p->format == OPENAI_N_FORMATS)
        return rest_reject(reject, "response_format", "invalid_value",
                           "response_format is \"%s\"; one of json, text, srt, verbose_json and "
                           "vtt is expected",
                           name);
    if (p->speakers.n || p->references.n)
        return rest_reject(reject,
                           p->speakers.n ? "known_speaker_names" : "known_speaker_references",
                           "unsupported_value",
                           "this server does not tell speakers apart; leave out known speakers");
    if (p->stream && p->format != OPENAI_JSON && p->format != OPENAI_TEXT)
        return rest_reject(reject, "stream", "invalid_value",
                           "stream goes with response_format json or text only");
    return AURICLE_OK;
}

static enum auricle_error read_granularities(struct openai_params *p, struct rest_reject *reject)
{
    static const char name[] = "timestamp_granularities";
    if (!p->granularities.n)
        return AURICLE_OK;
    p->segment_times = false;
    for (size_t i = 0; i < p->granularities.n; i++) {
        if (au_str_equal(p->granularities.at[i], "word"))
            p->word_times = true;
        else if (au_str_equal(p->granularities.at[i], "segment"))
            p->segment_times = true;
        else
            return rest_reject(reject, name, "invalid_value",
                               "%s is \"%s\"; word and segment are there", name,
                               p->granularities.at[i]);
    }
    if (p->word_times && p->format != OPENAI_VERBOSE_JSON && !p->stream)
        return rest_reject(reject, name, "invalid_value",
                           "%s \"word\" goes with response_format verbose_json or with stream",
                           name);
    return AURICLE_OK;
}

static enum auricle_error read_include(struct openai_params *p, struct rest_reject *reject)
{
    for (size_t i = 0; i < p->include.n; i++) {
        if (!au_str_equal(p->include.at[i], "logprobs"))
            return rest_reject(reject, "include", "invalid_value",
                               "include is \"%s\"; logprobs is all there is", p->include.at[i]);
        if (p->format != OPENAI_JSON)
            return rest_reject(reject, "include", "invalid_value",
                               "include \"logprobs\" goes with response_format json only");
        p->logprobs = true;
    }
    return AURICLE_OK;
}

static enum auricle_error check_language(const char *param, const char *language,
                                         struct rest_reject *reject)
{
    if (text_language_find(language) < 0)
        return rest_reject(reject, param, "invalid_value",
                           "%s is \"%s\", which is no language known here; use a code such as "
                           "\"en\" or a name such as \"english\"",
                           param, language);
    return AURICLE_OK;
}

static enum auricle_error read_languages(struct rest_job *job, struct rest_reject *reject)
{
    struct openai_params *p = job->params;
    if (p->language && !au_str_equal_nocase(p->language, "auto")) {
        job->options.language = p->language;
        return check_language("language", p->language, reject);
    }
    for (size_t i = 0; i < p->languages.n; i++)
        if (check_language("languages", p->languages.at[i], reject) != AURICLE_OK)
            return AURICLE_E_INVALID;
    for (size_t i = 0; i < p->languages.n; i++)
        au_buf_printf(&job->languages, "%s%s", i ? "," : "", p->languages.at[i]);
    if (job->languages.error)
        return rest_reject(reject, "languages", "out_of_memory", "out of memory");
    job->options.languages = job->languages.len ? job->languages.data : NULL;
    return AURICLE_OK;
}

/* ---- Chunking -------------------------------------------------------------------------------- */

static enum auricle_error take_number(const struct au_json *object, const char *key, double max,
                                      double *out, struct rest_reject *reject)
{
    const struct au_json *member = au_json_get(object, key);
    if (!member)
        return AURICLE_OK;
    double value = au_json_number(member, -1);
    if (value < 0 || value > max)
        return rest_reject(reject, "chunking_strategy", "invalid_value",
                           "chunking_strategy.%s must be a number from 0 to %g", key, max);
    *out = value;
    return AURICLE_OK;
}

static enum auricle_error check_chunking_type(const char *type, struct rest_reject *reject)
{
    if (au_str_equal(type, "auto") || au_str_equal(type, "server_vad"))
        return AURICLE_OK;
    return rest_reject(reject, "chunking_strategy", "invalid_value",
                       "chunking_strategy is \"%s\"; \"auto\" or {\"type\": \"server_vad\"} is "
                       "expected",
                       type);
}

/* {"type": "server_vad", "prefix_padding_ms": 300, "silence_duration_ms": 200, "threshold": 0.5} */
static enum auricle_error read_chunking_json(struct openai_params *p, struct rest_reject *reject)
{
    struct au_json *json = NULL;
    struct au_fault fault = {0};
    if (au_json_parse(p->chunking, strlen(p->chunking), "chunking_strategy", &json, &fault) !=
        AURICLE_OK)
        return rest_reject(reject, "chunking_strategy", "invalid_value", "%s", fault.text);
    enum auricle_error error = check_chunking_type(
        au_json_string(au_json_get(json, "type"), "server_vad"), reject);
    if (!error)
        error = take_number(json, "prefix_padding_ms", 10000, &p->prefix_padding_ms, reject);
    if (!error)
        error = take_number(json, "silence_duration_ms", 10000, &p->silence_duration_ms, reject);
    if (!error)
        error = take_number(json, "threshold", 1, &p->threshold, reject);
    au_json_free(json);
    return error;
}

static enum auricle_error read_chunking(struct rest_job *job, struct rest_reject *reject)
{
    struct openai_params *p = job->params;
    enum auricle_error error = AURICLE_OK;
    if (p->chunking && p->chunking[0] == '{')
        error = read_chunking_json(p, reject);
    else if (p->chunking && !au_str_equal(p->chunking, "null"))
        error = check_chunking_type(p->chunking, reject);
    if (!error && p->chunking_type)
        error = check_chunking_type(p->chunking_type, reject);
    if (p->prefix_padding_ms >= 0)
        job->options.vad_speech_pad_ms = p->prefix_padding_ms;
    if (p->silence_duration_ms >= 0)
        job->options.vad_min_silence_ms = p->silence_duration_ms;
    if (p->threshold >= 0)
        job->options.vad_threshold = (float)p->threshold;
    return error;
}

/* ---- The plan -------------------------------------------------------------------------------- */

static void set_profile(struct rest_job *job, int profile)
{
    if (profile == PROFILE_STRICT)
        auricle_options_strict(&job->options);
    else if (profile == PROFILE_REFERENCE)
        auricle_options_reference(&job->options);
    else
        auricle_options_default(&job->options);
}

/* keywords, one by one, and hotwords as they stand. */
static enum auricle_error set_hotwords(struct rest_job *job, struct rest_reject *reject)
{
    const struct openai_params *p = job->params;
    if (p->hotwords)
        au_buf_puts(&job->hotwords, p->hotwords);
    for (size_t i = 0; i < p->keywords.n; i++)
        au_buf_printf(&job->hotwords, "%s%s", job->hotwords.len ? ", " : "", p->keywords.at[i]);
    if (job->hotwords.error)
        return rest_reject(reject, "keywords", "out_of_memory", "out of memory");
    job->options.hotwords = job->hotwords.len ? job->hotwords.data : NULL;
    return AURICLE_OK;
}

static void set_search(struct rest_job *job)
{
    const struct openai_params *p = job->params;
    struct auricle_options *o = &job->options;
    o->initial_prompt = p->prompt;
    o->word_timestamps = p->word_times;
    if (p->beam_size)
        o->beam_size = p->beam_size;
    if (p->best_of)
        o->best_of = p->best_of;
    if (!p->vad_filter)
        o->vad = AURICLE_VAD_OFF;
    if (p->temperature > 0) { /* 0 leaves the choice to us: the ladder */
        o->temperatures[0] = (float)p->temperature;
        o->n_temperatures = 1;
    }
}

static enum auricle_error make_plan(struct rest_job *job, struct rest_reject *reject)
{
    struct openai_params *p = job->params;
    set_profile(job, p->profile);
    job->options.task = job->door->task;
    job->model = p->model;
    job->stream = p->stream;
    enum auricle_error error = read_format(p, reject);
    if (!error)
        error = read_granularities(p, reject);
    if (!error)
        error = read_include(p, reject);
    if (!error)
        error = read_languages(job, reject);
    if (!error)
        error = read_chunking(job, reject);
    if (!error)
        error = set_hotwords(job, reject);
    if (!error)
        set_search(job);
    return error;
}

const struct rest_door openai_transcriptions = {
    .task = AURICLE_TASK_TRANSCRIBE,
    .table = transcription_fields,
    .params_bytes = sizeof(struct openai_params),
    .defaults = set_defaults,
    .plan = make_plan,
    .write = openai_write,
    .fail = api_fail,
    .write_segment = openai_write_segment,
    .write_end = openai_write_end,
};

const struct rest_door openai_translations = {
    .task = AURICLE_TASK_TRANSLATE,
    .table = translation_fields,
    .params_bytes = sizeof(struct openai_params),
    .defaults = set_defaults,
    .plan = make_plan,
    .write = openai_write,
    .fail = api_fail,
};
