/* From a row of logits to candidate tokens: suppression, timestamp rules, log-softmax, top-k or one
 * sample.
 *
 * In two parts. `reduce` looks at a piece of the row once, while it is in the nearest cache: it
 * suppresses, and leaves of each block of RECOG_BLOCK tokens the largest logit and the sum. Pieces
 * come in any order, from any thread. `pick` then works on the blocks, and on the few that can hold
 * a candidate. What comes out does not depend on the pieces.
 *
 * Source: openai/whisper decoding.py (SuppressBlank, SuppressTokens, ApplyTimestampRules).       */
#ifndef RECOG_FILTER_H
#define RECOG_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kern/kern.h"
#include "model/whisper/whisper.h"

#define RECOG_MAX_BEAM 16
#define RECOG_MAX_TOP  (RECOG_MAX_BEAM + 1)

/* What may follow in one decoding task: the same for all its rows. Lists are borrowed. */
struct recog_rules {
    const int32_t *suppress; /* never sampled; ascending, as the next */
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

#define RECOG_BLOCK WHISPER_LOGITS_PIECE

/* Of the allowed text, and of the allowed timestamps, in one block: minus infinity without any. */
struct recog_block {
    float text_max, text; /* largest logit, log of the sum of exponentials */
    float stamps_max, stamps;
};

/* One row on its way to its candidates. */
struct recog_filter {
    const struct recog_rules *rules;
    const struct kern_ops *ops;
    struct recog_block *blocks; /* [recog_filter_blocks(n_vocab)]; borrowed */
    bool first;                 /* of the hypothesis' tokens */
    size_t t0, t1;              /* allowed: text and special tokens below the timestamps */
    size_t s0, s1;              /* allowed timestamps */
};

static inline size_t recog_filter_blocks(size_t n_vocab)
{
    return (n_vocab + RECOG_BLOCK - 1) / RECOG_BLOCK;
}

/* sampled [n_sampled]: tokens sampled so far in this hypothesis; not kept. */
void recog_filter_begin(struct recog_filter *filter, const struct recog_rules *rules,
                        const struct kern_ops *ops, struct recog_block *blocks,
                        const int32_t *sampled, size_t n_sampled);
/* Take in logits [n0, n1) of `logits` [n_vocab]; n0 is a multiple of RECOG_BLOCK, n1 one or
 * n_vocab. Suppressed ones are overwritten. Thread: any, on disjoint pieces.                     */
void recog_filter_reduce(const struct recog_filter *filter, float *logits, size_t n0, size_t n1);
/* Candidates of a row of which everything has been taken in.
 *   logits   [n_vocab]; overwritten
 *   n_top    1 to RECOG_MAX_TOP best candidates (ties: lower id first), for temperature 0
 *   temperature above 0: n_top independent tokens drawn from softmax(filtered logits / temperature)
 *            with numbers from `seed`; their logprobs are at temperature 1, as in the original
 * n is smaller than n_top when fewer tokens are allowed. Thread: any. Allocates: never.          */
void recog_filter_pick(const struct recog_filter *filter, float *logits, int n_top,
                       float temperature, uint64_t seed, struct recog_pick *out);

/* Uniform in [0, 1): the next number of a splitmix64 sequence. */
double recog_uniform(uint64_t *state);

/* softmax(logits)[id], unfiltered. */
float recog_probability(const struct kern_ops *ops, const float *logits, size_t n_vocab,
                        int32_t id);

#endif
