/* Voice activity: from samples to spans of speech.
 *
 * Four parts, each usable alone: the energy and zero-crossing gate (one chunk in, speech or not);
 * the cutter (probabilities in, padded spans out: Silero's get_speech_timestamps, made incremental
 * so that hours of audio need a few bytes); the iterator (probabilities in, start and end events
 * out at once: Silero's VADIterator, for live audio); and recog_vad, which joins a model or the
 * gate with a cutter and takes samples in pieces of any size.
 *
 * Times are sample indices at the model's rate, from the first sample fed.
 * Owner: one thread. Only recog_vad_create allocates.
 * Source: snakers4/silero-vad utils_vad.py.                                                      */
#ifndef RECOG_VAD_H
#define RECOG_VAD_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "model/silero/silero.h"

struct recog_speech {
    int64_t start, end; /* samples; end exclusive */
};

/* ---- Energy and zero crossings --------------------------------------------------------------- */

struct recog_vad_energy {
    float rms;          /* at least this loud: 0.005 is -46 dB of full scale */
    float crossings_hz; /* at least as many sign changes per second: 50 keeps out hum and drift */
};
#define RECOG_VAD_ENERGY_DEFAULT \
    {                            \
        0.005F, 50.0F            \
    }

/* Is there sound worth a model's time in samples [n]? False for n = 0. */
bool recog_vad_energy_passes(const struct recog_vad_energy *energy, int rate_hz,
                             const float *samples, size_t n);

/* ---- Cutter ---------------------------------------------------------------------------------- */

struct recog_vad_options {
    double threshold;     /* a chunk at least this probable begins speech */
    double neg_threshold; /* one below this may end it; negative: threshold - 0.15, at least 0.01 */
    double min_speech_ms; /* shorter speech is dropped */
    double max_speech_s;  /* longer speech is cut; INFINITY: never */
    double min_silence_ms;               /* silence that ends speech */
    double speech_pad_ms;                /* added on both sides, at most to the middle of a gap */
    double min_silence_at_max_speech_ms; /* silence at which too long speech may be cut */
    bool cut_at_longest_silence; /* too long speech: at its longest silence, else its last */
};
/* Silero's own defaults. */
#define RECOG_VAD_DEFAULT                                           \
    {                                                               \
        0.5, -1.0, 250.0, (double)INFINITY, 100.0, 30.0, 98.0, true \
    }

/* Errors: INVALID, naming the option (thresholds in 0..1, times at least 0, max_speech_s longer
 * than its padding).                                                                             */
AURICLE_MUST_CHECK enum auricle_error recog_vad_options_check(
    const struct recog_vad_options *options, struct au_fault *fault);

/* A cutter is plain data; begin with init. */
struct recog_vad_cutter {
    double threshold, neg_threshold;
    double min_speech, max_speech, min_silence, pad, min_silence_at_max; /* samples */
    bool cut_at_longest;
    int64_t chunk;

    int64_t now; /* start of the next chunk */
    bool triggered, begun;
    struct recog_speech current;  /* being heard, when begun */
    int64_t quiet_since;          /* 0: not quiet */
    int64_t cut_end, cut_resume;  /* where too long speech may be cut (cut_at_longest off) */
    struct recog_speech longest;  /* longest silence inside the current speech; end 0: none */
    struct recog_speech ready[4]; /* closed, oldest first; the newest waits for its neighbour */
    int n_ready;
    double lead; /* padding before the oldest, or before the next to come: its share of the gap */
    bool finished;
};
void recog_vad_cutter_init(struct recog_vad_cutter *cutter, const struct recog_vad_options *options,
                           int rate_hz, size_t chunk_samples);
/* The next chunk's probability. Take what is ready (recog_vad_cutter_next) before the next call. */
void recog_vad_cutter_feed(struct recog_vad_cutter *cutter, double probability);
/* No more chunks: n_samples is the true length (the last chunk may have been filled up). */
void recog_vad_cutter_finish(struct recog_vad_cutter *cutter, int64_t n_samples);
/* A span whose padding is settled, in order; false when there is none yet. A span is settled
 * when it is known where the next one begins, or that it begins too late to touch this one: as a
 * rule twice the padding and a chunk after its end, whatever follows.                            */
bool recog_vad_cutter_next(struct recog_vad_cutter *cutter, struct recog_speech *out);

/* ---- Iterator -------------------------------------------------------------------------------- */

enum recog_vad_event { RECOG_VAD_NOTHING, RECOG_VAD_START, RECOG_VAD_END };

struct recog_vad_iterator {
    double threshold, min_silence, pad;
    int64_t chunk, now, quiet_since;
    bool triggered;
};
/* Of the options, threshold, min_silence_ms and speech_pad_ms count. */
void recog_vad_iterator_init(struct recog_vad_iterator *iterator,
                             const struct recog_vad_options *options, int rate_hz,
                             size_t chunk_samples);
/* *sample: where the speech starts or ended, padded; may lie before or after the chunk. */
enum recog_vad_event recog_vad_iterator_feed(struct recog_vad_iterator *iterator,
                                             double probability, int64_t *sample);

/* ---- Samples in, spans out ------------------------------------------------------------------- */

struct recog_vad; /* opaque */

struct recog_vad_config {
    const struct silero_model *model; /* NULL: the gate decides alone; outlives the recog_vad */
    int rate_hz;                      /* of the samples, when there is no model */
    struct recog_vad_options options;
    struct recog_vad_energy energy;
    bool energy_first; /* chunks that fail the gate count as silence, unseen by the model */
};

/* Errors: INVALID (options), NOMEM. */
AURICLE_MUST_CHECK enum auricle_error recog_vad_create(const struct recog_vad_config *config,
                                                       struct recog_vad **out,
                                                       struct au_fault *fault);
void recog_vad_destroy(struct recog_vad *vad);
void recog_vad_reset(struct recog_vad *vad); /* as new */
size_t recog_vad_chunk_samples(const struct recog_vad *vad);

/* Take samples up to the end of the present chunk, at most n; returns how many were taken, at least
 * 1 unless n is 0. Take the spans (recog_vad_next) after each call.                              */
size_t recog_vad_feed(struct recog_vad *vad, const float *samples, size_t n);
/* No more samples: the last chunk is filled with zeros. */
void recog_vad_finish(struct recog_vad *vad);
bool recog_vad_next(struct recog_vad *vad, struct recog_speech *out);
/* Probability of the last whole chunk (0 or 1 from the gate); 0 before the first. */
float recog_vad_probability(const struct recog_vad *vad);
/* Chunks fed so far, and how many of them the gate kept from the model. */
uint64_t recog_vad_chunks(const struct recog_vad *vad, uint64_t *skipped);

#endif
