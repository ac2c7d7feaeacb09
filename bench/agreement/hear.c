/* Greedy and led decoding of one window. See hear.h. */
#include "bench/agreement/hear.h"

#include <string.h>

#include "recog/decode/prompt.h"

/* ---- Making ---------------------------------------------------------------------------------- */

static enum auricle_error take_buffers(struct hearing *h)
{
    const struct whisper_dims *dims = &h->model->dims;
    const int threads = au_pool_threads(h->engine->pool);
    const size_t n_ctx = (size_t)dims->n_text_ctx;
    const size_t encode = whisper_plan_encode(h->model, threads, 1);
    const size_t decode = whisper_plan_decode(h->model, threads, n_ctx, HEAR_MOST_TOKENS);
    enum auricle_error error = tensor_workspace_create(&h->ws, whisper_larger(encode, decode));
    if (!error)
        error = whisper_window_create(h->model, &h->window);
    if (!error)
        error = whisper_cells_create(h->model, n_ctx, &h->cells);
    if (error)
        return error;
    h->cell_numbers = au_alloc_array(n_ctx, sizeof *h->cell_numbers);
    h->encoded = au_alloc_array((size_t)dims->n_audio_ctx * (size_t)dims->n_audio_state,
                                sizeof(float));
    h->logits = au_alloc_array((size_t)HEAR_MOST_TOKENS * (size_t)dims->n_vocab, sizeof(float));
    if (!h->cell_numbers || !h->encoded || !h->logits)
        return AURICLE_E_NOMEM;
    for (size_t i = 0; i < n_ctx; i++)
        h->cell_numbers[i] = (int32_t)i;
    return AURICLE_OK;
}

enum auricle_error hearing_init(struct hearing *h, const struct whisper_model *model,
                                const struct auricle_engine *engine,
                                const struct recog_rules *rules, int32_t language)
{
    const struct text_specials *s = engine->specials;
    *h = (struct hearing){.model = model, .engine = engine, .rules = rules};
    h->prompt[h->n_prompt++] = s->sot;
    if (s->multilingual) {
        h->prompt[h->n_prompt++] = language;
        h->prompt[h->n_prompt++] = s->transcribe;
    }
    enum auricle_error error = take_buffers(h);
    if (error)
        hearing_deinit(h);
    return error;
}

void hearing_deinit(struct hearing *h)
{
    tensor_workspace_deinit(&h->ws);
    whisper_window_destroy(h->window);
    whisper_cells_destroy(h->cells);
    au_free(h->cell_numbers);
    au_free(h->encoded);
    au_free(h->logits);
    *h = (struct hearing){0};
}

/* ---- Hearing --------------------------------------------------------------------------------- */

void hear_window(struct hearing *h, const float *mel)
{
    whisper_encode(h->model, h->engine->pool, &h->ws, 1, &mel, &h->window, &h->encoded);
}

void hear_encoded(struct hearing *h, const float *encoded)
{
    whisper_encode_cross(h->model, h->engine->pool, &h->ws, encoded, h->window);
}

/* Run n tokens after n_past; the logits of the last n_logits go to h->logits. */
static void step(struct hearing *h, const int32_t *tokens, int n, int n_past, int n_logits)
{
    const struct whisper_row row = {.window = h->window,
                                    .tokens = tokens,
                                    .cells = h->cell_numbers,
                                    .n_tokens = n,
                                    .n_past = n_past,
                                    .n_logits = n_logits,
                                    .logits = h->logits};
    whisper_decode(h->model, h->engine->pool, &h->ws, h->cells, 1, &row);
}

/* The best allowed token after out's tokens before i. Overwrites the logits. */
static void pick(const struct hearing *h, float *logits, const int32_t *sampled, int i,
                 struct heard *out)
{
    struct recog_pick best;
    struct recog_filter filter;
    recog_filter_begin(&filter, h->rules, h->engine->ops, h->engine->blocks, sampled, (size_t)i);
    recog_filter_reduce(&filter, logits, 0, h->rules->n_vocab);
    recog_filter_pick(&filter, logits, 2, 0.0F, 0, &best);
    out->token[i] = best.id[0];
    out->margin[i] = best.n > 1 ? best.logprob[0] - best.logprob[1] : 100.0F;
}

void hear_free(struct hearing *h, struct heard *out)
{
    out->n = 0;
    step(h, h->prompt, h->n_prompt, 0, 1);
    while (out->n < HEAR_MOST_TOKENS) {
        const int i = out->n++;
        pick(h, h->logits, out->token, i, out);
        if (out->token[i] == h->rules->eot)
            break;
        if (out->n < HEAR_MOST_TOKENS)
            step(h, &out->token[i], 1, h->n_prompt + i, 1);
    }
}

void hear_led(struct hearing *h, const struct heard *lead, struct heard *out, float *logprob)
{
    const size_t vocab = h->rules->n_vocab;
    int32_t tokens[sizeof h->prompt / sizeof *h->prompt + HEAR_MOST_TOKENS];
    const size_t before = (size_t)h->n_prompt, n = (size_t)lead->n - 1;

    /* The last token of the lead is followed by nothing. */
    memcpy(tokens, h->prompt, before * sizeof *tokens);
    memcpy(tokens + before, lead->token, n * sizeof *tokens);
    step(h, tokens, (int)(before + n), 0, lead->n);
    out->n = lead->n;
    for (int i = 0; i < lead->n; i++) {
        float *logits = h->logits + (size_t)i * vocab;
        logprob[i] = logits[lead->token[i]] - h->engine->ops->log_sum_exp(logits, vocab);
        pick(h, logits, lead->token, i, out);
    }
}
