/* libauricle: speech to text in C.
 *
 * Three objects. An ENGINE holds a model, shared by everything that uses it. A SESSION turns one
 * recording or stream into a RESULT. A session computes nothing itself: auricle_session_next hands
 * out units of work, the engine runs them (many sessions' units as one batch), and
 * auricle_session_complete takes what they gave. auricle_transcribe does all of that for one
 * recording.
 *
 * Threads: an engine may be used from any thread; its runs wait for one another
 * (auricle_transcribe and auricle_detect_language run it too). A session has one owner. Structs
 * that callers fill start with `size`: set it with the AURICLE_*_INIT macros, so that later
 * versions can add members. Strings are UTF-8. Times are seconds from the start of the recording.
 * Functions that fail return a negative enum auricle_error and, where they take an
 * `auricle_message`, leave a sentence for people in it.                                          */
#ifndef AURICLE_AURICLE_H
#define AURICLE_AURICLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auricle/error.h"
#include "auricle/version.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A sentence about what went wrong: what was seen, what was expected, what to do. */
struct auricle_message {
    char text[768];
};

/* ---- Engine ---------------------------------------------------------------------------------- */

enum auricle_compute {
    AURICLE_COMPUTE_AUTO,
    AURICLE_COMPUTE_INT8,
    AURICLE_COMPUTE_BF16,
    AURICLE_COMPUTE_F32
};

struct auricle_engine_options {
    size_t size;
    const char *model;            /* path of a model file or folder */
    const char *vad_model;        /* path of a Silero file or folder; NULL: none */
    int threads;                  /* worker threads with the caller; 0: the processors we may use */
    enum auricle_compute compute; /* AUTO: the fastest this CPU runs well */
    const char *cpu_level;        /* highest level to use ("avx2" ...); NULL: the CPU's own */
    int max_windows;              /* 30 s windows decoded as one batch; 0: 8 */
    int max_beams;                /* hypotheses per window, beam or best-of; 0: 5 */
    const char *cache_folder; /* packed weights are kept here for the next start; NULL: nowhere */
};
#define AURICLE_ENGINE_OPTIONS_INIT                   \
    {                                                 \
        .size = sizeof(struct auricle_engine_options) \
    }

struct auricle_engine; /* opaque */

/* What a loaded model is. Strings live as long as the engine. */
struct auricle_model_info {
    const char *path;
    const char *format;    /* "safetensors", "ggml", "pytorch", "ctranslate2" */
    const char *compute;   /* "int8", "bf16", "f32" */
    const char *cpu_level; /* "avx512vnni" ... */
    int threads;
    bool multilingual;
    int n_mels, n_vocab, n_audio_layers, n_text_layers, audio_width, text_width;
    uint64_t parameters;
    uint64_t weight_bytes; /* in memory, packed */
    bool cached;           /* the packed weights are mapped from the cache */
    bool cache_failed;     /* a folder for it was named, and they could not be kept there */
    double load_seconds;
};

/* Load a model. Errors: NOT_FOUND, FORMAT, UNSUPPORTED, SHAPE, INVALID, NOMEM. */
AURICLE_API AURICLE_MUST_CHECK enum auricle_error auricle_engine_create(
    const struct auricle_engine_options *options, struct auricle_engine **out,
    struct auricle_message *message);
AURICLE_API void auricle_engine_destroy(struct auricle_engine *engine);
AURICLE_API void auricle_engine_info(const struct auricle_engine *engine,
                                     struct auricle_model_info *out);

/* The bytes that a token stands for, which need not be whole characters; *n is 0 for special tokens
 * and ids that are none. Borrowed from the engine.                                               */
AURICLE_API const char *auricle_token_bytes(const struct auricle_engine *engine, int32_t token,
                                            size_t *n);

/* ---- Options of a transcription -------------------------------------------------------------- */

enum auricle_task { AURICLE_TASK_TRANSCRIBE, AURICLE_TASK_TRANSLATE };
enum auricle_long_form {
    AURICLE_LONG_FORM_AUTO,
    AURICLE_LONG_FORM_SEQUENTIAL,
    AURICLE_LONG_FORM_BATCHED
};

enum auricle_vad {
    AURICLE_VAD_AUTO,   /* the loaded model, else loudness */
    AURICLE_VAD_SILERO, /* the loaded model; an error without one */
    AURICLE_VAD_ENERGY, /* loudness and zero crossings */
    AURICLE_VAD_OFF     /* everything counts as speech */
};

#define AURICLE_MAX_TEMPERATURES 8

struct auricle_options {
    size_t size;
    const char *language;  /* code or name; NULL: detected from the first window with voice */
    const char *languages; /* those that detection chooses among, "en,de"; NULL: all it knows */
    enum auricle_task task;
    enum auricle_long_form long_form;

    /* Search. The text of the first temperature that passes the tests below is kept; where none
     * does, the likeliest text that is not one phrase over and over.                           */
    float temperatures[AURICLE_MAX_TEMPERATURES];
    int n_temperatures;   /* at least 1 */
    int beam_size;        /* at temperature 0; 1: greedy; 0: as the model asks, else greedy */
    int best_of;          /* above temperature 0 */
    float patience;       /* beam; 0: 1.0 */
    float length_penalty; /* negative: divide by the length */
    int max_tokens;       /* sampled per window, as far as the context goes; 0: half the context */
    uint64_t seed;        /* for temperatures above 0 */

    /* Tests after which the next temperature is tried; disabled by NaN. */
    float compression_ratio_threshold;
    float logprob_threshold;
    float no_speech_threshold;

    /* Context. */
    bool condition_on_previous_text;
    const char *initial_prompt; /* before every window; sequential: the first alone. NULL: none */
    bool carry_initial_prompt;  /* sequential: before every window too */
    const char *prefix;         /* begins the first window's text; NULL: none */
    const char *hotwords;       /* words to expect, told to every window; NULL: none */

    /* Tokens. */
    const int32_t *suppress_tokens; /* ids never sampled; -1 stands for the non-speech set */
    int n_suppress_tokens;
    bool suppress_blank;
    bool without_timestamps;
    float max_initial_timestamp; /* seconds; negative: no bound */

    /* Word times. */
    bool word_timestamps;
    /* Sequential form with word times: skip silence longer than this, in seconds, around text
     * that looks invented; negative: off. Alone, it chooses that form; without word times, or with
     * the batched form, it is an error. */
    double hallucination_silence_threshold;

    /* Rules against invented text; see docs/HALLUCINATIONS.md. */
    bool filter;        /* drop segments that a rule names */
    bool keep_filtered; /* name the rule and keep the segment all the same */

    /* Keep what the original program keeps: where no temperature passes its tests the text of the
     * last one, and segments without text, empty.                                              */
    bool as_original;

    /* Voice activity, for the batched long form. Times as in Silero's own options. */
    enum auricle_vad vad;
    float vad_threshold;
    double vad_min_speech_ms, vad_min_silence_ms, vad_speech_pad_ms;
    double vad_max_speech_seconds; /* 0: as much as a window holds */
    /* Batched form: most speech decoded in one window. 0: what the model's files ask for, else as
     * much as a window holds. At least 1 otherwise; an error with the sequential form. */
    double chunk_seconds;

    /* Which part of the recording, in seconds. */
    double offset_seconds;
    double duration_seconds; /* 0: to the end */
    const double
        *clip_seconds; /* start, end, start ..., never falling; without a last end: to the file's.
                          They stand in for offset and duration. Or NULL */
    int n_clip_seconds;

    /* The input. */
    const char
        *raw_format;  /* headerless samples: "s16le", "f32le", "u8", "mulaw" or "alaw"; NULL: the
                               file says what it is */
    int raw_rate_hz;  /* with raw_format; 0: 16000 */
    int raw_channels; /* with raw_format; 0: 1 */
    bool finest_resampler; /* rather than the fast high-quality one */
};

/* What most people want: greedy, the temperature ladder, no conditioning on previous text, rules
 * against invented text.                                                                         */
AURICLE_API void auricle_options_default(struct auricle_options *out);
/* As the default, but nothing is tried twice and doubt means silence: temperature 0 alone,
 * no-speech threshold 0.8, log-probability threshold -0.5.                                       */
AURICLE_API void auricle_options_strict(struct auricle_options *out);
/* Exactly the original program's defaults. */
AURICLE_API void auricle_options_reference(struct auricle_options *out);

/* ---- Results --------------------------------------------------------------------------------- */

struct auricle_word {
    const char *text; /* with its leading space, as the model wrote it */
    double start, end;
    float probability;
};

struct auricle_segment {
    int64_t seek; /* first frame (10 ms) of the window it came from */
    double start, end;
    const char *text;
    const int32_t *tokens;
    const float *token_logprobs; /* natural logarithm, of each token */
    size_t n_tokens;
    float temperature, avg_logprob, compression_ratio, no_speech_prob;
    const char *language;             /* code; what is spoken, in a translation too */
    const struct auricle_word *words; /* NULL without word_timestamps */
    size_t n_words;
    const char *filtered_by; /* name of the rule that dropped it; NULL: kept */
};

/* Seconds of wall time. A batch's time is shared out among its units; total runs from the session's
 * creation to the taking of its result.                                                          */
struct auricle_timings {
    double decode_audio, mel, encoder, decoder, total;
    uint64_t encoder_windows, decoder_steps, decoder_tokens;
};

struct auricle_result {
    const char *text;           /* of all kept segments */
    const char *language;       /* code; NULL: none was named and nothing was heard to tell it by */
    float language_probability; /* 1 when the caller named it; 0 with language NULL */
    /* Seconds of the whole recording, whichever part was asked for; where it was not read to its
     * end, by its header, or how far it was heard where that says nothing. */
    double duration;
    const struct auricle_segment *segments;
    size_t n_segments;
    const struct auricle_segment *filtered;
    size_t n_filtered;
    const char *warning; /* the input broke off early, or the call was stopped; NULL: none */
    struct auricle_timings timings;
    /* Of each language, by index as in auricle_language_code; NULL and 0: it was not detected. */
    const float *language_probabilities;
    size_t n_languages;
};

/* ---- One call -------------------------------------------------------------------------------- */

/* Told after every step of the decoder, and while a pipe is waited for; return false to stop
 * (the result then holds what is finished). */
typedef bool auricle_progress(void *context, double seconds_done, double seconds_total);
/* Told of every kept segment as soon as it is final, in order. */
typedef void auricle_on_segment(void *context, const struct auricle_segment *segment);

struct auricle_callbacks {
    size_t size;
    void *context;
    auricle_progress *progress;     /* NULL: none; as auricle_session_position */
    auricle_on_segment *on_segment; /* NULL: none */
};

/* Transcribe a media file ("-": standard input). *out is released with auricle_result_destroy;
 * when stopped by the callback the code is CANCELLED and *out still holds what was finished, or
 * NULL where the input was not open yet.                                                         */
AURICLE_API AURICLE_MUST_CHECK enum auricle_error auricle_transcribe(
    struct auricle_engine *engine, const char *path, const struct auricle_options *options,
    const struct auricle_callbacks *callbacks, struct auricle_result **out,
    struct auricle_message *message);
/* The same for n samples of 16 kHz mono. */
AURICLE_API AURICLE_MUST_CHECK enum auricle_error auricle_transcribe_samples(
    struct auricle_engine *engine, const float *samples, size_t n,
    const struct auricle_options *options, const struct auricle_callbacks *callbacks,
    struct auricle_result **out, struct auricle_message *message);
AURICLE_API void auricle_result_destroy(struct auricle_result *result);

/* ---- Sessions -------------------------------------------------------------------------------- */

struct auricle_session; /* opaque */
struct auricle_unit;    /* opaque: one piece of work, owned by its session */

/* A session over a media file or over samples (borrowed until it is destroyed). */
AURICLE_API AURICLE_MUST_CHECK enum auricle_error auricle_session_create(
    struct auricle_engine *engine, const char *path, const struct auricle_options *options,
    struct auricle_session **out, struct auricle_message *message);
AURICLE_API AURICLE_MUST_CHECK enum auricle_error auricle_session_create_samples(
    struct auricle_engine *engine, const float *samples, size_t n,
    const struct auricle_options *options, struct auricle_session **out,
    struct auricle_message *message);
AURICLE_API void auricle_session_destroy(struct auricle_session *session);

/* Next unit of work, or *out = NULL: auricle_session_wait says why. Looks through 30 s of audio at
 * most and never waits. Errors end the session: it is good for auricle_session_take_result and
 * destroying, at any time and with units out.                                                    */
AURICLE_API AURICLE_MUST_CHECK enum auricle_error auricle_session_next(
    struct auricle_session *session, struct auricle_unit **out, struct auricle_message *message);
/* Run n units, of any sessions of this engine, in as few batches as possible. Allocates: never. */
AURICLE_API void auricle_engine_run(struct auricle_engine *engine,
                                    struct auricle_unit *const *units, size_t n);
/* Give a unit back that was run. Units of a session may be completed in any order. */
AURICLE_API AURICLE_MUST_CHECK enum auricle_error auricle_session_complete(
    struct auricle_session *session, struct auricle_unit *unit, struct auricle_message *message);
AURICLE_API bool auricle_session_finished(const struct auricle_session *session);
/* Segments final so far; grows only. Borrowed. */
AURICLE_API const struct auricle_segment *auricle_session_segments(
    const struct auricle_session *session, size_t *n);
/* Seconds of the parts that the options ask for; *seconds_total < 0 while that is not known. */
AURICLE_API void auricle_session_position(const struct auricle_session *session,
                                          double *seconds_done, double *seconds_total);
/* Move the result out: all of it when finished, otherwise what is final. The session has then
 * ended: STATE is what its next, complete and another take give.                                 */
AURICLE_API AURICLE_MUST_CHECK enum auricle_error auricle_session_take_result(
    struct auricle_session *session, struct auricle_result **out);

/* ---- Audio that is not there yet ------------------------------------------------------------- */

/* A recording whose samples (16 kHz mono) come from elsewhere while they are heard: from a decoder
 * in another process, say. The functions are called by the session, on its owner's thread, and must
 * not wait.                                                                                      */
struct auricle_feed {
    size_t size;
    void *context;
    /* Samples [first, first + n) into out; *n_read is smaller than n only at the end of the
     * recording. AGAIN when they are not there yet. Another error ends the session.              */
    enum auricle_error (*read)(void *context, int64_t first, size_t n, float *out, size_t *n_read,
                               struct auricle_message *message);
    int64_t (*length)(void *context);  /* samples; -1 until known for certain */
    double (*estimate)(void *context); /* seconds, by the header; negative when unknown */
};
/* The feed is copied; its context is borrowed until the session is destroyed. */
AURICLE_API AURICLE_MUST_CHECK enum auricle_error auricle_session_create_feed(
    struct auricle_engine *engine, const struct auricle_feed *feed,
    const struct auricle_options *options, struct auricle_session **out,
    struct auricle_message *message);

/* Why auricle_session_next had no unit. NONE may be said with units out (then more of them may be
 * had before they are run), the others are said when no call would help before something else has
 * happened; UNITS comes before AUDIO and ROOM.                                                   */
enum auricle_wait {
    AURICLE_WAIT_NONE,  /* call it again: it does a bounded amount of its own work per call */
    AURICLE_WAIT_UNITS, /* units are out and must be completed first */
    AURICLE_WAIT_AUDIO, /* more audio must come */
    AURICLE_WAIT_ROOM,  /* other sessions hold the engine's decoder cells; ask again after each
                           run: whoever keeps asking gets them, oldest first */
    AURICLE_WAIT_END    /* finished */
};
AURICLE_API enum auricle_wait auricle_session_wait(const struct auricle_session *session);

/* Windows this session may have in work at once, from now on: at least 1, at most the engine's
 * max_windows, which is also the default.                                                        */
AURICLE_API void auricle_session_set_max_windows(struct auricle_session *session, int n);

/* ---- Streams --------------------------------------------------------------------------------- */

/* Somebody is speaking. A stream is a session that is fed as the audio comes and tells events:
 * what was heard so far (partial), then, after a silence, what was said (final). Finals equal what
 * an offline session hears in the same stretch of audio, without detector.
 *
 * The owner drives it like any session (next, run, complete) and asks for events in between; with
 * AURICLE_WAIT_AUDIO it waits until more was fed. Segments are told and not kept: the result of a
 * stream holds language, duration and timings. The options' offset, duration, clips and prefix are
 * refused; vad_threshold, vad_min_speech_ms and vad_speech_pad_ms count, the other times of voice
 * activity do not. See docs/STREAMS.md.                                                          */
struct auricle_stream_options {
    size_t size;
    double endpoint_ms; /* silence that ends an utterance; 0: 500 */
    double partial_ms;  /* new speech between two partials, half of it before an utterance's first;
                           0: 500; negative: no partials */
    double max_utterance_seconds; /* a longer one is cut at its best silence; 0: 28 */
    double buffer_seconds;        /* audio kept for a session that is behind; 0: 60 */
};
#define AURICLE_STREAM_OPTIONS_INIT                   \
    {                                                 \
        .size = sizeof(struct auricle_stream_options) \
    }
AURICLE_API AURICLE_MUST_CHECK enum auricle_error auricle_session_create_stream(
    struct auricle_engine *engine, const struct auricle_options *options,
    const struct auricle_stream_options *stream, struct auricle_session **out,
    struct auricle_message *message);

/* The feeding side: one thread, which need not be the session's owner. Samples are 16 kHz mono;
 * returns how many were taken, fewer than n when the buffer is full. Wait-free.                  */
AURICLE_API size_t auricle_stream_feed(struct auricle_session *session, const float *samples,
                                       size_t n);
/* Make final what was fed so far, without waiting for silence; answered by one FLUSHED event. Of
 * flushes that come faster than the owner listens, earlier ones are answered with the last.      */
AURICLE_API void auricle_stream_flush(struct auricle_session *session);
/* No more audio: the rest is heard, then the session is finished. */
AURICLE_API void auricle_stream_close(struct auricle_session *session);

enum auricle_stream_kind {
    AURICLE_STREAM_SPEECH_STARTED, /* start */
    AURICLE_STREAM_PARTIAL,        /* replaces the last partial */
    AURICLE_STREAM_FINAL,          /* one segment, words included; never taken back */
    AURICLE_STREAM_SPEECH_ENDED,   /* end; after the finals of the utterance */
    AURICLE_STREAM_FLUSHED         /* everything fed before the flush is final */
};
struct auricle_stream_event {
    enum auricle_stream_kind kind;
    double start, end; /* seconds since the first sample fed */
    const char *text;  /* of a partial (all of it) or final, without white space around it */
    size_t n_stable;   /* of a partial: its first bytes that two passes agreed on */
    const struct auricle_segment *segment; /* of a final (words and all); for a partial with word
                                              times its words are in here too; else NULL */
    const char *language;                  /* code; NULL: not decided */
    float language_probability;
    float confidence;   /* of a partial or final: mean probability of its tokens */
    bool end_of_speech; /* of a final: the last one of its utterance */
};
/* The next event, oldest first; false when there is none. What it points to is good until the next
 * call. A partial that a later event of the same utterance supersedes may be left out. Owner.    */
AURICLE_API bool auricle_stream_next_event(struct auricle_session *session,
                                           struct auricle_stream_event *out);

/* ---- Languages and output formats ------------------------------------------------------------ */

/* Probability of every language the model knows, for the first 30 s of n samples: probabilities
 * [128] by index of auricle_language_code; *n_languages is set.                                  */
AURICLE_API AURICLE_MUST_CHECK enum auricle_error auricle_detect_language(
    struct auricle_engine *engine, const float *samples, size_t n, float *probabilities,
    size_t *n_languages, struct auricle_message *message);
AURICLE_API const char *auricle_language_code(size_t index); /* NULL past the last */
AURICLE_API const char *auricle_language_name(size_t index);

/* Render a result as "txt", "srt", "vtt", "tsv", "json" or "lrc" into a new string
 * (auricle_string_free).
 * Errors: INVALID (unknown format; the sentence lists them), NOMEM.                              */
AURICLE_API AURICLE_MUST_CHECK enum auricle_error auricle_render(
    const struct auricle_result *result, const char *format, char **out, size_t *n_out,
    struct auricle_message *message);
AURICLE_API void auricle_string_free(char *text);

#ifdef __cplusplus
}
#endif
#endif
