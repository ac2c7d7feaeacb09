/* Whisper's tokenizer: building it from a vocabulary, encoding, decoding, suppressed tokens.
 *
 * All token texts lie in one block in id order, with an offset per id; the encoder (text/bpe.h) has
 * its own index from bytes to ids. Everything is built in text_tokenizer_create and read-only after
 * that, so one tokenizer serves every thread. Reading vocabulary files is text/vocab_file.c,
 * splitting into words is text/words.c.                                                         */
#include "text/tokenizer.h"

#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "text/bpe.h"
#include "text/gpt2_bytes.h"
#include "text/pretokenize.h"
#include "text/specials.h"

enum { MAX_TOKENS = 1 << 20, MAX_VOCAB_BYTES = 64 << 20 };

struct text_tokenizer {
    size_t size;
    struct au_buf text; /* all token texts, by id */
    uint32_t *offset;   /* [size + 1] into text */
    struct text_bpe *bpe;
    struct text_specials specials;
};

static enum auricle_error check_sizes(const struct text_vocab *vocab, size_t *size,
                                      struct au_fault *fault)
{
    size_t largest = vocab->n_tokens > vocab->n_model_vocab ? vocab->n_tokens
                                                            : vocab->n_model_vocab;
    for (size_t i = 0; i < vocab->n_special; i++) {
        const int32_t id = vocab->special_id[i];
        if (id < 0 || id >= MAX_TOKENS)
            return au_fail(fault, AURICLE_E_FORMAT,
                           "special token \"%s\" has id %d; ids are 0 to %d",
                           vocab->special_text[i], id, MAX_TOKENS - 1);
        if ((size_t)id >= largest)
            largest = (size_t)id + 1;
    }
    if (largest == 0 || largest > MAX_TOKENS)
        return au_fail(fault, AURICLE_E_FORMAT,
                       "the vocabulary has %zu tokens; 1 to %d are accepted", largest, MAX_TOKENS);
    if (vocab->n_model_vocab > 0 && largest > vocab->n_model_vocab)
        return au_fail(fault, AURICLE_E_FORMAT,
                       "the vocabulary has ids up to %zu, the model only %zu outputs: these files "
                       "do not belong together",
                       largest - 1, vocab->n_model_vocab);
    *size = largest;
    return AURICLE_OK;
}

static enum auricle_error find_specials(struct text_tokenizer *t, const struct text_vocab *vocab,
                                        struct au_fault *fault)
{
    text_specials_init(&t->specials);
    for (size_t id = 0; id < vocab->n_tokens; id++) {
        if (vocab->bytes[id])
            text_specials_name(&t->specials, vocab->bytes[id], vocab->lengths[id], (int32_t)id);
    }
    for (size_t i = 0; i < vocab->n_special; i++) {
        const char *text = vocab->special_text[i];
        text_specials_name(&t->specials, text, strlen(text), vocab->special_id[i]);
    }
    const enum auricle_error error = text_specials_complete(&t->specials, vocab->n_tokens,
                                                            vocab->n_model_vocab, fault);
    if (!error && vocab->n_model_vocab == 0 && t->specials.timestamp_begin >= 0) {
        const size_t end = (size_t)t->specials.timestamp_begin + TEXT_N_TIMESTAMPS;
        t->size = t->size < end ? end : t->size;
    }
    return error;
}

/* Write all token texts behind each other. A name from the file wins over the vocabulary's bytes,
 * and those over the text that the original would give.                                         */
static enum auricle_error write_texts(struct text_tokenizer *t, const struct text_vocab *vocab)
{
    const char **named = au_calloc(t->size, sizeof *named);
    t->offset = au_alloc_array(t->size + 1, sizeof *t->offset);
    if (!named || !t->offset) {
        au_free(named);
        return AURICLE_E_NOMEM;
    }
    for (size_t i = 0; i < vocab->n_special; i++)
        named[vocab->special_id[i]] = vocab->special_text[i];
    for (size_t id = 0; id < t->size && !t->text.error; id++) {
        char special[TEXT_SPECIAL_MAX_BYTES];
        t->offset[id] = (uint32_t)t->text.len;
        if (named[id])
            au_buf_puts(&t->text, named[id]);
        else if (id < vocab->n_tokens && vocab->bytes[id])
            au_buf_append(&t->text, vocab->bytes[id], vocab->lengths[id]);
        else
            au_buf_append(&t->text, special,
                          text_specials_text(&t->specials, (int32_t)id, special));
    }
    t->offset[t->size] = (uint32_t)t->text.len;
    au_free(named);
    return t->text.error;
}

static enum auricle_error index_tokens(struct text_tokenizer *t, const struct text_vocab *vocab)
{
    const size_t n_text = (size_t)t->specials.eot < vocab->n_tokens ? (size_t)t->specials.eot
                                                                    : vocab->n_tokens;
    enum auricle_error error = text_bpe_create(n_text, vocab->n_merges, &t->bpe);
    for (size_t id = 0; id < n_text && !error; id++) {
        if (vocab->bytes[id] && !text_specials_is_marker(vocab->bytes[id], vocab->lengths[id]))
            error = text_bpe_add_token(t->bpe, vocab->bytes[id], vocab->lengths[id], (int32_t)id);
    }
    return error;
}

/* "left right" in GPT-2's alphabet, split at its only space, which the alphabet does not have. */
static enum auricle_error add_merge(struct text_bpe *bpe, const char *merge, size_t rank,
                                    struct au_buf *bytes, struct au_fault *fault)
{
    const char *space = strchr(merge, ' ');
    au_buf_clear(bytes);
    enum auricle_error error = AURICLE_E_NOT_FOUND;
    if (space && space > merge && space[1] && !strchr(space + 1, ' ')) {
        text_gpt2_to_bytes(merge, (size_t)(space - merge), bytes);
        const size_t n_left = bytes->len;
        text_gpt2_to_bytes(space + 1, strlen(space + 1), bytes);
        if (bytes->error)
            return au_fail(fault, bytes->error, "merge %zu does not fit into memory", rank + 1);
        error = text_bpe_add_merge(bpe, bytes->data, n_left, bytes->data + n_left,
                                   bytes->len - n_left, (uint32_t)rank);
    }
    if (error == AURICLE_E_NOT_FOUND)
        return au_fail(
            fault, AURICLE_E_FORMAT,
            "merge %zu, \"%.60s\", is not two tokens of the vocabulary that make a third", rank + 1,
            merge);
    return error;
}

static enum auricle_error index_merges(struct text_tokenizer *t, const struct text_vocab *vocab,
                                       struct au_fault *fault)
{
    enum auricle_error error = AURICLE_OK;
    struct au_buf bytes;
    au_buf_init(&bytes, 0);
    for (size_t i = 0; i < vocab->n_merges && !error; i++)
        error = add_merge(t->bpe, vocab->merges[i], i, &bytes, fault);
    au_buf_deinit(&bytes);
    return error;
}

enum auricle_error text_tokenizer_create(const struct text_vocab *vocab,
                                         struct text_tokenizer **out, struct au_fault *fault)
{
    size_t size = 0;
    enum auricle_error error = check_sizes(vocab, &size, fault);
    if (error)
        return error;
    struct text_tokenizer *t = au_calloc(1, sizeof *t);
    if (!t)
        return au_fail(fault, AURICLE_E_NOMEM, "no memory for the vocabulary");
    t->size = size;
    au_buf_init(&t->text, MAX_VOCAB_BYTES);
    error = find_specials(t, vocab, fault);
    if (error)
        goto fail;
    error = write_texts(t, vocab);
    if (!error)
        error = index_tokens(t, vocab);
    if (error) {
        au_fail(fault, error, "a vocabulary of %zu tokens does not fit into memory", size);
        goto fail;
    }
    error = index_merges(t, vocab, fault);
    if (error)
        goto fail;
    *out = t;
    return AURICLE_OK;
fail:
    text_tokenizer_destroy(t);
    return error;
}

void text_tokenizer_destroy(struct text_tokenizer *t)
{
    if (!t)
        return;
    text_bpe_destroy(t->bpe);
    au_buf_deinit(&t->text);
    au_free(t->offset);
    au_free(t);
}

const struct text_specials *text_tokenizer_specials(const struct text_tokenizer *t)
{
    return &t->specials;
}

size_t text_tokenizer_size(const struct text_tokenizer *t)
{
    return t->size;
}

const char *text_token_bytes(const struct text_tokenizer *t, int32_t id, size_t *n)
{
    if (id < 0 || (size_t)id >= t->size) {
        *n = 0;
        return "";
    }
    *n = t->offset[id + 1] - t->offset[id];
    return t->text.data + t->offset[id];
}

bool text_token_is_special(const struct text_tokenizer *t, int32_t id)
{
    return id >= t->specials.eot;
}

enum auricle_error text_encode(const struct text_tokenizer *t, const char *text, size_t bytes,
                               int32_t *ids, size_t max, size_t *n)
{
    struct text_bpe_scratch scratch = {0};
    enum auricle_error error = AURICLE_OK;
    size_t count = 0;
    for (size_t at = 0; at < bytes && !error;) {
        const size_t piece = text_piece_bytes(text + at, bytes - at);
        error = text_bpe_encode(t->bpe, text + at, piece, &scratch, ids, max, &count);
        at += piece;
    }
    text_bpe_scratch_deinit(&scratch);
    if (!error)
        *n = count;
    return error;
}

enum auricle_error text_decode(const struct text_tokenizer *t, const int32_t *ids, size_t n,
                               struct au_buf *out)
{
    const int32_t end = t->specials.timestamp_begin;
    struct au_buf raw;
    au_buf_init(&raw, 0);
    for (size_t i = 0; i < n; i++) {
        size_t bytes;
        const char *text = text_token_bytes(t, ids[i], &bytes);
        if (end < 0 || ids[i] < end)
            au_buf_append(&raw, text, bytes);
    }
    for (size_t at = 0; at < raw.len && !out->error;) {
        uint32_t c;
        char utf8[4];
        at += au_utf8_decode(raw.data + at, raw.len - at, &c);
        au_buf_append(out, utf8, au_utf8_encode(c, utf8));
    }
    const enum auricle_error error = raw.error ? raw.error : out->error;
    au_buf_deinit(&raw);
    return error;
}

/* Brackets, quotes and the like, alone or after a blank. Source: the list of the original program,
 * which wants them silent because they open stage directions and speaker names.                 */
static const char *const SYMBOLS[] = {
    "\"",  "#",  "(",  ")",   "*",   "+",   "/",   ":",  ";",   "<",  "=",   ">",
    "@",   "[",  "\\", "]",   "^",   "_",   "`",   "{",  "|",   "}",  "~",   "「",
    "」",  "『", "』", "<<",  ">>",  "<<<", ">>>", "--", "---", "-(", "-[",  "('",
    "(\"", "((", "))", "(((", ")))", "[[",  "]]",  "{{", "}}",  "♪♪", "♪♪♪",
};
/* Signs of music: here even the first token of several, which all of them share. */
static const char *const MUSIC[] = {"♩", "♪", "♫", "♬", "♭", "♮", "♯"};

/* Insert into an ascending list without repeats; full lists stay as they are. */
static void insert_id(int32_t *ids, size_t *n, size_t max, int32_t id)
{
    size_t at = *n;
    while (at > 0 && ids[at - 1] > id)
        at--;
    if ((at > 0 && ids[at - 1] == id) || *n == max)
        return;
    memmove(ids + at + 1, ids + at, (*n - at) * sizeof *ids);
    ids[at] = id;
    (*n)++;
}

/* Encode blank + symbol and insert its first token: always, or only when it is the sole one. */
static enum auricle_error insert_symbol(const struct text_tokenizer *t, const char *blank,
                                        const char *symbol, bool always, int32_t *ids, size_t *n,
                                        size_t max)
{
    char text[16];
    int32_t tokens[sizeof text];
    size_t n_tokens = 0;
    const size_t n_blank = strlen(blank), n_symbol = strlen(symbol);
    memcpy(text, blank, n_blank);
    memcpy(text + n_blank, symbol, n_symbol);
    enum auricle_error error = text_encode(t, text, n_blank + n_symbol, tokens, sizeof text,
                                           &n_tokens);
    if (!error && (n_tokens == 1 || (always && n_tokens > 0)))
        insert_id(ids, n, max, tokens[0]);
    return error;
}

enum auricle_error text_non_speech_tokens(const struct text_tokenizer *t, int32_t *ids, size_t max,
                                          size_t *n_out)
{
    size_t n = 0;
    enum auricle_error error = insert_symbol(t, " ", "-", true, ids, &n, max);
    if (!error)
        error = insert_symbol(t, " ", "'", true, ids, &n, max);
    for (size_t i = 0; i < sizeof SYMBOLS / sizeof SYMBOLS[0] && !error; i++) {
        error = insert_symbol(t, "", SYMBOLS[i], false, ids, &n, max);
        if (!error)
            error = insert_symbol(t, " ", SYMBOLS[i], false, ids, &n, max);
    }
    for (size_t i = 0; i < sizeof MUSIC / sizeof MUSIC[0] && !error; i++) {
        error = insert_symbol(t, "", MUSIC[i], true, ids, &n, max);
        if (!error)
            error = insert_symbol(t, " ", MUSIC[i], true, ids, &n, max);
    }
    if (!error)
        *n_out = n;
    return error;
}
