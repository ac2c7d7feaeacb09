/* Reading and comparing the texts of a pair. See wer_text.h. */
#include "app/wer_text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/input.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"

#define TEXT_LIMIT_BYTES ((size_t)256 << 20)

const char *app_wer_normalizer_name(enum app_wer_normalizer normalizer)
{
    static const char *const names[] = {"english", "basic", "basic, by character", "none"};
    return names[normalizer];
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* A text and what holds its bytes. */
struct text {
    const char *at;
    size_t n;
    char *block;
    struct au_json *document;
};

static void text_deinit(struct text *text)
{
    au_free(text->block);
    au_json_free(text->document);
}

/* "text" of what `auricle transcribe --format json` wrote. */
static enum auricle_error read_json(const char *path, struct text *text, struct au_fault *fault)
{
    enum auricle_error error = au_json_parse(text->at, text->n, path, &text->document, fault);
    if (error)
        return error;
    const struct au_json *member = au_json_get(text->document, "text");
    if (au_json_type(member) != AU_JSON_STRING)
        return au_fail(fault, AURICLE_E_FORMAT,
                       "%s: no member \"text\" that is a string; JSON as auricle transcribe writes "
                       "it is expected",
                       path);
    text->at = au_json_string(member, "");
    text->n = au_json_string_bytes(member);
    return AURICLE_OK;
}

/* A pipe, or standard input. */
static enum auricle_error read_stream(const char *path, struct text *text, struct au_fault *fault)
{
    bool standard = app_input_is_stdin(path);
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    struct au_buf all;
    ssize_t n = 0;
    if (fd < 0)
        return au_fail_errno(fault, errno, "%s: cannot be opened", path);
    au_buf_init(&all, TEXT_LIMIT_BYTES);
    do {
        char block[4096];
        n = read(fd, block, sizeof block);
        if (n > 0)
            (void)au_buf_append(&all, block, (size_t)n);
    } while ((n > 0 && !all.error) || (n < 0 && errno == EINTR));
    enum auricle_error error = AURICLE_OK;
    if (n < 0)
        error = au_fail_errno(fault, errno, "%s: cannot be read", path);
    else if (all.error)
        error = au_fail(fault, all.error, "%s: longer than the %zu bytes that are accepted", path,
                        TEXT_LIMIT_BYTES);
    if (!standard)
        close(fd);
    text->n = all.len;
    text->block = error || !all.len ? NULL : au_buf_take(&all);
    au_buf_deinit(&all);
    return error;
}

/* Into text->block, NULL for an empty pipe. */
static enum auricle_error read_file(const char *path, struct text *text, struct au_fault *fault)
{
    struct stat status;
    bool pipe = app_input_is_stdin(path) || (stat(path, &status) == 0 && S_ISFIFO(status.st_mode));
    return pipe ? read_stream(path, text, fault)
                : au_file_read(path, TEXT_LIMIT_BYTES, &text->block, &text->n, fault);
}

/* A block that the caller releases also on failure. */
static enum auricle_error read_text(const struct app_wer_source *source, struct text *text,
                                    struct au_fault *fault)
{
    if (!source->path) {
        *text = (struct text){.at = source->text, .n = source->n};
        return AURICLE_OK;
    }
    enum auricle_error error = read_file(source->path, text, fault);
    if (error)
        return error;
    text->at = text->block ? text->block : "";
    if (text->n >= 2 &&
        (memcmp(text->at, "\xFF\xFE", 2) == 0 || memcmp(text->at, "\xFE\xFF", 2) == 0))
        return au_fail(fault, AURICLE_E_FORMAT,
                       "%s: UTF-16 text; UTF-8 is expected (iconv -f UTF-16 -t UTF-8)",
                       source->path);
    if (text->n >= 3 && memcmp(text->at, "\xEF\xBB\xBF", 3) == 0) { /* UTF-8, says Windows */
        text->at += 3;
        text->n -= 3;
    }
    return au_str_ends_nocase(source->path, ".json") ? read_json(source->path, text, fault)
                                                     : AURICLE_OK;
}

/* ---- Comparing ------------------------------------------------------------------------------- */

static enum auricle_error normalise(const struct text *text, enum app_wer_normalizer normalizer,
                                    const struct text_spelling *spelling, struct au_buf *out)
{
    switch (normalizer) {
    case APP_WER_ENGLISH: return text_normalize_english(spelling, text->at, text->n, out);
    case APP_WER_BASIC: return text_normalize_basic(0, text->at, text->n, out);
    case APP_WER_SPLIT:
        return text_normalize_basic(TEXT_BASIC_SPLIT_LETTERS, text->at, text->n, out);
    case APP_WER_NONE: break;
    }
    return au_buf_append(out, text->at, text->n);
}

/* Where the text comes from, for sentences. */
static const char *name_of(const struct app_wer_entry *entry)
{
    return entry->source.path ? entry->source.path : entry->id;
}

/* Text i (0: reference) into its normalised form and units. */
static enum auricle_error prepare(const struct app_wer_entry *entry, int i,
                                  enum app_wer_normalizer normalizer,
                                  const struct text_spelling *spelling, struct app_wer_score *score,
                                  struct au_fault *fault)
{
    struct au_buf *out = i ? &score->hypothesis : &score->reference;
    struct text text = {0};
    enum auricle_error error = read_text(&entry->source, &text, fault);
    if (!error && !au_utf8_valid(text.at, text.n) && !score->warning[0])
        snprintf(score->warning, sizeof score->warning,
                 "%s: is not UTF-8 throughout; broken bytes count as U+FFFD", name_of(entry));
    if (!error)
        error = normalise(&text, normalizer, spelling, out);
    text_deinit(&text);
    if (!error)
        error = text_units_words(out->data, out->len, &score->words[i]);
    if (!error)
        error = text_units_characters(out->data, out->len, &score->characters[i]);
    if (error && fault->code == AURICLE_OK)
        return au_fail(fault, error, "%s: the text is too long for the memory", name_of(entry));
    return error;
}

enum auricle_error app_wer_score(const struct app_wer_pair *pair,
                                 enum app_wer_normalizer normalizer,
                                 const struct text_spelling *spelling, struct app_wer_score *out,
                                 struct au_fault *fault)
{
    memset(out, 0, sizeof *out);
    au_buf_init(&out->reference, 0);
    au_buf_init(&out->hypothesis, 0);
    enum auricle_error error = prepare(pair->reference, 0, normalizer, spelling, out, fault);
    if (!error)
        error = prepare(pair->hypothesis, 1, normalizer, spelling, out, fault);
    if (error)
        return error;
    error = text_align_units(&out->words[0], &out->words[1], &out->by_word);
    if (!error)
        error = text_align_units(&out->characters[0], &out->characters[1], &out->by_character);
    if (error)
        return au_fail(fault, error, "%s: the text is too long to be aligned",
                       name_of(pair->reference));
    if (!out->words[0].n && !out->warning[0])
        snprintf(out->warning, sizeof out->warning, "%s: the reference holds no words",
                 name_of(pair->reference));
    return AURICLE_OK;
}

void app_wer_score_deinit(struct app_wer_score *score)
{
    au_buf_deinit(&score->reference);
    au_buf_deinit(&score->hypothesis);
    for (int i = 0; i < 2; i++) {
        text_units_deinit(&score->words[i]);
        text_units_deinit(&score->characters[i]);
    }
    text_alignment_deinit(&score->by_word);
    text_alignment_deinit(&score->by_character);
}
