/* Reading vocabularies from the files that models come with.
 *
 *   tokenizer.json                     Hugging Face, one file: vocabulary, merges, added tokens
 *   vocab.json, merges.txt             Hugging Face, older; added tokens in added_tokens.json or in
 *                                      the added_tokens_decoder of tokenizer_config.json
 *   vocabulary.json, vocabulary.txt    CTranslate2: every token in id order
 *   NAME.tiktoken                      OpenAI: "base64 rank" lines, text tokens only
 *
 * The files are from outside: sizes are limited, ids checked, and a line or value that is not
 * what it should be is refused with its place.                                                   */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "text/json_scan.h"
#include "text/tokenizer.h"
#include "text/vocab_builder.h"

enum { MAX_FILE_BYTES = 64 << 20 };

/* --- JSON files ------------------------------------------------------------------------------- */

typedef enum auricle_error json_reader(struct vocab_builder *, struct text_json_scan *,
                                       struct au_fault *);

/* A member of an object, and what reads its value. */
struct member {
    const char *name;
    json_reader *read;
};

/* An object of which these members matter (the last has no name). */
static enum auricle_error read_members(struct vocab_builder *b, struct text_json_scan *scan,
                                       const struct member *members, struct au_fault *fault)
{
    enum auricle_error error = AURICLE_OK;
    text_json_enter(scan, '{');
    while (!error && text_json_next_key(scan)) {
        const struct member *member = members;
        while (member->name && strcmp(scan->string.data, member->name) != 0)
            member++;
        if (member->name)
            error = member->read(b, scan, fault);
        else
            text_json_skip(scan);
    }
    return error;
}

/* {"token": id, ...} */
static enum auricle_error read_tokens(struct vocab_builder *b, struct text_json_scan *scan,
                                      __typeof__(text_vocab_builder_special) *add,
                                      struct au_fault *fault)
{
    enum auricle_error error = AURICLE_OK;
    if (text_json_peek(scan) != '{')
        return au_fail(fault, AURICLE_E_FORMAT, "expected an object of tokens and their ids");
    text_json_enter(scan, '{');
    while (!error && text_json_next_key(scan)) {
        const int64_t id = text_json_integer(scan, -1);
        error = add(b, id, scan->string.data, scan->string.len, fault);
    }
    return error;
}

/* In GPT-2's alphabet. */
static enum auricle_error read_token_object(struct vocab_builder *b, struct text_json_scan *scan,
                                            struct au_fault *fault)
{
    return read_tokens(b, scan, text_vocab_builder_gpt2_token, fault);
}

/* {"<|en|>": 50259, ...} */
static enum auricle_error read_added_object(struct vocab_builder *b, struct text_json_scan *scan,
                                            struct au_fault *fault)
{
    return read_tokens(b, scan, text_vocab_builder_special, fault);
}

/* {"id": 50259, "content": "<|en|>", ...}; `id` is what counts when there is none inside. */
static enum auricle_error read_added_token(struct vocab_builder *b, struct text_json_scan *scan,
                                           int64_t id, struct au_fault *fault)
{
    struct au_buf content;
    bool found = false;
    enum auricle_error error;
    if (text_json_peek(scan) != '{')
        return au_fail(fault, AURICLE_E_FORMAT, "an added token is no object");
    au_buf_init(&content, MAX_FILE_BYTES);
    text_json_enter(scan, '{');
    while (text_json_next_key(scan)) {
        if (strcmp(scan->string.data, "id") == 0) {
            id = text_json_integer(scan, id);
        } else if (strcmp(scan->string.data, "content") == 0 && text_json_peek(scan) == '"') {
            found = text_json_string(scan);
            au_buf_clear(&content);
            au_buf_append(&content, scan->string.data, scan->string.len);
        } else {
            text_json_skip(scan);
        }
    }
    if (scan->error)
        error = AURICLE_OK; /* reported at the end of the file */
    else if (content.error)
        error = au_fail(fault, content.error, "an added token does not fit into memory");
    else if (!found)
        error = au_fail(fault, AURICLE_E_FORMAT, "an added token has no content");
    else
        error = text_vocab_builder_special(b, id, content.data, content.len, fault);
    au_buf_deinit(&content);
    return error;
}

/* [{"id": 50259, "content": "<|en|>", ...}, ...] */
static enum auricle_error read_added_array(struct vocab_builder *b, struct text_json_scan *scan,
                                           struct au_fault *fault)
{
    enum auricle_error error = AURICLE_OK;
    text_json_enter(scan, '[');
    while (!error && text_json_next_item(scan))
        error = read_added_token(b, scan, -1, fault);
    return error;
}

/* {"50259": {"content": "<|en|>", ...}, ...} */
static enum auricle_error read_added_decoder(struct vocab_builder *b, struct text_json_scan *scan,
                                             struct au_fault *fault)
{
    enum auricle_error error = AURICLE_OK;
    text_json_enter(scan, '{');
    while (!error && text_json_next_key(scan)) {
        int64_t id = -1;
        if (!au_parse_i64(scan->string.data, &id))
            error = au_fail(fault, AURICLE_E_FORMAT, "added_tokens_decoder: \"%.40s\" is no id",
                            scan->string.data);
        else
            error = read_added_token(b, scan, id, fault);
    }
    return error;
}

/* ["left right", ...] or [["left", "right"], ...] */
static enum auricle_error read_merges_array(struct vocab_builder *b, struct text_json_scan *scan,
                                            struct au_fault *fault)
{
    enum auricle_error error = AURICLE_OK;
    struct au_buf joined;
    au_buf_init(&joined, MAX_FILE_BYTES);
    text_json_enter(scan, '[');
    while (!error && text_json_next_item(scan)) {
        au_buf_clear(&joined);
        if (text_json_peek(scan) == '[') {
            text_json_enter(scan, '[');
            for (int i = 0; text_json_next_item(scan); i++) {
                if (i > 0)
                    au_buf_putc(&joined, ' ');
                if (text_json_string(scan))
                    au_buf_append(&joined, scan->string.data, scan->string.len);
            }
        } else if (text_json_string(scan)) {
            au_buf_append(&joined, scan->string.data, scan->string.len);
        }
        error = joined.error;
        if (error)
            au_fail(fault, error, "a merge does not fit into memory");
        else if (!scan->error)
            error = text_vocab_builder_merge(b, joined.data, joined.len, fault);
    }
    au_buf_deinit(&joined);
    return error;
}

static enum auricle_error check_kind(struct vocab_builder *b, struct text_json_scan *scan,
                                     struct au_fault *fault)
{
    (void)b;
    if (text_json_peek(scan) != '"')
        return text_json_skip(scan), AURICLE_OK;
    if (text_json_string(scan) && strcmp(scan->string.data, "BPE") != 0)
        return au_fail(fault, AURICLE_E_UNSUPPORTED,
                       "the tokenizer is of the kind \"%.40s\"; Whisper's is \"BPE\"",
                       scan->string.data);
    return AURICLE_OK;
}

/* {"type": "BPE", "vocab": {...}, "merges": [...], ...} */
static enum auricle_error read_bpe_object(struct vocab_builder *b, struct text_json_scan *scan,
                                          struct au_fault *fault)
{
    static const struct member members[] = {{"type", check_kind},
                                            {"vocab", read_token_object},
                                            {"merges", read_merges_array},
                                            {NULL, NULL}};
    return read_members(b, scan, members, fault);
}

static enum auricle_error read_tokenizer_json(struct vocab_builder *b, struct text_json_scan *scan,
                                              struct au_fault *fault)
{
    static const struct member members[] = {
        {"model", read_bpe_object}, {"added_tokens", read_added_array}, {NULL, NULL}};
    return read_members(b, scan, members, fault);
}

static enum auricle_error read_config_json(struct vocab_builder *b, struct text_json_scan *scan,
                                           struct au_fault *fault)
{
    static const struct member members[] = {{"added_tokens_decoder", read_added_decoder},
                                            {NULL, NULL}};
    return read_members(b, scan, members, fault);
}

/* ["token", ...] in id order */
static enum auricle_error read_vocabulary_json(struct vocab_builder *b, struct text_json_scan *scan,
                                               struct au_fault *fault)
{
    enum auricle_error error = AURICLE_OK;
    if (text_json_peek(scan) != '[')
        return au_fail(fault, AURICLE_E_FORMAT, "expected a list of tokens in id order");
    text_json_enter(scan, '[');
    for (int64_t id = 0; !error && text_json_next_item(scan); id++) {
        if (text_json_peek(scan) != '"')
            error = au_fail(fault, AURICLE_E_FORMAT, "token %lld is not a string", (long long)id);
        else if (text_json_string(scan))
            error = text_vocab_builder_gpt2_token(b, id, scan->string.data, scan->string.len,
                                                  fault);
    }
    return error;
}

static enum auricle_error read_json_file(struct vocab_builder *b, const char *path,
                                         json_reader *reader, struct au_fault *fault)
{
    char *text;
    size_t bytes;
    struct text_json_scan scan;
    enum auricle_error error = au_file_read(path, MAX_FILE_BYTES, &text, &bytes, fault);
    if (error)
        return error;
    text_json_scan_init(&scan, text, bytes);
    error = reader(b, &scan, fault);
    if (!error || scan.error) /* what a reader says about broken JSON is not the cause */
        error = text_json_scan_result(&scan, fault);
    if (error)
        au_fault_prefix(fault, path);
    text_json_scan_deinit(&scan);
    au_free(text);
    return error;
}

/* --- line files ------------------------------------------------------------------------------- */

/* One line without its end; returns the start of the next. */
static const char *take_line(const char *at, const char *end, size_t *n)
{
    const char *newline = memchr(at, '\n', (size_t)(end - at));
    const char *stop = newline ? newline : end;
    *n = (size_t)(stop - at);
    if (*n > 0 && at[*n - 1] == '\r')
        (*n)--;
    return newline ? newline + 1 : end;
}

typedef enum auricle_error line_reader(struct vocab_builder *, const char *line, size_t n,
                                       size_t number, struct au_fault *);

static enum auricle_error read_merge_line(struct vocab_builder *b, const char *line, size_t n,
                                          size_t number, struct au_fault *fault)
{
    if (n == 0 || (number == 1 && line[0] == '#'))
        return AURICLE_OK; /* "#version: 0.2" */
    return text_vocab_builder_merge(b, line, n, fault);
}

static enum auricle_error read_vocabulary_line(struct vocab_builder *b, const char *line, size_t n,
                                               size_t number, struct au_fault *fault)
{
    return text_vocab_builder_gpt2_token(b, (int64_t)number - 1, line, n, fault);
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Append the bytes of a base64 text to out; false when it is none. Padding may be any number of
 * '=': OpenAI's file writes the empty token as a single one.                                    */
static bool decode_base64(const char *text, size_t n, struct au_buf *out)
{
    uint32_t bits = 0;
    int n_bits = 0;
    while (n > 0 && text[n - 1] == '=')
        n--;
    for (size_t i = 0; i < n; i++) {
        const int value = base64_value(text[i]);
        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            au_buf_putc(out, (char)(bits >> n_bits & 0xFF));
        }
    }
    return n_bits < 6;
}

static enum auricle_error read_rank_line(struct vocab_builder *b, const char *line, size_t n,
                                         size_t number, struct au_fault *fault)
{
    char rank_text[24];
    int64_t rank = -1;
    if (n == 0)
        return AURICLE_OK;
    const char *space = memchr(line, ' ', n);
    struct au_buf bytes;
    au_buf_init(&bytes, 0);
    enum auricle_error error = AURICLE_E_FORMAT;
    if (space) {
        const size_t n_rank = n - (size_t)(space + 1 - line);
        snprintf(rank_text, sizeof rank_text, "%.*s", (int)(n_rank < 23 ? n_rank : 23), space + 1);
        if (au_parse_i64(rank_text, &rank) && decode_base64(line, (size_t)(space - line), &bytes))
            error = bytes.error;
    }
    if (error)
        au_fail(fault, error, "line %zu is not a token in base64, a blank and its rank", number);
    else
        error = text_vocab_builder_token(b, rank, bytes.data, bytes.len, fault);
    au_buf_deinit(&bytes);
    return error;
}

static enum auricle_error read_text_file(struct vocab_builder *b, const char *path,
                                         line_reader *reader, struct au_fault *fault)
{
    char *text;
    size_t bytes;
    enum auricle_error error = au_file_read(path, MAX_FILE_BYTES, &text, &bytes, fault);
    if (error)
        return error;
    const char *at = text;
    for (size_t number = 1; at < text + bytes && !error; number++) {
        size_t n;
        const char *next = take_line(at, text + bytes, &n);
        error = reader(b, at, n, number, fault);
        at = next;
    }
    if (error)
        au_fault_prefix(fault, path);
    au_free(text);
    return error;
}

/* --- folders -------------------------------------------------------------------------------- */

/* One file of a folder: JSON when json is set, else lines. *found tells whether it is there. */
static enum auricle_error read_in_folder(struct vocab_builder *b, const char *folder,
                                         const char *name, json_reader *json, line_reader *lines,
                                         bool *found, struct au_fault *fault)
{
    char *path = au_path_join(folder, name);
    if (!path)
        return au_fail(fault, AURICLE_E_NOMEM, "no memory for a path");
    enum auricle_error error = AURICLE_OK;
    *found = au_file_is_regular(path);
    if (*found)
        error = json ? read_json_file(b, path, json, fault) : read_text_file(b, path, lines, fault);
    au_free(path);
    return error;
}

/* The files beside vocab.json. */
static enum auricle_error read_companions(struct vocab_builder *b, const char *folder,
                                          struct au_fault *fault)
{
    bool found = false;
    enum auricle_error error = read_in_folder(b, folder, "merges.txt", NULL, read_merge_line,
                                              &found, fault);
    if (error)
        return error;
    error = read_in_folder(b, folder, "added_tokens.json", read_added_object, NULL, &found, fault);
    if (!error && !found)
        error = read_in_folder(b, folder, "tokenizer_config.json", read_config_json, NULL, &found,
                               fault);
    return error;
}

static enum auricle_error read_folder(struct vocab_builder *b, const char *folder,
                                      struct au_fault *fault)
{
    bool found = false;
    enum auricle_error error = read_in_folder(b, folder, "tokenizer.json", read_tokenizer_json,
                                              NULL, &found, fault);
    if (error || found)
        return error;
    error = read_in_folder(b, folder, "vocab.json", read_token_object, NULL, &found, fault);
    if (error)
        return error;
    if (found)
        return read_companions(b, folder, fault);
    error = read_in_folder(b, folder, "vocabulary.json", read_vocabulary_json, NULL, &found, fault);
    if (error || found)
        return error;
    error = read_in_folder(b, folder, "vocabulary.txt", NULL, read_vocabulary_line, &found, fault);
    if (error || found)
        return error;
    return au_fail(fault, AURICLE_E_NOT_FOUND,
                   "%s: no vocabulary; expected tokenizer.json, vocab.json, vocabulary.json or "
                   "vocabulary.txt",
                   folder);
}

enum auricle_error text_tokenizer_from_folder(const char *folder, size_t n_model_vocab,
                                              struct text_tokenizer **out, struct au_fault *fault)
{
    struct vocab_builder builder;
    text_vocab_builder_init(&builder);
    enum auricle_error error = read_folder(&builder, folder, fault);
    if (!error) {
        error = text_vocab_builder_finish(&builder, n_model_vocab, out, fault);
        if (error)
            au_fault_prefix(fault, folder);
    }
    text_vocab_builder_deinit(&builder);
    return error;
}

enum auricle_error text_tokenizer_from_tiktoken(const char *path, size_t n_model_vocab,
                                                struct text_tokenizer **out, struct au_fault *fault)
{
    struct vocab_builder builder;
    text_vocab_builder_init(&builder);
    enum auricle_error error = read_text_file(&builder, path, read_rank_line, fault);
    if (!error) {
        error = text_vocab_builder_finish(&builder, n_model_vocab, out, fault);
        if (error)
            au_fault_prefix(fault, path);
    }
    text_vocab_builder_deinit(&builder);
    return error;
}
