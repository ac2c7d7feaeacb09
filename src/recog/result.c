/* Transcript builder. See result.h. */
#include "recog/result.h"

#include <string.h>

#include "base/mem.h"

enum auricle_error recog_result_create(struct recog_result **out)
{
    struct recog_result *result = au_calloc(1, sizeof(*result));
    if (!result)
        return AURICLE_E_NOMEM;
    au_buf_init(&result->text, 0);
    recog_result_publish(result);
    *out = result;
    return AURICLE_OK;
}

static void free_const(const void *block)
{
    au_free((void *)(uintptr_t)block);
}

void recog_segment_deinit(struct auricle_segment *segment)
{
    free_const(segment->text);
    free_const(segment->tokens);
    free_const(segment->token_logprobs);
    for (size_t i = 0; segment->words && i < segment->n_words; i++)
        free_const(segment->words[i].text);
    free_const(segment->words);
}

static enum auricle_error words_copy(struct auricle_segment *to, const struct auricle_segment *from)
{
    struct auricle_word *words = au_calloc(from->n_words, sizeof(*words));
    to->words = words;
    if (!words)
        return AURICLE_E_NOMEM;
    to->n_words = from->n_words;
    for (size_t i = 0; i < from->n_words; i++) {
        words[i] = from->words[i];
        words[i].text = au_strdup(from->words[i].text);
        if (!words[i].text)
            return AURICLE_E_NOMEM;
    }
    return AURICLE_OK;
}

enum auricle_error recog_segment_copy(struct auricle_segment *to,
                                      const struct auricle_segment *from)
{
    *to = *from;
    to->words = NULL;
    to->n_words = 0;
    to->text = au_strdup(from->text);
    int32_t *tokens = au_alloc_array(from->n_tokens + 1, sizeof(*tokens));
    to->tokens = tokens;
    float *logprobs = au_alloc_array(from->n_tokens + 1, sizeof(*logprobs));
    to->token_logprobs = logprobs;
    if (!to->text || !tokens || !logprobs)
        return AURICLE_E_NOMEM;
    if (from->n_tokens) {
        memcpy(tokens, from->tokens, from->n_tokens * sizeof(*tokens));
        memcpy(logprobs, from->token_logprobs, from->n_tokens * sizeof(*logprobs));
    }
    return from->words ? words_copy(to, from) : AURICLE_OK;
}

enum auricle_error recog_result_add(struct recog_result *result,
                                    const struct auricle_segment *segment, bool keep_filtered)
{
    bool drop = segment->filtered_by && !keep_filtered;
    struct auricle_segment **list = drop ? &result->filtered : &result->segments;
    size_t *n = drop ? &result->pub.n_filtered : &result->pub.n_segments;
    size_t *room = drop ? &result->filtered_room : &result->segments_room;
    void *grown = au_grow(*list, *n, room, sizeof(**list));
    if (!grown)
        return AURICLE_E_NOMEM;
    *list = grown;
    enum auricle_error error = recog_segment_copy(&(*list)[*n], segment);
    if (error) {
        recog_segment_deinit(&(*list)[*n]);
        return error;
    }
    ++*n;
    recog_result_publish(result);
    return AURICLE_OK;
}

enum auricle_error recog_result_set_warning(struct recog_result *result, const char *sentence)
{
    char *copy = au_strdup(sentence);
    if (!copy)
        return AURICLE_E_NOMEM;
    au_free(result->warning);
    result->warning = copy;
    recog_result_publish(result);
    return AURICLE_OK;
}

void recog_result_publish(struct recog_result *result)
{
    result->pub.segments = result->segments;
    result->pub.filtered = result->filtered;
    result->pub.text = result->text.data;
    result->pub.warning = result->warning;
}

void auricle_result_destroy(struct auricle_result *pub)
{
    if (!pub)
        return;
    struct recog_result *result = (struct recog_result *)pub;
    for (size_t i = 0; i < pub->n_segments; i++)
        recog_segment_deinit(&result->segments[i]);
    for (size_t i = 0; i < pub->n_filtered; i++)
        recog_segment_deinit(&result->filtered[i]);
    au_free(result->segments);
    au_free(result->filtered);
    au_free(result->warning);
    au_buf_deinit(&result->text);
    au_free(result);
}
