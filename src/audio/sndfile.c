/* libsndfile as a decoder, over virtual IO. See decoder.h. The only file that includes sndfile.h.
 *
 * A WAV whose data size is a placeholder is shown to libsndfile with the true size: the four bytes
 * are replaced as they are read.                                                                */
#include <sndfile.h>

#include <stdio.h>
#include <string.h>

#include "audio/decoder.h"
#include "audio/pcm.h"
#include "base/mem.h"

#define BLOCK_FLOATS 8192

struct sndfile_decoder {
    struct audio_decoder base;
    struct audio_input *input;
    uint64_t position;
    uint64_t patch_at; /* where patch stands in the input; 0: nowhere */
    uint8_t patch[4];
    SNDFILE *file;
    uint64_t n_frames, n_read; /* promised by the header, delivered */
    float frames[BLOCK_FLOATS];
};

/* ---- Virtual IO ------------------------------------------------------------------------------ */

static sf_count_t io_length(void *user)
{
    struct sndfile_decoder *decoder = user;
    return (sf_count_t)audio_input_measure(decoder->input);
}

static sf_count_t io_seek(sf_count_t offset, int whence, void *user)
{
    struct sndfile_decoder *decoder = user;
    sf_count_t from = 0;
    if (whence == SEEK_CUR)
        from = (sf_count_t)decoder->position;
    else if (whence == SEEK_END)
        from = (sf_count_t)audio_input_measure(decoder->input);
    sf_count_t to;
    if (__builtin_add_overflow(from, offset, &to) || to < 0)
        return -1;
    decoder->position = (uint64_t)to;
    return to;
}

static sf_count_t io_read(void *out, sf_count_t count, void *user)
{
    struct sndfile_decoder *decoder = user;
    if (count <= 0)
        return 0;
    uint8_t *bytes = out;
    uint64_t at = decoder->position;
    size_t got = audio_input_read(decoder->input, at, bytes, (size_t)count);
    for (size_t i = 0; i < sizeof decoder->patch && decoder->patch_at; i++) {
        uint64_t target = decoder->patch_at + i;
        if (target >= at && target - at < got)
            bytes[target - at] = decoder->patch[i];
    }
    decoder->position += got;
    return (sf_count_t)got;
}

static sf_count_t io_write(const void *bytes, sf_count_t count, void *user)
{
    (void)bytes, (void)count, (void)user;
    return 0;
}

static sf_count_t io_tell(void *user)
{
    struct sndfile_decoder *decoder = user;
    return (sf_count_t)decoder->position;
}

/* ---- Decoder --------------------------------------------------------------------------------- */

static void sndfile_close(struct audio_decoder *decoder)
{
    struct sndfile_decoder *self = (struct sndfile_decoder *)decoder;
    if (self->file)
        sf_close(self->file);
    au_free(self);
}

static enum auricle_error sndfile_read(struct audio_decoder *decoder, float *mono, size_t max,
                                       size_t *n, struct au_fault *fault)
{
    struct sndfile_decoder *self = (struct sndfile_decoder *)decoder;
    int channels = decoder->info.channels;
    size_t frames = BLOCK_FLOATS / (size_t)channels;
    if (frames > max)
        frames = max;
    (void)fault;
    sf_count_t got = sf_readf_float(self->file, self->frames, (sf_count_t)frames);
    *n = got > 0 ? (size_t)got : 0;
    self->n_read += *n;
    audio_mix(mono, self->frames, *n, channels);
    if (*n == 0 && self->n_read < self->n_frames && !decoder->warning[0])
        snprintf(decoder->warning, sizeof decoder->warning,
                 "the recording breaks off: its header promises %.2f s, %.2f s could be decoded",
                 (double)self->n_frames / decoder->rate_hz,
                 (double)self->n_read / decoder->rate_hz);
    return AURICLE_OK;
}

static bool sndfile_seek(struct audio_decoder *decoder, uint64_t frame)
{
    struct sndfile_decoder *self = (struct sndfile_decoder *)decoder;
    if (frame > self->n_frames)
        frame = self->n_frames;
    if (sf_seek(self->file, (sf_count_t)frame, SEEK_SET) != (sf_count_t)frame)
        return false;
    self->n_read = frame;
    return true;
}

/* Seeking is exact for plain samples; compressed streams are decoded from the start instead. */
static bool is_plain_pcm(int format)
{
    switch (format & SF_FORMAT_SUBMASK) {
    case SF_FORMAT_PCM_S8:
    case SF_FORMAT_PCM_U8:
    case SF_FORMAT_PCM_16:
    case SF_FORMAT_PCM_24:
    case SF_FORMAT_PCM_32:
    case SF_FORMAT_FLOAT:
    case SF_FORMAT_DOUBLE:
    case SF_FORMAT_ULAW:
    case SF_FORMAT_ALAW: return (format & SF_FORMAT_TYPEMASK) != SF_FORMAT_FLAC;
    default: return false;
    }
}

static void name_format(SNDFILE *file, int format, int command, char *out, size_t out_bytes)
{
    SF_FORMAT_INFO info = {.format = format};
    if (sf_command(file, command, &info, sizeof info) != 0 || !info.name)
        info.name = "unknown";
    snprintf(out, out_bytes, "%s", info.name);
}

/* Tell libsndfile the true size of a streamed WAV, and the user about a WAV that was cut. */
static void prepare_wav(struct sndfile_decoder *self, const struct audio_probe *probe)
{
    if (!probe->wav.found)
        return;
    if (probe->wav.streamed) {
        uint64_t size = probe->wav.stored_bytes;
        for (int i = 0; i < 4; i++)
            self->patch[i] = (uint8_t)(size >> 8 * i);
        self->patch_at = probe->wav.size_at;
    } else if (probe->wav.claimed_bytes > probe->wav.stored_bytes) {
        snprintf(self->base.warning, sizeof self->base.warning,
                 "the recording breaks off: its header promises %llu bytes of samples, "
                 "the file holds %llu",
                 (unsigned long long)probe->wav.claimed_bytes,
                 (unsigned long long)probe->wav.stored_bytes);
    }
}

enum auricle_error audio_sndfile_open(struct audio_input *input, const struct audio_probe *probe,
                                      struct audio_decoder **out, struct au_fault *fault)
{
    static const struct audio_decoder_ops seekable = {sndfile_close, sndfile_read, sndfile_seek};
    static const struct audio_decoder_ops forward = {sndfile_close, sndfile_read, NULL};
    SF_VIRTUAL_IO io = {io_length, io_seek, io_read, io_write, io_tell};
    const char *name = audio_input_name(input);
    struct sndfile_decoder *self = au_calloc(1, sizeof *self);
    if (!self)
        return au_fail(fault, AURICLE_E_NOMEM, "%s: out of memory", name);
    self->input = input;
    prepare_wav(self, probe);

    enum auricle_error error = AURICLE_OK;
    SF_INFO info = {0};
    self->file = sf_open_virtual(&io, SFM_READ, &info, self);
    if (!self->file) {
        error = au_fail(fault, AURICLE_E_FORMAT, "%s: %s: %s", name, probe->text,
                        sf_strerror(NULL));
        goto fail;
    }
    error = audio_check_shape(name, info.samplerate, info.channels, fault);
    if (error)
        goto fail;
    name_format(self->file, info.format & SF_FORMAT_TYPEMASK, SFC_GET_FORMAT_INFO,
                self->base.container, sizeof self->base.container);
    name_format(self->file, info.format & SF_FORMAT_SUBMASK, SFC_GET_FORMAT_INFO, self->base.codec,
                sizeof self->base.codec);
    self->base.ops = is_plain_pcm(info.format) ? &seekable : &forward;
    self->n_frames = info.frames > 0 ? (uint64_t)info.frames : 0;
    self->base.rate_hz = info.samplerate;
    self->base.seconds_exact = true;
    self->base.info = (struct audio_info){.decoder = "libsndfile",
                                          .container = self->base.container,
                                          .codec = self->base.codec,
                                          .rate_hz = info.samplerate,
                                          .channels = info.channels,
                                          .seconds = (double)self->n_frames / info.samplerate};
    *out = &self->base;
    return AURICLE_OK;
fail:
    sndfile_close(&self->base);
    return error;
}

const char *audio_sndfile_version(void)
{
    return sf_version_string();
}
