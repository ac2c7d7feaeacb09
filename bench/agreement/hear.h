/* What a model writes for one window of speech, alone and when it is led.
 *
 * Greedy decoding at temperature 0 with the timestamp rules and suppressed tokens of the engine and
 * nothing else: no fallback, no tests of the result, one window.
 * Owner: one thread per `hearing`.                                                              */
#ifndef BENCH_AGREEMENT_HEAR_H
#define BENCH_AGREEMENT_HEAR_H

#include "model/whisper/parts.h"
#include "recog/decode/filter.h"
#include "recog/engine.h"

#define HEAR_MOST_TOKENS 224

/* One model's buffers: a window, cells, workspace. */
struct hearing {
    const struct whisper_model *model;
    const struct auricle_engine *engine; /* vocabulary and threads; borrowed */
    const struct recog_rules *rules;
    int32_t prompt[8];
    int n_prompt;
    struct tensor_workspace ws;
    struct whisper_window *window;
    struct whisper_cells *cells;
    int32_t *cell_numbers; /* [n_text_ctx] 0, 1, 2 ... */
    float *encoded;        /* [n_audio_ctx, D] of the last window */
    float *logits;         /* [HEAR_MOST_TOKENS, V] of the last call of hear_led */
};

/* Tokens of one window, end-of-text included, and how sure the model was of each. */
struct heard {
    int n;
    int32_t token[HEAR_MOST_TOKENS];
    float margin[HEAR_MOST_TOKENS]; /* log-probability of the best less that of the second */
};

/* A zeroed struct may be deinitialised. Errors: NOMEM. */
AURICLE_MUST_CHECK enum auricle_error hearing_init(struct hearing *h,
                                                   const struct whisper_model *model,
                                                   const struct auricle_engine *engine,
                                                   const struct recog_rules *rules,
                                                   int32_t language);
void hearing_deinit(struct hearing *h);

/* Encode log-mel [2 * n_audio_ctx, n_mels]. */
void hear_window(struct hearing *h, const float *mel);
/* The same from an encoder output [n_audio_ctx, D]. */
void hear_encoded(struct hearing *h, const float *encoded);
/* Tokens of the window, each after the model's own. */
void hear_free(struct hearing *h, struct heard *out);
/* The likeliest token at every position of `lead`, each after the lead's tokens before it; and
 * logprob[i] of lead token i, unfiltered.                                                        */
void hear_led(struct hearing *h, const struct heard *lead, struct heard *out, float *logprob);

#endif
