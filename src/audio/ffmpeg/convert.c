/* Sample conversion. See convert.h. */
#include "audio/ffmpeg/convert.h"

#include <stdint.h>

/* One channel added up: stride is 1 for planar data, the number of channels for interleaved. */
static bool add_channel(enum AVSampleFormat packed, const uint8_t *data, size_t first,
                        size_t stride, size_t n, float *mono)
{
    const void *samples = data;
    switch (packed) {
    case AV_SAMPLE_FMT_FLT: {
        const float *in = samples;
        for (size_t i = 0; i < n; i++)
            mono[i] += in[(first + i) * stride];
        return true;
    }
    case AV_SAMPLE_FMT_S16: {
        const int16_t *in = samples;
        for (size_t i = 0; i < n; i++)
            mono[i] += (float)in[(first + i) * stride] * (1.0f / 32768.0f);
        return true;
    }
    case AV_SAMPLE_FMT_S32: {
        const int32_t *in = samples;
        for (size_t i = 0; i < n; i++)
            mono[i] += (float)in[(first + i) * stride] * (1.0f / 2147483648.0f);
        return true;
    }
    case AV_SAMPLE_FMT_DBL: {
        const double *in = samples;
        for (size_t i = 0; i < n; i++)
            mono[i] += (float)in[(first + i) * stride];
        return true;
    }
    case AV_SAMPLE_FMT_U8:
        for (size_t i = 0; i < n; i++)
            mono[i] += (float)(data[(first + i) * stride] - 128) * (1.0f / 128.0f);
        return true;
    case AV_SAMPLE_FMT_S64: {
        const int64_t *in = samples;
        for (size_t i = 0; i < n; i++)
            mono[i] += (float)in[(first + i) * stride] * (1.0f / 9223372036854775808.0f);
        return true;
    }
    default: return false;
    }
}

bool audio_ffmpeg_to_mono(const struct ffmpeg *ff, const AVFrame *frame, size_t first, size_t n,
                          float *mono)
{
    size_t channels = (size_t)frame->ch_layout.nb_channels;
    bool planar = ff->av_sample_fmt_is_planar((enum AVSampleFormat)frame->format);
    enum AVSampleFormat packed = ff->av_get_packed_sample_fmt((enum AVSampleFormat)frame->format);
    for (size_t i = 0; i < n; i++)
        mono[i] = 0.0f;
    for (size_t c = 0; c < channels; c++) {
        bool known = planar ? add_channel(packed, frame->extended_data[c], first, 1, n, mono)
                            : add_channel(packed,
                                          frame->extended_data[0] +
                                              c * (size_t)ff->av_get_bytes_per_sample(packed),
                                          first, channels, n, mono);
        if (!known)
            return false;
    }
    float scale = 1.0f / (float)channels;
    for (size_t i = 0; i < n && channels > 1; i++)
        mono[i] *= scale;
    return true;
}
