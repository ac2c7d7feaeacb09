/* Headerless samples: the caller says what they are. See decoder.h. */
#include <stdio.h>

#include "audio/decoder.h"
#include "audio/pcm.h"
#include "base/mem.h"

#define RAW_BLOCK_BYTES 16384

struct raw_decoder {
    struct audio_decoder base;
    struct audio_input *input;
    enum audio_raw_type type;
    size_t sample_bytes;
    uint64_t begin, end; /* of the samples in the input; end UINT64_MAX: where it ends */
    uint64_t offset;
    uint8_t block[RAW_BLOCK_BYTES];
    float frames[RAW_BLOCK_BYTES];
};

static const char *name_of(enum audio_raw_type type)
{
    switch (type) {
    case AUDIO_RAW_S16LE: return "pcm_s16le";
    case AUDIO_RAW_F32LE: return "pcm_f32le";
    case AUDIO_RAW_MULAW: return "pcm_mulaw";
    case AUDIO_RAW_ALAW: return "pcm_alaw";
    case AUDIO_RAW_U8: return "pcm_u8";
    case AUDIO_RAW_NONE: break;
    }
    return "none";
}

static void raw_close(struct audio_decoder *decoder)
{
    au_free(decoder);
}

/* As sndfile.c says it of a file. */
static void note_break(struct raw_decoder *raw)
{
    uint64_t size = audio_input_measure(raw->input);
    snprintf(raw->base.warning, sizeof raw->base.warning,
             "the recording breaks off: its header promises %llu bytes of samples, "
             "the file holds %llu",
             (unsigned long long)(raw->end - raw->begin),
             (unsigned long long)(size > raw->begin ? size - raw->begin : 0));
}

static enum auricle_error raw_read(struct audio_decoder *decoder, float *mono, size_t max,
                                   size_t *n, struct au_fault *fault)
{
    struct raw_decoder *raw = (struct raw_decoder *)decoder;
    size_t frame_bytes = raw->sample_bytes * (size_t)decoder->info.channels;
    size_t frames = sizeof raw->block / frame_bytes;
    if (frames > max)
        frames = max;
    if (frames > (raw->end - raw->offset) / frame_bytes)
        frames = (size_t)((raw->end - raw->offset) / frame_bytes);
    size_t got = audio_input_read_some(raw->input, raw->offset, raw->block, frames * frame_bytes,
                                       frame_bytes);
    (void)fault;
    frames = got / frame_bytes;
    raw->offset += frames * frame_bytes;
    audio_pcm_convert(raw->type, raw->block, frames * (size_t)decoder->info.channels, raw->frames);
    audio_mix(mono, raw->frames, frames, decoder->info.channels);
    *n = frames;
    if (frames == 0 && raw->end != UINT64_MAX && raw->offset + frame_bytes <= raw->end)
        note_break(raw);
    return AURICLE_OK;
}

static bool raw_seek(struct audio_decoder *decoder, uint64_t frame)
{
    struct raw_decoder *raw = (struct raw_decoder *)decoder;
    uint64_t bytes;
    if (__builtin_mul_overflow(frame, raw->sample_bytes * (size_t)decoder->info.channels, &bytes) ||
        bytes > raw->end - raw->begin)
        return false;
    raw->offset = raw->begin + bytes;
    return true;
}

enum auricle_error audio_raw_open(struct audio_input *input,
                                  const struct audio_decode_options *options,
                                  struct audio_decoder **out, struct au_fault *fault)
{
    static const struct audio_decoder_ops ops = {raw_close, raw_read, raw_seek};
    const char *name = audio_input_name(input);
    size_t sample_bytes = audio_pcm_bytes(options->raw);
    if (sample_bytes == 0)
        return au_fail(fault, AURICLE_E_INVALID, "%s: unknown raw sample type %d", name,
                       (int)options->raw);
    enum auricle_error error = audio_check_shape(name, options->raw_rate_hz, options->raw_channels,
                                                 fault);
    if (error)
        return error;
    struct raw_decoder *raw = au_calloc(1, sizeof *raw);
    if (!raw)
        return au_fail(fault, AURICLE_E_NOMEM, "%s: out of memory", name);
    raw->input = input;
    raw->type = options->raw;
    raw->sample_bytes = sample_bytes;
    raw->end = UINT64_MAX;
    raw->base.ops = &ops;
    raw->base.rate_hz = options->raw_rate_hz;
    raw->base.info = (struct audio_info){.decoder = "raw",
                                         .container = "raw",
                                         .codec = name_of(options->raw),
                                         .rate_hz = options->raw_rate_hz,
                                         .channels = options->raw_channels,
                                         .seconds = -1};
    uint64_t bytes;
    if (audio_input_size(input, &bytes)) {
        uint64_t frame_bytes = sample_bytes * (size_t)options->raw_channels;
        raw->base.info.seconds = (double)(bytes / frame_bytes) / options->raw_rate_hz;
        raw->base.seconds_exact = true;
    }
    *out = &raw->base;
    return AURICLE_OK;
}

/* ---- WAV that is still arriving -------------------------------------------------------------- */

static enum audio_raw_type type_of(const struct audio_probe *probe)
{
    int tag = probe->wav.format_tag, bits = probe->wav.bits;
    if (probe->wav.frame_bytes != probe->wav.channels * bits / 8)
        return AUDIO_RAW_NONE;
    if (tag == 1 && bits == 16)
        return AUDIO_RAW_S16LE;
    if (tag == 1 && bits == 8)
        return AUDIO_RAW_U8;
    if (tag == 3 && bits == 32)
        return AUDIO_RAW_F32LE;
    return AUDIO_RAW_NONE;
}

bool audio_wav_is_plain(const struct audio_probe *probe)
{
    return probe->wav.found && type_of(probe) != AUDIO_RAW_NONE;
}

enum auricle_error audio_wav_open(struct audio_input *input, const struct audio_probe *probe,
                                  struct audio_decoder **out, struct au_fault *fault)
{
    struct audio_decode_options options = {.raw = type_of(probe),
                                           .raw_rate_hz = (int)probe->wav.rate_hz,
                                           .raw_channels = probe->wav.channels};
    enum auricle_error error = audio_raw_open(input, &options, out, fault);
    if (error)
        return error;
    struct raw_decoder *raw = (struct raw_decoder *)*out;
    raw->begin = raw->offset = probe->wav.size_at + 4;
    raw->base.info.container = "WAV";
    raw->base.seconds_exact = false; /* what the header claims may not come */
    raw->base.info.seconds = -1;
    if (!probe->wav.streamed) {
        raw->end = raw->begin + probe->wav.claimed_bytes;
        raw->base.info.seconds = (double)(probe->wav.claimed_bytes /
                                          (uint64_t)probe->wav.frame_bytes) /
                                 options.raw_rate_hz;
    }
    return AURICLE_OK;
}
