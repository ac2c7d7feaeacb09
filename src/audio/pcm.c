/* Samples as they lie in files and on wires, to f32. See pcm.h. */
#include "audio/pcm.h"

#include <string.h>

#include "base/str.h"

#define SAMPLE_BOUND 8.0f

/* ITU-T G.711: sign, three bits of exponent, four of mantissa; mu-law is stored inverted and has a
 * bias of 33, A-law has every second bit inverted.                                              */
static float from_mulaw(uint8_t byte)
{
    int code = ~byte & 0xff, exponent = code >> 4 & 7, mantissa = code & 15;
    int magnitude = ((2 * mantissa + 33) << exponent) - 33; /* 14 bits */
    return (float)(code & 0x80 ? -magnitude : magnitude) * (1.0f / 8192.0f);
}

static float from_alaw(uint8_t byte)
{
    int code = byte ^ 0x55, exponent = code >> 4 & 7, mantissa = code & 15;
    int magnitude = exponent ? (2 * mantissa + 33) << (exponent - 1)
                             : 2 * mantissa + 1; /* 13 bits */
    return (float)(code & 0x80 ? magnitude : -magnitude) * (1.0f / 4096.0f);
}

void audio_pcm_convert(enum audio_raw_type type, const uint8_t *in, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++) {
        switch (type) {
        case AUDIO_RAW_S16LE:
            out[i] = (float)(int16_t)(in[2 * i] | in[2 * i + 1] << 8) * (1.0f / 32768.0f);
            break;
        case AUDIO_RAW_F32LE: memcpy(&out[i], in + 4 * i, 4); break;
        case AUDIO_RAW_MULAW: out[i] = from_mulaw(in[i]); break;
        case AUDIO_RAW_ALAW: out[i] = from_alaw(in[i]); break;
        case AUDIO_RAW_U8: out[i] = (float)(in[i] - 128) * (1.0f / 128.0f); break;
        case AUDIO_RAW_NONE: out[i] = 0.0f; break;
        }
    }
}

size_t audio_pcm_bytes(enum audio_raw_type type)
{
    switch (type) {
    case AUDIO_RAW_S16LE: return 2;
    case AUDIO_RAW_F32LE: return 4;
    case AUDIO_RAW_MULAW:
    case AUDIO_RAW_ALAW:
    case AUDIO_RAW_U8: return 1;
    case AUDIO_RAW_NONE: break;
    }
    return 0;
}

bool audio_raw_type_parse(const char *name, enum audio_raw_type *out)
{
    static const struct {
        const char *name;
        enum audio_raw_type type;
    } types[] = {{"s16le", AUDIO_RAW_S16LE},
                 {"f32le", AUDIO_RAW_F32LE},
                 {"u8", AUDIO_RAW_U8},
                 {"mulaw", AUDIO_RAW_MULAW},
                 {"alaw", AUDIO_RAW_ALAW}};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (au_str_equal(types[i].name, name)) {
            *out = types[i].type;
            return true;
        }
    return false;
}

void audio_mix(float *mono, const float *frames, size_t n, int channels)
{
    if (channels == 1) {
        memcpy(mono, frames, n * sizeof *mono);
        return;
    }
    float scale = 1.0f / (float)channels;
    for (size_t i = 0; i < n; i++) {
        float sum = 0.0f;
        for (int c = 0; c < channels; c++)
            sum += frames[i * (size_t)channels + (size_t)c];
        mono[i] = sum * scale;
    }
}

/* NaN and infinities would spread through the resampler and every model behind it. Returns how many
 * there were. */
size_t audio_sanitise(float *samples, size_t n)
{
    size_t n_bad = 0;
    for (size_t i = 0; i < n; i++) {
        float x = samples[i];
        bool number = x - x == 0.0f; /* false for NaN and both infinities */
        n_bad += !number;
        x = number ? x : 0.0f;
        x = x < SAMPLE_BOUND ? x : SAMPLE_BOUND;
        samples[i] = x > -SAMPLE_BOUND ? x : -SAMPLE_BOUND;
    }
    return n_bad;
}
