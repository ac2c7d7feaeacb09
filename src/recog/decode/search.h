/* Search: one window, one temperature, from prompt tokens to the best token sequence.
 *
 * Greedy, best of several samples, or beam search with patience and length penalty, exactly as
 * the original does them. A state machine: recog_search_next describes the next decoder rows,
 * recog_search_complete takes their candidates; the caller runs them in between, as part of any
 * batch. Owner: one session's thread. Only recog_search_create allocates.
 * Source: openai/whisper decoding.py (DecodingTask, GreedyDecoder, BeamSearchDecoder).           */
#ifndef RECOG_SEARCH_H
#define RECOG_SEARCH_H

#include "recog/decode/cells.h"
#include "recog/unit.h"

#define RECOG_MAX_PATIENCE 4

struct recog_search_config {
    const struct whisper_window *window;
    const int32_t *prompt; /* all tokens before the first sampled one; borrowed until the end */
    int n_prompt;
    int sot_index; /* where <|startoftranscript|> stands in the prompt */
    const struct recog_rules *rules;
    int beam_size;                  /* 0: sampling or greedy */
    int n_samples;                  /* best-of; 1 at temperature 0 */
    float patience, length_penalty; /* length_penalty negative: divide by the length */
    float temperature;
    int max_tokens; /* sampled at most */
    int n_text_ctx;
    int32_t no_speech; /* id; -1: the vocabulary has none */
    uint64_t seed;
};

struct recog_search_result {
    const int32_t *tokens; /* borrowed until the next begin; without end-of-text */
    const float *logprobs; /* of each token */
    int n_tokens;
    double sum_logprob; /* end-of-text included when it was sampled */
    float avg_logprob;  /* sum / (n_tokens + 1) */
    float no_speech_prob;
    bool ended;  /* end-of-text was sampled, or nothing could be; else the text is cut short */
    int n_steps; /* decoder calls */
};

struct recog_search; /* opaque */

/* max_group: most hypotheses at once. Errors: NOMEM, INVALID. */
AURICLE_MUST_CHECK enum auricle_error recog_search_create(int max_group, int n_text_ctx,
                                                          struct recog_cells *cells,
                                                          struct recog_search **out);
void recog_search_destroy(struct recog_search *search); /* gives its cells back */
size_t recog_search_cells_needed(int max_group, int n_text_ctx);

/* Start over with a new window, prompt or temperature. */
void recog_search_begin(struct recog_search *search, const struct recog_search_config *config);
/* Rows of the next step, or false when finished. */
bool recog_search_next(struct recog_search *search, struct recog_row **rows, size_t *n_rows);
void recog_search_complete(struct recog_search *search);
bool recog_search_finished(const struct recog_search *search);
void recog_search_result(const struct recog_search *search, struct recog_search_result *out);

/* Finished candidates in order of preference, for tests: tokens and sums. */
int recog_search_candidates(const struct recog_search *search);
void recog_search_candidate(const struct recog_search *search, int i, const int32_t **tokens,
                            int *n, double *sum);

#endif
