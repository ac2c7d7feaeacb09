/* Parameters of a live session. Names are Deepgram's where it has them. See live_config.h. */
#include <limits.h>
#include <string.h>

#include "api/live/live_config.h"
#include "base/mem.h"
#include "base/str.h"
#include "text/language.h"

#define DEFAULT_RATE_HZ 16000
#define MAX_CHANNELS    8
#define NEVER_MS        60000 /* the longest silence there is, where no endpoint is wanted */

static const struct {
    const char *name;
    enum audio_raw_type raw;
} encodings[] = {
    {"linear16", AUDIO_RAW_S16LE}, {"s16le", AUDIO_RAW_S16LE},   {"float32", AUDIO_RAW_F32LE},
    {"f32le", AUDIO_RAW_F32LE},    {"mulaw", AUDIO_RAW_MULAW},   {"pcmu", AUDIO_RAW_MULAW},
    {"alaw", AUDIO_RAW_ALAW},      {"pcma", AUDIO_RAW_ALAW},     {"auto", AUDIO_RAW_NONE},
    {"webm", AUDIO_RAW_NONE},      {"ogg-opus", AUDIO_RAW_NONE}, {"opus", AUDIO_RAW_NONE},
};

void live_config_init(struct live_config *config)
{
    memset(config, 0, sizeof(*config));
    config->rate_hz = DEFAULT_RATE_HZ;
    config->channels = 1;
    config->interim_results = config->vad_events = true;
    au_buf_init(&config->keywords, 64 * 1024);
    auricle_options_default(&config->options);
    config->options.word_timestamps = true;
    config->stream = (struct auricle_stream_options)AURICLE_STREAM_OPTIONS_INIT;
}

void live_config_deinit(struct live_config *config)
{
    au_free(config->model);
    au_free(config->language);
    au_free(config->languages);
    au_free(config->prompt);
    au_buf_deinit(&config->keywords);
}

/* ---- One value ------------------------------------------------------------------------------- */

static enum auricle_error wrong(struct au_fault *fault, const char *name, const char *value,
                                const char *accepted)
{
    return au_fail(fault, AURICLE_E_INVALID, "%s is '%.100s'; accepted is %s", name, value,
                   accepted);
}

static enum auricle_error set_text(char **out, const char *value, struct au_fault *fault)
{
    char *copy = *value ? au_strdup(value) : NULL;
    if (*value && !copy)
        return au_fail(fault, AURICLE_E_NOMEM, "no memory for the settings of a live session");
    au_free(*out);
    *out = copy;
    return AURICLE_OK;
}

static enum auricle_error set_bool(bool *out, const char *name, const char *value,
                                   struct au_fault *fault)
{
    return au_parse_bool(value, out) ? AURICLE_OK : wrong(fault, name, value, "true or false");
}

static enum auricle_error set_int(int *out, const char *name, const char *value, int64_t min,
                                  int64_t max, struct au_fault *fault)
{
    int64_t number;
    if (!au_parse_i64(value, &number) || number < min || number > max)
        return au_fail(fault, AURICLE_E_INVALID,
                       "%s is '%.100s'; accepted is a number from %lld to %lld", name, value,
                       (long long)min, (long long)max);
    *out = (int)number;
    return AURICLE_OK;
}

static enum auricle_error set_encoding(struct live_config *config, const char *value,
                                       struct au_fault *fault)
{
    for (size_t i = 0; i < sizeof(encodings) / sizeof(encodings[0]); i++)
        if (au_str_equal_nocase(encodings[i].name, value)) {
            config->raw = encodings[i].raw;
            config->has_encoding = true;
            return AURICLE_OK;
        }
    return wrong(fault, "encoding", value,
                 "linear16, float32, mulaw, alaw, or of a container webm, ogg-opus, auto");
}

static enum auricle_error set_language(struct live_config *config, const char *value,
                                       struct au_fault *fault)
{
    if (*value && !au_str_equal_nocase(value, "auto") && text_language_find(value) < 0)
        return wrong(fault, "language", value, "a code such as en, a name, or auto");
    return set_text(&config->language, value, fault);
}

static enum auricle_error set_endpointing(struct live_config *config, const char *value,
                                          struct au_fault *fault)
{
    double ms;
    if (au_str_equal_nocase(value, "false")) {
        config->stream.endpoint_ms = NEVER_MS;
        return AURICLE_OK;
    }
    if (au_str_equal_nocase(value, "true")) {
        config->stream.endpoint_ms = 0;
        return AURICLE_OK;
    }
    if (!au_parse_double(value, &ms) || ms < 10 || ms > 60000)
        return wrong(fault, "endpointing", value, "false, or milliseconds from 10 to 60000");
    config->stream.endpoint_ms = ms;
    return AURICLE_OK;
}

static enum auricle_error add_keywords(struct live_config *config, const char *value,
                                       struct au_fault *fault)
{
    if (config->keywords.len)
        (void)au_buf_puts(&config->keywords, ", ");
    if (au_buf_puts(&config->keywords, value))
        return au_fail(fault, AURICLE_E_INVALID, "the keywords are longer than 64 KiB");
    return AURICLE_OK;
}

static bool is_any(const char *name, const char *a, const char *b)
{
    return strcmp(name, a) == 0 || (b && strcmp(name, b) == 0);
}

static enum auricle_error set(struct live_config *config, const char *name, const char *value,
                              struct au_fault *fault)
{
    if (is_any(name, "encoding", NULL))
        return set_encoding(config, value, fault);
    if (is_any(name, "sample_rate", NULL))
        return set_int(&config->rate_hz, name, value, 1000, 768000, fault);
    if (is_any(name, "channels", NULL))
        return set_int(&config->channels, name, value, 1, MAX_CHANNELS, fault);
    if (is_any(name, "model", NULL))
        return set_text(&config->model, value, fault);
    if (is_any(name, "language", NULL))
        return set_language(config, value, fault);
    if (is_any(name, "languages", NULL))
        return set_text(&config->languages, value, fault);
    if (is_any(name, "prompt", NULL))
        return set_text(&config->prompt, value, fault);
    if (is_any(name, "keywords", "keyterm"))
        return add_keywords(config, value, fault);
    if (is_any(name, "interim_results", NULL))
        return set_bool(&config->interim_results, name, value, fault);
    if (is_any(name, "vad_events", NULL))
        return set_bool(&config->vad_events, name, value, fault);
    if (is_any(name, "words", "word_timestamps"))
        return set_bool(&config->options.word_timestamps, name, value, fault);
    if (is_any(name, "endpointing", NULL))
        return set_endpointing(config, value, fault);
    return au_fail(fault, AURICLE_E_INVALID,
                   "there is no parameter '%.100s'; known are encoding, sample_rate, channels, "
                   "language, languages, model, prompt, keywords, interim_results, endpointing, "
                   "vad_events, words and resume",
                   name);
}

/* What follows from the values. */
static void settle(struct live_config *config)
{
    bool detect = config->language && au_str_equal_nocase(config->language, "auto");
    config->options.language = detect ? NULL : config->language;
    config->options.languages = config->languages;
    config->options.initial_prompt = config->prompt;
    config->options.hotwords = config->keywords.len ? config->keywords.data : NULL;
    config->stream.partial_ms = config->interim_results ? 0 : -1;
}

/* ---- All of them ----------------------------------------------------------------------------- */

enum auricle_error live_config_query(struct live_config *config, const struct http_request *request,
                                     struct au_fault *fault)
{
    const char *name, *value;
    for (size_t i = 0; http_request_query_pair(request, i, &name, &value); i++) {
        enum auricle_error error = AURICLE_OK;
        if (strcmp(name, "resume") != 0)
            error = set(config, name, value, fault);
        if (error)
            return error;
    }
    settle(config);
    return AURICLE_OK;
}

static enum auricle_error set_json(struct live_config *config, const char *name,
                                   const struct au_json *value, struct au_fault *fault)
{
    char text[40];
    enum auricle_error error = AURICLE_OK;
    switch (au_json_type(value)) {
    case AU_JSON_NULL: return AURICLE_OK;
    case AU_JSON_BOOL:
        return set(config, name, au_json_bool(value, false) ? "true" : "false", fault);
    case AU_JSON_STRING: return set(config, name, au_json_string(value, ""), fault);
    case AU_JSON_INT:
    case AU_JSON_REAL: {
        struct au_buf out;
        struct au_json_writer w;
        au_buf_init(&out, sizeof(text));
        au_json_writer_init(&w, &out, 0);
        if (au_json_type(value) == AU_JSON_INT)
            au_json_put_int(&w, au_json_int(value, 0));
        else
            au_json_put_number(&w, au_json_number(value, 0));
        au_str_copy(text, sizeof(text), out.error ? "" : out.data);
        au_buf_deinit(&out);
        return set(config, name, text, fault);
    }
    case AU_JSON_ARRAY:
        for (size_t i = 0; i < au_json_size(value) && !error; i++)
            error = au_json_type(au_json_item(value, i)) == AU_JSON_STRING
                        ? set_json(config, name, au_json_item(value, i), fault)
                        : wrong(fault, name, "a list", "a list of texts");
        return error;
    default: return wrong(fault, name, "an object", "a text or a number");
    }
}

enum auricle_error live_config_json(struct live_config *config, const struct au_json *object,
                                    struct au_fault *fault)
{
    const char *name;
    for (size_t i = 0; i < au_json_size(object); i++) {
        const struct au_json *value = au_json_member(object, i, &name);
        enum auricle_error error = AURICLE_OK;
        if (strcmp(name, "type") != 0)
            error = set_json(config, name, value, fault);
        if (error)
            return error;
    }
    settle(config);
    return AURICLE_OK;
}

size_t live_config_frame_bytes(const struct live_config *config)
{
    size_t bytes = config->raw == AUDIO_RAW_NONE ? 0 : 1;
    if (config->raw == AUDIO_RAW_S16LE)
        bytes = 2;
    if (config->raw == AUDIO_RAW_F32LE)
        bytes = 4;
    return bytes * (size_t)config->channels;
}

bool live_config_is_container(const uint8_t *data, size_t n)
{
    static const struct {
        size_t at, n;
        const char *bytes;
    } magics[] = {{0, 4, "\x1a\x45\xdf\xa3"},
                  {0, 4, "OggS"},
                  {0, 4, "RIFF"},
                  {0, 4, "fLaC"},
                  {0, 3, "ID3"},
                  {4, 4, "ftyp"}};
    for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++)
        if (n >= magics[i].at + magics[i].n &&
            memcmp(data + magics[i].at, magics[i].bytes, magics[i].n) == 0)
            return true;
    return false;
}
