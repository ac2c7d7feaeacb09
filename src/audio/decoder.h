/* What decode.c asks of a decoder: mono f32 at the recording's own rate, block after block.
 *
 * Three exist: raw samples (raw.c), libsndfile (sndfile.c) and FFmpeg (ffmpeg/decode.c). Each
 * embeds struct audio_decoder as its first member. Internal to src/audio.                       */
#ifndef AUDIO_DECODER_H
#define AUDIO_DECODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audio/decode.h"
#include "audio/input.h"
#include "audio/probe.h"

#define AUDIO_MIN_RATE_HZ  1000
#define AUDIO_MAX_RATE_HZ  768000
#define AUDIO_MAX_CHANNELS 64

struct audio_decoder;

struct audio_decoder_ops {
    void (*close)(struct audio_decoder *decoder);
    /* Up to max samples, channels averaged, into mono; *n 0 only at the end. Sets rate_hz to the
     * rate of these samples.                                                                    */
    enum auricle_error (*read)(struct audio_decoder *decoder, float *mono, size_t max, size_t *n,
                               struct au_fault *fault);
    /* Continue at a frame, exactly; false when that is not possible and nothing changed. NULL:
     * never. */
    bool (*seek)(struct audio_decoder *decoder, uint64_t frame);
};

struct audio_decoder {
    const struct audio_decoder_ops *ops;
    struct audio_info info; /* decode_ms and fallback are decode.c's */
    int rate_hz;            /* of the samples last read; may change in mid-stream */
    bool seconds_exact;     /* info.seconds comes from a count, not from an estimate */
    int64_t deadline_ns;    /* au_now_ns() at which to give up with TIMEOUT; 0: never */
    char container[48], codec[48];
    char warning[256]; /* a sentence, or "" */
};

/* Rate and channels a decoder may have; UNSUPPORTED with a sentence otherwise. */
enum auricle_error audio_check_shape(const char *name, long long rate_hz, long long channels,
                                     struct au_fault *fault);

/* Openers leave *out untouched on failure. The input is borrowed and must outlive the decoder. */
enum auricle_error audio_raw_open(struct audio_input *input,
                                  const struct audio_decode_options *options,
                                  struct audio_decoder **out, struct au_fault *fault);
/* The plain samples of a WAV that is still arriving; audio_wav_is_plain says whether it has
 * them. */
bool audio_wav_is_plain(const struct audio_probe *probe);
enum auricle_error audio_wav_open(struct audio_input *input, const struct audio_probe *probe,
                                  struct audio_decoder **out, struct au_fault *fault);
enum auricle_error audio_sndfile_open(struct audio_input *input, const struct audio_probe *probe,
                                      struct audio_decoder **out, struct au_fault *fault);
enum auricle_error audio_ffmpeg_open(struct audio_input *input, int64_t deadline_ns,
                                     struct audio_decoder **out, struct au_fault *fault);

bool audio_ffmpeg_available(void); /* loads the libraries the first time */

#endif
