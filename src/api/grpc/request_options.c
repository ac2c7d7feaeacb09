/* RecognitionConfig to options. See convert.h. */
#include "api/grpc/convert.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"

#define MAX_HOTWORDS 1000

static const char *given(const char *text)
{
    return text && text[0] ? text : NULL;
}

static enum auricle_error set_profile(const struct api_grpc_host *host,
                                      Auricle__V1__Profile profile, struct auricle_options *out,
                                      struct au_fault *fault)
{
    switch ((int)profile) {
    case AURICLE__V1__PROFILE__PROFILE_UNSPECIFIED:
    case AURICLE__V1__PROFILE__PROFILE_DEFAULT: host->options_default(out); return AURICLE_OK;
    case AURICLE__V1__PROFILE__PROFILE_STRICT: host->options_strict(out); return AURICLE_OK;
    case AURICLE__V1__PROFILE__PROFILE_REFERENCE: host->options_reference(out); return AURICLE_OK;
    default:
        return au_fail(fault, AURICLE_E_INVALID,
                       "profile %d is unknown; 1 default, 2 strict, 3 reference", (int)profile);
    }
}

static enum auricle_error set_task(Auricle__V1__Task task, struct auricle_options *out,
                                   struct au_fault *fault)
{
    switch ((int)task) {
    case AURICLE__V1__TASK__TASK_UNSPECIFIED:
    case AURICLE__V1__TASK__TASK_TRANSCRIBE: out->task = AURICLE_TASK_TRANSCRIBE; return AURICLE_OK;
    case AURICLE__V1__TASK__TASK_TRANSLATE: out->task = AURICLE_TASK_TRANSLATE; return AURICLE_OK;
    default:
        return au_fail(fault, AURICLE_E_INVALID, "task %d is unknown; 1 transcribe, 2 translate",
                       (int)task);
    }
}

static enum auricle_error set_raw(const Auricle__V1__RawAudio *raw, struct rpc_recognition *out,
                                  struct au_fault *fault)
{
    static const struct {
        enum audio_raw_type type;
        const char *name; /* as the options say it */
    } kinds[] = {
        [AURICLE__V1__ENCODING__ENCODING_UNSPECIFIED] = {AUDIO_RAW_S16LE, "s16le"},
        [AURICLE__V1__ENCODING__ENCODING_S16LE] = {AUDIO_RAW_S16LE, "s16le"},
        [AURICLE__V1__ENCODING__ENCODING_F32LE] = {AUDIO_RAW_F32LE, "f32le"},
        [AURICLE__V1__ENCODING__ENCODING_MULAW] = {AUDIO_RAW_MULAW, "mulaw"},
        [AURICLE__V1__ENCODING__ENCODING_ALAW] = {AUDIO_RAW_ALAW, "alaw"},
        [AURICLE__V1__ENCODING__ENCODING_U8] = {AUDIO_RAW_U8, "u8"},
    };
    unsigned kind = (unsigned)raw->encoding;
    if (kind >= sizeof kinds / sizeof *kinds)
        return au_fail(fault, AURICLE_E_INVALID,
                       "encoding %d is unknown; 1 s16le, 2 f32le, 3 mulaw, 4 alaw, 5 u8",
                       (int)raw->encoding);
    int rate = raw->rate_hz ? raw->rate_hz : AUDIO_RATE_HZ;
    int channels = raw->channels ? raw->channels : 1;
    if (rate < 1000 || rate > 768000 || channels < 1 || channels > 64)
        return au_fail(
            fault, AURICLE_E_INVALID,
            "raw samples at %d Hz in %d channels; 1000 to 768000 Hz and 1 to 64 channels "
            "are accepted",
            rate, channels);
    out->raw = kinds[kind].type;
    out->options.raw_format = kinds[kind].name;
    out->options.raw_rate_hz = rate;
    out->options.raw_channels = channels;
    return AURICLE_OK;
}

static enum auricle_error set_hotwords(const Auricle__V1__RecognitionConfig *config,
                                       struct rpc_recognition *out, struct au_fault *fault)
{
    if (config->n_hotwords == 0)
        return AURICLE_OK;
    if (config->n_hotwords > MAX_HOTWORDS)
        return au_fail(fault, AURICLE_E_INVALID, "%zu hotwords; up to %d are accepted",
                       config->n_hotwords, MAX_HOTWORDS);
    struct au_buf text;
    au_buf_init(&text, 0);
    for (size_t i = 0; i < config->n_hotwords; i++) {
        if (i > 0)
            au_buf_puts(&text, ", ");
        au_buf_puts(&text, config->hotwords[i]);
    }
    out->hotwords = au_buf_take(&text);
    au_buf_deinit(&text);
    if (!out->hotwords)
        return au_fail(fault, AURICLE_E_NOMEM, "no memory for hotwords");
    out->options.hotwords = out->hotwords;
    return AURICLE_OK;
}

static enum auricle_error set_search(const Auricle__V1__RecognitionConfig *config,
                                     struct auricle_options *out, struct au_fault *fault)
{
    if (config->n_temperatures > AURICLE_MAX_TEMPERATURES)
        return au_fail(fault, AURICLE_E_INVALID, "%zu temperatures; up to %d are accepted",
                       config->n_temperatures, AURICLE_MAX_TEMPERATURES);
    for (size_t i = 0; i < config->n_temperatures; i++)
        out->temperatures[i] = config->temperatures[i];
    if (config->n_temperatures > 0)
        out->n_temperatures = (int)config->n_temperatures;
    if (config->beam_size != 0)
        out->beam_size = config->beam_size;
    return AURICLE_OK;
}

enum auricle_error rpc_recognition_init(const struct api_grpc_host *host,
                                        const Auricle__V1__RecognitionConfig *config,
                                        struct rpc_recognition *out, struct au_fault *fault)
{
    static const Auricle__V1__RecognitionConfig empty = AURICLE__V1__RECOGNITION_CONFIG__INIT;
    if (!config)
        config = &empty;
    *out = (struct rpc_recognition){.model = given(config->model)};
    enum auricle_error error = set_profile(host, config->profile, &out->options, fault);
    if (!error)
        error = set_task(config->task, &out->options, fault);
    if (!error)
        error = set_search(config, &out->options, fault);
    if (!error && config->raw)
        error = set_raw(config->raw, out, fault);
    if (!error)
        error = set_hotwords(config, out, fault);
    if (error) {
        rpc_recognition_deinit(out);
        return error;
    }
    const char *language = given(config->language);
    out->options.language = language && !au_str_equal_nocase(language, "auto") ? language : NULL;
    out->options.initial_prompt = given(config->prompt);
    out->options.word_timestamps = config->word_times;
    out->options.offset_seconds = config->start_seconds;
    out->options.duration_seconds = config->duration_seconds;
    out->options.keep_filtered = config->keep_filtered;
    return AURICLE_OK;
}

void rpc_recognition_deinit(struct rpc_recognition *recognition)
{
    au_free(recognition->hotwords);
    recognition->hotwords = NULL;
}
