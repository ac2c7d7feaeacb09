/* Collecting a vocabulary. Strings are kept in one growing block and addressed by offset until
 * nothing moves any more; only then are the pointers of struct text_vocab made.                 */
#include "text/vocab_builder.h"

#include "base/mem.h"
#include "text/gpt2_bytes.h"

enum { MAX_TEXT_BYTES = 64 << 20 };

void text_vocab_builder_init(struct vocab_builder *b)
{
    *b = (struct vocab_builder){0};
    au_buf_init(&b->text, MAX_TEXT_BYTES);
}

void text_vocab_builder_deinit(struct vocab_builder *b)
{
    au_buf_deinit(&b->text);
    au_free(b->tokens.items);
    au_free(b->specials.items);
    au_free(b->merges.items);
}

/* Make the list n items long; new ones are holes. */
static enum auricle_error list_resize(struct vocab_list *list, size_t n)
{
    if (n > list->capacity) {
        const size_t capacity = n < 1024 ? 1024 : n + n / 2;
        struct vocab_string *items = au_realloc(list->items, capacity * sizeof *items);
        if (!items)
            return AURICLE_E_NOMEM;
        list->items = items;
        list->capacity = capacity;
    }
    for (size_t i = list->n; i < n; i++)
        list->items[i] = (struct vocab_string){.id = -1};
    list->n = n;
    return AURICLE_OK;
}

/* Finish the string that was appended to the text from `at` on, and note it as item `index`. */
static enum auricle_error note(struct vocab_builder *b, struct vocab_list *list, size_t index,
                               size_t at, int64_t id, struct au_fault *fault)
{
    const size_t bytes = b->text.len - at;
    au_buf_putc(&b->text, '\0');
    enum auricle_error error = b->text.error;
    if (!error && index >= list->n)
        error = list_resize(list, index + 1);
    if (error)
        return au_fail(fault, error, "the vocabulary does not fit into memory");
    list->items[index] = (struct vocab_string){at, (uint32_t)bytes, (int32_t)id};
    return AURICLE_OK;
}

static enum auricle_error check_id(int64_t id, const char *text, struct au_fault *fault)
{
    if (id >= 0 && id < TEXT_MAX_TOKENS)
        return AURICLE_OK;
    return au_fail(fault, AURICLE_E_FORMAT, "token \"%.60s\" has no id, or one outside 0 to %d",
                   text, TEXT_MAX_TOKENS - 1);
}

enum auricle_error text_vocab_builder_token(struct vocab_builder *b, int64_t id, const char *bytes,
                                            size_t n, struct au_fault *fault)
{
    const size_t at = b->text.len;
    const enum auricle_error error = check_id(id, "", fault);
    if (error)
        return error;
    au_buf_append(&b->text, bytes, n);
    return note(b, &b->tokens, (size_t)id, at, id, fault);
}

enum auricle_error text_vocab_builder_gpt2_token(struct vocab_builder *b, int64_t id,
                                                 const char *text, size_t n, struct au_fault *fault)
{
    const size_t at = b->text.len;
    const enum auricle_error error = check_id(id, text, fault);
    if (error)
        return error;
    text_gpt2_to_bytes(text, n, &b->text);
    return note(b, &b->tokens, (size_t)id, at, id, fault);
}

enum auricle_error text_vocab_builder_special(struct vocab_builder *b, int64_t id, const char *text,
                                              size_t n, struct au_fault *fault)
{
    const size_t at = b->text.len;
    const enum auricle_error error = check_id(id, text, fault);
    if (error)
        return error;
    if (b->specials.n >= TEXT_MAX_TOKENS)
        return au_fail(fault, AURICLE_E_LIMIT, "more than %d added tokens", TEXT_MAX_TOKENS);
    au_buf_append(&b->text, text, n);
    return note(b, &b->specials, b->specials.n, at, id, fault);
}

enum auricle_error text_vocab_builder_merge(struct vocab_builder *b, const char *text, size_t n,
                                            struct au_fault *fault)
{
    const size_t at = b->text.len;
    if (b->merges.n >= TEXT_MAX_TOKENS)
        return au_fail(fault, AURICLE_E_LIMIT, "more than %d merges", TEXT_MAX_TOKENS);
    au_buf_append(&b->text, text, n);
    return note(b, &b->merges, b->merges.n, at, 0, fault);
}

/* Pointers to the strings of a list; holes are NULL. */
static const char **pointers(const struct vocab_builder *b, const struct vocab_list *list)
{
    const char **out = au_alloc_array(list->n, sizeof *out);
    for (size_t i = 0; out && i < list->n; i++)
        out[i] = list->items[i].id < 0 ? NULL : b->text.data + list->items[i].at;
    return out;
}

enum auricle_error text_vocab_builder_finish(const struct vocab_builder *b, size_t n_model_vocab,
                                             struct text_tokenizer **out, struct au_fault *fault)
{
    if (b->tokens.n == 0)
        return au_fail(fault, AURICLE_E_FORMAT, "the vocabulary holds no tokens");
    const char **tokens = pointers(b, &b->tokens);
    const char **specials = pointers(b, &b->specials);
    const char **merges = pointers(b, &b->merges);
    uint32_t *lengths = au_alloc_array(b->tokens.n, sizeof *lengths);
    int32_t *special_ids = au_alloc_array(b->specials.n, sizeof *special_ids);
    enum auricle_error error;
    if (!tokens || !specials || !merges || !lengths || !special_ids) {
        error = au_fail(fault, AURICLE_E_NOMEM, "the vocabulary does not fit into memory");
        goto done;
    }
    for (size_t i = 0; i < b->tokens.n; i++)
        lengths[i] = b->tokens.items[i].bytes;
    for (size_t i = 0; i < b->specials.n; i++)
        special_ids[i] = b->specials.items[i].id;
    const struct text_vocab vocab = {.n_tokens = b->tokens.n,
                                     .bytes = tokens,
                                     .lengths = lengths,
                                     .merges = merges,
                                     .n_merges = b->merges.n,
                                     .special_text = specials,
                                     .special_id = special_ids,
                                     .n_special = b->specials.n,
                                     .n_model_vocab = n_model_vocab};
    error = text_tokenizer_create(&vocab, out, fault);
done:
    au_free(tokens);
    au_free(specials);
    au_free(merges);
    au_free(lengths);
    au_free(special_ids);
    return error;
}
