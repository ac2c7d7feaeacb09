/* From a row of logits to candidate tokens: suppression, timestamp rules, log-softmax, top-k or one
 * sample.
 *
 * Source: openai/whisper decoding.py (SuppressBlank, SuppressTokens, ApplyTimestampRules).       */
#ifndef RECOG_FILTER_H
#define RECOG_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kern/kern.h"

#define RECOG_MAX_BEAM 16
#define RECOG_MAX_TOP  (RECOG_MAX_BEAM + 1)

/* What may follow in one decoding task: the same for all its rows. Lists are borrowed. */
struct recog_rules {
    const int32_t *suppress; /* never sampled */
    size_t n_suppress;
    const int32_t *suppress_first; /* not sampled as the first token */
    size_t n_suppress_first;
    bool timestamps;               /* the timestamp rules apply */
    int32_t max_initial_timestamp; /* in steps of 0.02 s; negative: no bound */
    int32_t eot, no_timestamps, timestamp_begin;
    size_t n_vocab;
};

struct recog_pick {
    int n;
    int32_t id[RECOG_MAX_TOP];
    float logprob[RECOG_MAX_TOP]; /* log-softmax of the filtered logits, best first */
};

/* Candidates of one row.
 *   logits   [n_vocab]; overwritten
 *   sampled  [n_sampled] tokens sampled so far in this hypothesis
 *   n_top    1 to RECOG_MAX_TOP best candidates (ties: lower id first), for temperature 0
 *   temperature above 0: n_top independent tokens drawn from softmax(filtered logits / temperature)
 *            with numbers from `seed`; their logprobs are at temperature 1, as in the original
 * n is smaller than n_top when fewer tokens are allowed. Thread: any. Allocates: never.          */
void recog_pick(const struct recog_rules *rules, const struct kern_ops *ops, float *logits,
                const int32_t *sampled, size_t n_sampled, int n_top, float temperature,
                uint64_t seed, struct recog_pick *out);

/* Uniform in [0, 1): the next number of a splitmix64 sequence. */
double recog_uniform(uint64_t *state);

/* softmax(logits)[id], unfiltered. */
float recog_probability(const struct kern_ops *ops, const float *logits, size_t n_vocab,
                        int32_t id);

#endif
