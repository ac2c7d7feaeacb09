/* Copies of the caller's options, and what they say of the input. See settings.h. */
#include "recog/settings.h"

#include <string.h>

#include "base/mem.h"

static bool copy_text(const char *from, char **own, const char **to)
{
    *to = NULL;
    if (!from)
        return true;
    *own = au_strdup(from);
    *to = *own;
    return *own != NULL;
}

static bool copy_list(const void *from, size_t n, size_t size, void **own)
{
    *own = au_alloc_array(n ? n : 1, size);
    if (*own && n)
        memcpy(*own, from, n * size);
    return *own != NULL;
}

enum auricle_error recog_settings_init(struct recog_settings *s,
                                       const struct auricle_options *options)
{
    struct auricle_options *o = &s->options;
    *o = *options;
    void *suppress = NULL, *clips = NULL;
    bool ok = copy_text(options->language, &s->language, &o->language) &&
              copy_text(options->languages, &s->languages, &o->languages) &&
              copy_text(options->initial_prompt, &s->initial_prompt, &o->initial_prompt) &&
              copy_text(options->prefix, &s->prefix, &o->prefix) &&
              copy_text(options->hotwords, &s->hotwords, &o->hotwords) &&
              copy_list(options->suppress_tokens, (size_t)options->n_suppress_tokens,
                        sizeof(int32_t), &suppress) &&
              copy_list(options->clip_seconds, (size_t)options->n_clip_seconds, sizeof(double),
                        &clips);
    o->suppress_tokens = s->suppress = suppress;
    o->clip_seconds = s->clips = clips;
    o->raw_format = NULL; /* used when the source was opened; the caller's string may be gone */
    return ok ? AURICLE_OK : AURICLE_E_NOMEM;
}

void recog_settings_deinit(struct recog_settings *s)
{
    au_free(s->language);
    au_free(s->languages);
    au_free(s->initial_prompt);
    au_free(s->prefix);
    au_free(s->hotwords);
    au_free(s->suppress);
    au_free(s->clips);
}

enum auricle_error recog_settings_input(const struct auricle_options *options,
                                        struct audio_decode_options *out, struct au_fault *fault)
{
    out->finest_resampler = options->finest_resampler;
    if (!options->raw_format)
        return AURICLE_OK;
    if (!audio_raw_type_parse(options->raw_format, &out->raw))
        return au_fail(fault, AURICLE_E_INVALID,
                       "\"%s\" is no raw format; known are s16le, f32le, u8, mulaw and alaw",
                       options->raw_format);
    out->raw_rate_hz = options->raw_rate_hz ? options->raw_rate_hz : AUDIO_RATE_HZ;
    out->raw_channels = options->raw_channels ? options->raw_channels : 1;
    return AURICLE_OK;
}
