/* Any recording to mono f32 at 16 kHz, or another rate that is asked for, incrementally.
 *
 * The first bytes say what a file is, never its name. libsndfile opens first (WAV, FLAC,
 * AIFF, AU, CAF ...), FFmpeg's libraries second (loaded with dlopen on first use; MP3 and Ogg go
 * there first, ADR 010), then channels are averaged and soxr resamples. Input is a path, a
 * descriptor (a pipe too) or memory; unseekable input spools to memory up to 16 MiB and to one
 * unlinked file beyond. A caller pulls blocks, so a 10-hour file needs the memory of a 1-minute
 * one. No subprocess, no named temporary file.
 *
 * Hostile input: limits on decoded seconds, input bytes and time hold before memory is reserved,
 * header claims are never believed for sizes, NaN and Inf become 0, samples are clamped to [-8, 8].
 * Owner: one thread per reader; readers are independent.                                        */
#ifndef AUDIO_DECODE_H
#define AUDIO_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define AUDIO_RATE_HZ 16000

enum audio_raw_type {
    AUDIO_RAW_NONE,
    AUDIO_RAW_S16LE,
    AUDIO_RAW_F32LE,
    AUDIO_RAW_MULAW,
    AUDIO_RAW_ALAW,
    AUDIO_RAW_U8
};

/* Asked now and then while a pipe is read or waited for: false gives up, with CANCELLED. Whoever is
 * asked may not touch the reader.                                                                */
typedef bool audio_go_on(void *context);

struct audio_decode_options {
    enum audio_raw_type raw;   /* headerless samples; NONE: the container says */
    int raw_rate_hz;           /* with raw: 1000 to 768000 */
    int raw_channels;          /* with raw: 1 to 64 */
    double max_seconds;        /* longer input fails with LIMIT, at once if its header says so; a
                                  part that is cut out counts from the start of the recording;
                                  0: no limit */
    uint64_t max_input_bytes;  /* 0: no limit */
    double max_decode_seconds; /* time spent in here by one pass, then TIMEOUT; 0: no limit */
    double start_seconds;      /* decode from here ... */
    double duration_seconds;   /* ... for this long; 0: to the end */
    int rate_hz;               /* of the samples that come out, 1000 to 768000; 0: 16000 */
    bool finest_resampler;     /* soxr VHQ instead of HQ (AUDIO_OPTIMIZATION off) */
    audio_go_on *go_on;        /* NULL: a pipe is waited for as long as it takes */
    void *go_on_context;       /* borrowed until the reader is closed */
    bool try_ffmpeg_only;      /* tests: skip libsndfile */
    bool no_ffmpeg;            /* FFmpeg's libraries are not loaded: what needs them fails with
                                  STATE, and another process may try */
};

/* A descriptor about which everything is known. */
struct audio_source {
    int fd;
    bool is_pipe;          /* or anything else that cannot seek */
    int spool_fd;          /* of a pipe: an empty file for what was read of it; -1: one is made */
    uint64_t first, bytes; /* of a file: where the recording begins, and its length */
};

/* What was found; strings are static or owned by the reader. */
struct audio_info {
    const char *decoder;   /* "libsndfile", "ffmpeg" or "raw" */
    const char *fallback;  /* why the decoder tried first was not used; NULL: it was */
    const char *container; /* "WAV", "ogg", ... */
    const char *codec;
    int rate_hz, channels; /* of the input */
    double seconds;        /* of the whole recording, by its header; < 0 when unknown */
    double decode_ms;      /* spent opening, decoding and resampling so far */
};

struct audio_reader; /* opaque */

/* Open; options NULL means all zero. On success *out is owned by the caller. Errors: NOT_FOUND, IO,
 * INVALID (a directory, an option out of range), FORMAT, UNSUPPORTED, NO_AUDIO, LIMIT, TIMEOUT,
 * CANCELLED, NOMEM; the fault names what was seen and what is accepted.                          */
AURICLE_MUST_CHECK enum auricle_error audio_open_path(const char *path,
                                                      const struct audio_decode_options *options,
                                                      struct audio_reader **out,
                                                      struct au_fault *fault);
/* fd is borrowed: it must stay open until the reader is closed. `name` is used in sentences. */
AURICLE_MUST_CHECK enum auricle_error audio_open_fd(int fd, const char *name,
                                                    const struct audio_decode_options *options,
                                                    struct audio_reader **out,
                                                    struct au_fault *fault);
/* As audio_open_fd, for a process that may not ask the system what fd is, nor make files. The
 * descriptors of the source are borrowed.                                                       */
AURICLE_MUST_CHECK enum auricle_error audio_open_source(const struct audio_source *source,
                                                        const char *name,
                                                        const struct audio_decode_options *options,
                                                        struct audio_reader **out,
                                                        struct au_fault *fault);
/* data is borrowed until the reader is closed. */
AURICLE_MUST_CHECK enum auricle_error audio_open_memory(const uint8_t *data, size_t bytes,
                                                        const char *name,
                                                        const struct audio_decode_options *options,
                                                        struct audio_reader **out,
                                                        struct au_fault *fault);
void audio_close(struct audio_reader *reader); /* NULL is fine */

const struct audio_info *audio_info(const struct audio_reader *reader);

/* Read up to max samples; *n_read is 0 only at the end. After the end, audio_warning says whether
 * the input broke off early. Errors: FORMAT when nothing at all could be decoded, LIMIT, TIMEOUT,
 * CANCELLED, IO, NOMEM; samples read before an error were good.                                  */
AURICLE_MUST_CHECK enum auricle_error audio_read(struct audio_reader *reader, float *samples,
                                                 size_t max, size_t *n_read,
                                                 struct au_fault *fault);
/* A sentence, or NULL when all was well (so far). Borrowed from the reader. */
const char *audio_warning(const struct audio_reader *reader);

/* Start again at the first sample, for a second pass (a pipe was kept). The same samples come.
 * Errors: those of opening; reading then fails with STATE until a rewind succeeds.               */
AURICLE_MUST_CHECK enum auricle_error audio_rewind(struct audio_reader *reader,
                                                   struct au_fault *fault);

/* Read everything into one new block (au_free). Same limits and errors. */
AURICLE_MUST_CHECK enum auricle_error audio_read_all(struct audio_reader *reader, float **out,
                                                     size_t *n_out, struct au_fault *fault);

/* What can be read, for help texts and error sentences: "WAV, FLAC, MP3, ...". Static. */
const char *audio_accepted_formats(void);

/* "s16le", "f32le", "u8", "mulaw", "alaw"; false when unknown. */
bool audio_raw_type_parse(const char *name, enum audio_raw_type *out);

/* Versions of the decoders at hand, for reports. Static. FFmpeg's libraries are loaded for the
 * answer; NULL and a sentence where they cannot be.                                             */
const char *audio_sndfile_version(void);
const char *audio_ffmpeg_version(struct au_fault *fault);

#endif
