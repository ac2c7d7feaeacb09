/* FFmpeg as a decoder: every container and codec libsndfile does not read. See audio/decoder.h.
 *
 * Bytes come from an audio_input through a custom AVIO context; nothing else is ever opened,
 * only the formats and codecs named below may run (no playlists, no network, no video decoder).
 * Packets that a decoder refuses in mid-stream become silence of the same length, so that the
 * times of what follows stay right (comfort noise in AMR, for one, which FFmpeg does not
 * decode).                                                                                       */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "audio/decoder.h"
#include "audio/ffmpeg/convert.h"
#include "base/clock.h"
#include "base/mem.h"

#define IO_BYTES             32768
#define PROBE_BYTES          (2 << 20)
#define MAX_STREAMS          64
#define MAX_FRAME_SAMPLES    (1 << 22)
#define MAX_GAP_SECONDS      1 /* silence for one refused packet */
#define MAX_REFUSED_IN_A_ROW 5000

static const char allowed_formats[] =
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,ogg,mp3,aac,loas,amr,amrnb,amrwb,flac,wav,w64,aiff,caf,"
    "au,asf,asf_o,avi,flv,live_flv,mpeg,mpegts,ac3,eac3,dts,dtshd,truehd,ape,wv,tta,tak,mpc,mpc8,"
    "rm,gsm,nut,wtv,mxf,shn,voc,sln,oma,xwma,ircam,nistsphere";

static const char allowed_codecs[] =
    "mp1,mp1float,mp2,mp2float,mp3,mp3float,mp3adu,mp3adufloat,mp3on4,mp3on4float,aac,aac_latm,"
    "ac3,eac3,dca,truehd,mlp,opus,libopus,vorbis,flac,alac,als,amrnb,amrwb,wmav1,wmav2,wmapro,"
    "wmavoice,wmalossless,speex,libspeex,g722,g723_1,g729,g726,g726le,gsm,gsm_ms,libgsm,libgsm_ms,"
    "ilbc,ape,wavpack,tta,tak,shorten,mpc7,mpc8,cook,ra_144,ra_288,sipr,atrac3,atrac3p,qcelp,evrc,"
    "nellymoser,adpcm_ima_wav,adpcm_ima_qt,adpcm_ms,adpcm_swf,adpcm_yamaha,adpcm_g722,adpcm_g726,"
    "adpcm_g726le,pcm_s8,pcm_u8,pcm_s16le,pcm_s16be,pcm_u16le,pcm_u16be,pcm_s24le,pcm_s24be,"
    "pcm_s32le,pcm_s32be,pcm_f32le,pcm_f32be,pcm_f64le,pcm_f64be,pcm_alaw,pcm_mulaw,pcm_s64le,"
    "pcm_s64be,pcm_bluray,pcm_dvd,pcm_s16le_planar,pcm_s24le_planar,pcm_s32le_planar";

struct ffmpeg_decoder {
    struct audio_decoder base;
    const struct ffmpeg *ff;
    struct audio_input *input;
    uint64_t position;

    AVIOContext *io;
    AVFormatContext *format;
    AVCodecContext *codec;
    AVPacket *packet;
    AVFrame *frame;
    int stream;
    size_t frame_samples, frame_used; /* samples in `frame`, and already handed out */
    bool draining;                    /* the last packet was sent */
    int64_t duration;                 /* of the packet last sent, in the stream's time base */

    uint64_t n_samples;    /* handed out */
    uint64_t gap;          /* samples of refused packets not yet replaced by silence */
    uint64_t silence_left; /* silence still to hand out before `frame` */
    size_t n_refused, n_refused_in_a_row;
};

/* ---- Bytes in -------------------------------------------------------------------------------- */

static int io_read(void *opaque, uint8_t *out, int n)
{
    struct ffmpeg_decoder *self = opaque;
    /* What a live pipe has given is decoded now, not when a whole buffer is there. */
    size_t got = audio_input_read_some(self->input, self->position, out, n > 0 ? (size_t)n : 0, 1);
    self->position += got;
    return got > 0 ? (int)got : AVERROR_EOF;
}

static int64_t io_seek(void *opaque, int64_t offset, int whence)
{
    struct ffmpeg_decoder *self = opaque;
    uint64_t size;
    whence &= ~AVSEEK_FORCE;
    /* A pipe does not know: the demuxer then reads forward. To ask for its end (which is how the
     * size is asked for a second time) must not wait for it: somebody may still be speaking.     */
    if (whence == AVSEEK_SIZE || (whence == SEEK_END && !audio_input_size(self->input, &size)))
        return audio_input_size(self->input, &size) ? (int64_t)size : AVERROR(ENOSYS);
    int64_t from = 0, to;
    if (whence == SEEK_CUR)
        from = (int64_t)self->position;
    else if (whence == SEEK_END)
        from = (int64_t)audio_input_measure(self->input);
    if (__builtin_add_overflow(from, offset, &to) || to < 0)
        return AVERROR(EINVAL);
    self->position = (uint64_t)to;
    return to;
}

/* A recording that refers to other files or addresses does not get them. */
static int refuse_open(AVFormatContext *format, AVIOContext **io, const char *url, int flags,
                       AVDictionary **options)
{
    (void)format, (void)io, (void)url, (void)flags, (void)options;
    return AVERROR(EPERM);
}

static int is_overdue(void *opaque)
{
    const struct ffmpeg_decoder *self = opaque;
    return self->base.deadline_ns && au_now_ns() > self->base.deadline_ns;
}

/* ---- Decoding -------------------------------------------------------------------------------- */

/* A packet that the decoder refused: remember how long it was, for silence in its place. */
static void note_refused(struct ffmpeg_decoder *self)
{
    AVRational base = self->format->streams[self->stream]->time_base;
    int64_t rate = self->base.rate_hz, samples = 0;
    double seconds = base.den > 0 ? (double)self->duration * base.num / base.den : 0;
    if (seconds > 0)
        samples = (int64_t)(fmin(seconds, MAX_GAP_SECONDS) * (double)rate + 0.5);
    self->gap += (uint64_t)samples;
    self->n_refused++;
    self->n_refused_in_a_row++;
}

/* Next packet of the stream into the decoder; false at the end of the input. */
static bool feed_packet(struct ffmpeg_decoder *self)
{
    const struct ffmpeg *ff = self->ff;
    while (self->n_refused_in_a_row < MAX_REFUSED_IN_A_ROW &&
           ff->av_read_frame(self->format, self->packet) >= 0) {
        bool ours = self->packet->stream_index == self->stream;
        if (ours)
            self->duration = self->packet->duration;
        int status = ours ? ff->avcodec_send_packet(self->codec, self->packet) : 0;
        ff->av_packet_unref(self->packet);
        if (ours && status >= 0)
            return true;
        if (ours)
            note_refused(self);
    }
    return false;
}

/* Decode until `frame` holds samples; false at the end. */
static bool next_frame(struct ffmpeg_decoder *self)
{
    const struct ffmpeg *ff = self->ff;
    for (;;) {
        int status = ff->avcodec_receive_frame(self->codec, self->frame);
        self->frame_samples = self->frame_used = 0;
        if (status >= 0) {
            if (self->frame->nb_samples <= 0)
                continue;
            self->frame_used = 0;
            self->frame_samples = (size_t)self->frame->nb_samples;
            self->n_refused_in_a_row = 0;
            self->silence_left = self->gap;
            self->gap = 0;
            return true;
        }
        if (self->draining)
            return false;
        if (status != AVERROR(EAGAIN) && status != AVERROR_EOF)
            note_refused(self);
        if (!feed_packet(self)) {
            self->draining = true;
            if (ff->avcodec_send_packet(self->codec, NULL) < 0)
                return false;
        }
    }
}

/* In AMR a pause is coded as a few bits of comfort noise, which FFmpeg refuses: not damage. */
static bool is_amr(const struct ffmpeg_decoder *self)
{
    return self->codec->codec_id == AV_CODEC_ID_AMR_NB ||
           self->codec->codec_id == AV_CODEC_ID_AMR_WB;
}

/* What is left to say when the stream has ended. */
static void finish(struct ffmpeg_decoder *self)
{
    struct audio_decoder *base = &self->base;
    double seconds = (double)self->n_samples / base->rate_hz;
    bool cut = base->seconds_exact && base->info.seconds > seconds + 0.5;
    if (cut)
        snprintf(base->warning, sizeof base->warning,
                 "the recording breaks off: its header promises %.2f s, %.2f s could be decoded",
                 base->info.seconds, seconds);
    else if (self->n_refused > 0 && is_amr(self))
        snprintf(base->warning, sizeof base->warning,
                 "pauses coded as comfort noise (%zu frames) were taken for silence",
                 self->n_refused);
    else if (self->n_refused > 0)
        snprintf(base->warning, sizeof base->warning,
                 "damaged pieces of the recording (%zu) were taken for silence", self->n_refused);
}

/* The next count samples of `frame`. */
static enum auricle_error hand_out(struct ffmpeg_decoder *self, float *mono, size_t count,
                                   struct au_fault *fault)
{
    const AVFrame *frame = self->frame;
    const char *name = audio_input_name(self->input);
    enum auricle_error error = audio_check_shape(name, frame->sample_rate,
                                                 frame->ch_layout.nb_channels, fault);
    if (error)
        return error;
    if (!audio_ffmpeg_to_mono(self->ff, frame, self->frame_used, count, mono))
        return au_fail(fault, AURICLE_E_UNSUPPORTED, "%s: unknown sample format %d", name,
                       frame->format);
    self->frame_used += count;
    self->base.rate_hz = frame->sample_rate;
    return AURICLE_OK;
}

static enum auricle_error ffmpeg_read(struct audio_decoder *decoder, float *mono, size_t max,
                                      size_t *n, struct au_fault *fault)
{
    struct ffmpeg_decoder *self = (struct ffmpeg_decoder *)decoder;
    *n = 0;
    if (self->silence_left == 0 && self->frame_used == self->frame_samples && !next_frame(self)) {
        if (is_overdue(self))
            return au_fail(fault, AURICLE_E_TIMEOUT, "%s: decoding took longer than allowed",
                           audio_input_name(self->input));
        if (self->gap == 0 || !is_amr(self)) {
            finish(self);
            return AURICLE_OK;
        }
        self->silence_left = self->gap; /* the recording ends in a pause */
        self->gap = 0;
    }
    uint64_t left = self->silence_left;
    if (left == 0)
        left = self->frame_samples - self->frame_used;
    size_t count = left < max ? (size_t)left : max;
    if (self->silence_left > 0) {
        memset(mono, 0, count * sizeof *mono);
        self->silence_left -= count;
    } else {
        enum auricle_error error = hand_out(self, mono, count, fault);
        if (error)
            return error;
    }
    self->n_samples += count;
    *n = count;
    return AURICLE_OK;
}

/* ---- Opening --------------------------------------------------------------------------------- */

static void ffmpeg_close(struct audio_decoder *decoder)
{
    struct ffmpeg_decoder *self = (struct ffmpeg_decoder *)decoder;
    const struct ffmpeg *ff = self->ff;
    ff->avcodec_free_context(&self->codec);
    ff->av_packet_free(&self->packet);
    ff->av_frame_free(&self->frame);
    ff->avformat_close_input(&self->format);
    if (self->io)
        ff->av_freep(&self->io->buffer);
    ff->avio_context_free(&self->io);
    au_free(self);
}

static enum auricle_error fail_av(struct ffmpeg_decoder *self, int status, const char *what,
                                  struct au_fault *fault)
{
    const char *name = audio_input_name(self->input);
    char text[128];
    if (status == AVERROR(ENOMEM))
        return au_fail(fault, AURICLE_E_NOMEM, "%s: out of memory", name);
    if (status == AVERROR_EXIT)
        return au_fail(fault, AURICLE_E_TIMEOUT, "%s: %s took longer than allowed", name, what);
    if (self->ff->av_strerror(status, text, sizeof text) < 0)
        snprintf(text, sizeof text, "error %d", status);
    return au_fail(fault, AURICLE_E_FORMAT, "%s: %s: %s", name, what, text);
}

static enum auricle_error open_container(struct ffmpeg_decoder *self, struct au_fault *fault)
{
    const struct ffmpeg *ff = self->ff;
    void *buffer = ff->av_malloc(IO_BYTES);
    if (buffer)
        self->io = ff->avio_alloc_context(buffer, IO_BYTES, 0, self, io_read, NULL, io_seek);
    if (!self->io) {
        ff->av_freep(&buffer);
        return fail_av(self, AVERROR(ENOMEM), "open", fault);
    }
    AVFormatContext *format = ff->avformat_alloc_context();
    if (!format)
        return fail_av(self, AVERROR(ENOMEM), "open", fault);
    format->pb = self->io;
    format->io_open = refuse_open;
    format->interrupt_callback = (AVIOInterruptCB){is_overdue, self};
    format->probesize = PROBE_BYTES;
    format->max_streams = MAX_STREAMS;
    format->format_whitelist = ff->av_strdup(allowed_formats);
    format->codec_whitelist = ff->av_strdup(allowed_codecs);
    int status = ff->avformat_open_input(&format, NULL, NULL, NULL); /* frees format on failure */
    if (status < 0)
        return fail_av(self, status, "not a recording that could be read", fault);
    self->format = format;
    return AURICLE_OK;
}

/* Reading ahead costs 0.1 ms where the header is complete, and is what corrects headers:
 * Matroska states the rate before encoding, Opus decodes at 48 kHz, and padding is counted in
 * the latter.                                                                                    */
static enum auricle_error choose_stream(struct ffmpeg_decoder *self, struct au_fault *fault)
{
    AVFormatContext *format = self->format;
    int status = self->ff->avformat_find_stream_info(format, NULL);
    if (status == AVERROR(ENOMEM) || status == AVERROR_EXIT)
        return fail_av(self, status, "looking for sound", fault);
    self->stream = self->ff->av_find_best_stream(format, AVMEDIA_TYPE_AUDIO, -1, -1, NULL, 0);
    if (self->stream < 0) {
        unsigned n = format->nb_streams;
        return au_fail(fault, AURICLE_E_NO_AUDIO, "%s: %s with %u stream%s, none of them sound",
                       audio_input_name(self->input), format->iformat->name, n, n == 1 ? "" : "s");
    }
    for (unsigned i = 0; i < format->nb_streams; i++)
        if ((int)i != self->stream)
            format->streams[i]->discard = AVDISCARD_ALL;
    return AURICLE_OK;
}

static enum auricle_error open_codec(struct ffmpeg_decoder *self, struct au_fault *fault)
{
    const struct ffmpeg *ff = self->ff;
    const AVStream *stream = self->format->streams[self->stream];
    const AVCodec *codec = ff->avcodec_find_decoder(stream->codecpar->codec_id);
    const char *codec_name = ff->avcodec_get_name(stream->codecpar->codec_id);
    if (!codec)
        return au_fail(fault, AURICLE_E_UNSUPPORTED, "%s: no decoder for %s sound",
                       audio_input_name(self->input), codec_name);
    enum auricle_error error = audio_check_shape(audio_input_name(self->input),
                                                 stream->codecpar->sample_rate,
                                                 stream->codecpar->ch_layout.nb_channels, fault);
    if (error)
        return error;
    self->codec = ff->avcodec_alloc_context3(codec);
    if (!self->codec)
        return fail_av(self, AVERROR(ENOMEM), "open", fault);
    int status = ff->avcodec_parameters_to_context(self->codec, stream->codecpar);
    if (status >= 0) {
        self->codec->pkt_timebase = stream->time_base;
        self->codec->thread_count = 1;
        self->codec->max_samples = MAX_FRAME_SAMPLES;
        self->codec->codec_whitelist = ff->av_strdup(allowed_codecs);
        status = ff->avcodec_open2(self->codec, codec, NULL);
    }
    if (status < 0) {
        char what[64];
        snprintf(what, sizeof what, "%s sound", codec_name);
        return fail_av(self, status, what, fault);
    }
    snprintf(self->base.container, sizeof self->base.container, "%s", self->format->iformat->name);
    snprintf(self->base.codec, sizeof self->base.codec, "%s", codec_name);
    return AURICLE_OK;
}

static double stated_seconds(const struct ffmpeg_decoder *self)
{
    const AVStream *stream = self->format->streams[self->stream];
    if (stream->duration > 0 && stream->time_base.den > 0)
        return (double)stream->duration * stream->time_base.num / stream->time_base.den;
    if (self->format->duration > 0)
        return (double)self->format->duration / AV_TIME_BASE;
    return -1;
}

enum auricle_error audio_ffmpeg_open(struct audio_input *input, int64_t deadline_ns,
                                     struct audio_decoder **out, struct au_fault *fault)
{
    static const struct audio_decoder_ops ops = {ffmpeg_close, ffmpeg_read, NULL};
    const struct ffmpeg *ff = audio_ffmpeg_library(fault);
    if (!ff) {
        au_fault_prefix(fault, audio_input_name(input));
        return AURICLE_E_UNSUPPORTED;
    }
    struct ffmpeg_decoder *self = au_calloc(1, sizeof *self);
    if (!self)
        return au_fail(fault, AURICLE_E_NOMEM, "%s: out of memory", audio_input_name(input));
    self->ff = ff;
    self->input = input;
    self->base.deadline_ns = deadline_ns;
    self->packet = ff->av_packet_alloc();
    self->frame = ff->av_frame_alloc();
    enum auricle_error error = AURICLE_OK;
    if (!self->packet || !self->frame)
        error = fail_av(self, AVERROR(ENOMEM), "open", fault);
    if (!error)
        error = open_container(self, fault);
    if (!error)
        error = choose_stream(self, fault);
    if (!error)
        error = open_codec(self, fault);
    if (error) {
        ffmpeg_close(&self->base);
        return error;
    }
    self->base.ops = &ops;
    self->base.rate_hz = self->codec->sample_rate;
    self->base.seconds_exact = self->format->duration_estimation_method !=
                               AVFMT_DURATION_FROM_BITRATE;
    self->base.info = (struct audio_info){.decoder = "ffmpeg",
                                          .container = self->base.container,
                                          .codec = self->base.codec,
                                          .rate_hz = self->codec->sample_rate,
                                          .channels = self->codec->ch_layout.nb_channels,
                                          .seconds = stated_seconds(self)};
    *out = &self->base;
    return AURICLE_OK;
}

bool audio_ffmpeg_available(void)
{
    return audio_ffmpeg_library(NULL) != NULL;
}
