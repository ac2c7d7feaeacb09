/* Prompt tokens and suppression rules. See prompt.h. */
#include "recog/decode/prompt.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static const int32_t *last_of(const int32_t *list, size_t n, size_t most, size_t *kept)
{
    *kept = n < most ? n : most;
    return n ? list + (n - *kept) : list;
}

int recog_prompt_build(const struct recog_prompt *p, int32_t *tokens, int *sot_index)
{
    const struct text_specials *sp = p->specials;
    size_t half = (size_t)p->n_text_ctx / 2, n_kept;
    int n = 0;
    size_t n_hot = p->n_hotwords < half / 2 ? p->n_hotwords : half / 2;
    if (p->n_previous || n_hot) {
        tokens[n++] = sp->sot_prev;
        if (n_hot)
            memcpy(tokens + n, p->hotwords, n_hot * sizeof(*tokens));
        n += (int)n_hot;
        const int32_t *kept = last_of(p->previous, p->n_previous, half - 1 - n_hot, &n_kept);
        if (n_kept)
            memcpy(tokens + n, kept, n_kept * sizeof(*tokens));
        n += (int)n_kept;
    }
    *sot_index = n;
    tokens[n++] = sp->sot;
    if (sp->multilingual) {
        tokens[n++] = p->language;
        tokens[n++] = p->task == AURICLE_TASK_TRANSLATE ? sp->translate : sp->transcribe;
    }
    if (p->without_timestamps)
        tokens[n++] = sp->no_timestamps;
    /* A prefix and what is sampled after it share half of the context. */
    size_t room = p->max_tokens && (size_t)p->max_tokens < half ? half - (size_t)p->max_tokens
                                                                : half / 2;
    size_t left = (size_t)(p->n_text_ctx - 1 - n); /* one token at least is to be sampled */
    room = room < left ? room : left;
    const int32_t *prefix = last_of(p->prefix, p->n_prefix, room, &n_kept);
    if (n_kept)
        memcpy(tokens + n, prefix, n_kept * sizeof(*tokens));
    return n + (int)n_kept;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

enum auricle_error recog_prompt_encode(const struct text_tokenizer *tokenizer, const char *text,
                                       int32_t **out, size_t *n_out)
{
    *out = NULL;
    *n_out = 0;
    if (!text)
        return AURICLE_OK;
    size_t begin = 0, end = strlen(text);
    while (begin < end && is_space(text[begin]))
        begin++;
    while (end > begin && is_space(text[end - 1]))
        end--;
    size_t bytes = end - begin + 1;
    char *padded = au_alloc(bytes + 1);
    int32_t *ids = au_alloc_array(bytes, sizeof(*ids)); /* never more tokens than bytes */
    enum auricle_error error = AURICLE_E_NOMEM;
    if (padded && ids) {
        padded[0] = ' ';
        memcpy(padded + 1, text + begin, bytes - 1);
        padded[bytes] = 0;
        error = text_encode(tokenizer, padded, bytes, ids, bytes, n_out);
    }
    au_free(padded);
    if (error) {
        au_free(ids);
        return error;
    }
    *out = ids;
    return AURICLE_OK;
}

static int compare_ids(const void *a, const void *b)
{
    const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* The caller's list with -1 replaced by the non-speech tokens, and the task and context tokens
 * that are never sampled, ascending. Without a list nothing is suppressed, as in the original.   */
static enum auricle_error suppress_list(const struct text_tokenizer *tokenizer,
                                        const struct auricle_options *options, int32_t **out,
                                        size_t *n_out)
{
    enum { NON_SPEECH_ROOM = 1024, SPECIALS = 6 };
    const struct text_specials *sp = text_tokenizer_specials(tokenizer);
    size_t room = (size_t)options->n_suppress_tokens + NON_SPEECH_ROOM + SPECIALS, n = 0;
    int32_t *list = au_alloc_array(room, sizeof(*list));
    if (!list)
        return AURICLE_E_NOMEM;
    bool non_speech = false;
    for (int i = 0; i < options->n_suppress_tokens; i++) {
        if (options->suppress_tokens[i] < 0)
            non_speech = true;
        else
            list[n++] = options->suppress_tokens[i];
    }
    size_t found = 0;
    if (non_speech && text_non_speech_tokens(tokenizer, list + n, NON_SPEECH_ROOM, &found)) {
        au_free(list);
        return AURICLE_E_NOMEM;
    }
    n += found;
    const int32_t always[SPECIALS] = {sp->transcribe, sp->translate, sp->sot,
                                      sp->sot_prev,   sp->sot_lm,    sp->no_speech};
    for (size_t i = 0; i < SPECIALS && options->n_suppress_tokens > 0; i++)
        list[n++] = always[i];
    qsort(list, n, sizeof(*list), compare_ids);
    *out = list;
    *n_out = n;
    return AURICLE_OK;
}

enum auricle_error recog_rules_init(struct recog_rules *rules,
                                    const struct text_tokenizer *tokenizer, size_t n_vocab,
                                    const struct auricle_options *options)
{
    const struct text_specials *sp = text_tokenizer_specials(tokenizer);
    memset(rules, 0, sizeof(*rules));
    rules->eot = sp->eot;
    rules->no_timestamps = sp->no_timestamps;
    rules->timestamp_begin = sp->timestamp_begin;
    rules->n_vocab = n_vocab;
    rules->timestamps = !options->without_timestamps;
    /* Beyond the longest window a bound is none, and too large for the conversion. */
    bool bounded = options->max_initial_timestamp >= 0 && options->max_initial_timestamp < 1000;
    rules->max_initial_timestamp = bounded
                                       ? (int32_t)lroundf(options->max_initial_timestamp / 0.02f)
                                       : -1;
    int32_t *list = NULL, *first = NULL;
    enum auricle_error error = suppress_list(tokenizer, options, &list, &rules->n_suppress);
    if (error)
        return error;
    rules->suppress = list;
    if (!options->suppress_blank)
        return AURICLE_OK;
    first = au_alloc_array(8, sizeof(*first));
    if (!first || text_encode(tokenizer, " ", 1, first, 7, &rules->n_suppress_first)) {
        au_free(first);
        recog_rules_deinit(rules);
        return AURICLE_E_NOMEM;
    }
    first[rules->n_suppress_first++] = sp->eot;
    qsort(first, rules->n_suppress_first, sizeof(*first), compare_ids);
    rules->suppress_first = first;
    return AURICLE_OK;
}

void recog_rules_deinit(struct recog_rules *rules)
{
    au_free((void *)(uintptr_t)rules->suppress);
    au_free((void *)(uintptr_t)rules->suppress_first);
    rules->suppress = rules->suppress_first = NULL;
}
