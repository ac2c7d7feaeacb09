/* What kind of file is this? From its first bytes, never from its name.
 *
 * The answer picks the decoder to try first and finds words for what is not a recording. WAV
 * headers are read further, because their sizes are often wrong: programs that stream write 0 or
 * 0xFFFFFFFF, cut files hold less than they claim. Internal to src/audio.                        */
#ifndef AUDIO_PROBE_H
#define AUDIO_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "audio/input.h"

enum audio_kind {
    AUDIO_KIND_UNKNOWN,
    AUDIO_KIND_EMPTY,
    AUDIO_KIND_WAV,
    AUDIO_KIND_SNDFILE, /* FLAC, AIFF, CAF, AU, RF64, W64: libsndfile's own */
    AUDIO_KIND_MP3,     /* these two are read by both, better by FFmpeg (ADR 010) */
    AUDIO_KIND_OGG,
    AUDIO_KIND_MP4,
    AUDIO_KIND_FFMPEG, /* WebM, AMR, ASF, AAC ...: FFmpeg's */
    AUDIO_KIND_NOT_AUDIO
};

struct audio_probe {
    enum audio_kind kind;
    const char *text; /* static: "WAV", "a ZIP archive" */
    struct {
        bool found; /* both the format and the data chunk were seen */
        int format_tag, channels, bits;
        int64_t rate_hz;
        int frame_bytes;        /* of all channels, as the header says */
        uint64_t size_at;       /* where the data chunk's size stands; the data comes 4 later */
        uint64_t claimed_bytes; /* what it says */
        bool arriving;          /* a pipe that is still open: what is stored is not known */
        uint64_t stored_bytes;  /* what follows it in the input */
        bool streamed;          /* the size is a placeholder: the data goes to the end */
    } wav;
};

/* Reads the start of the input. */
void audio_probe(struct audio_input *input, struct audio_probe *out);

#endif
