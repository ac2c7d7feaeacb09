/* Special tokens of Whisper's vocabularies.
 *
 * Files of Hugging Face and CTranslate2 name them, and names win. OpenAI's .pt files come with
 * ranks alone and ggml files with the text tokens alone; there the order is fixed by convention,
 * and the number of languages is what is left of the vocabulary's size.                          */
#include "text/specials.h"

#include <stdio.h>
#include <string.h>

#include "text/language.h"

/* End of text, start, the six tasks and marks, and the timestamps. */
enum { N_FIXED = 2 + 6 + TEXT_N_TIMESTAMPS, N_TEXT_ENGLISH = 50256 };

void text_specials_init(struct text_specials *s)
{
    *s = (struct text_specials){.eot = -1,
                                .sot = -1,
                                .translate = -1,
                                .transcribe = -1,
                                .sot_lm = -1,
                                .sot_prev = -1,
                                .no_speech = -1,
                                .no_timestamps = -1,
                                .timestamp_begin = -1};
    for (int i = 0; i < TEXT_MAX_LANGUAGES; i++)
        s->language[i] = -1;
}

bool text_specials_is_marker(const char *text, size_t n)
{
    return n > 4 && memcmp(text, "<|", 2) == 0 && memcmp(text + n - 2, "|>", 2) == 0;
}

/* The field of a marker that is no language; NULL when it is none of Whisper's. */
static int32_t *field_of(struct text_specials *s, const char *name, size_t n)
{
    const struct {
        const char *name;
        int32_t *field;
    } fields[] = {
        {"endoftext", &s->eot},
        {"startoftranscript", &s->sot},
        {"translate", &s->translate},
        {"transcribe", &s->transcribe},
        {"startoflm", &s->sot_lm},
        {"startofprev", &s->sot_prev},
        {"nospeech", &s->no_speech},
        {"nocaptions", &s->no_speech},
        {"notimestamps", &s->no_timestamps},
        {"0.00", &s->timestamp_begin},
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (strlen(fields[i].name) == n && memcmp(fields[i].name, name, n) == 0)
            return fields[i].field;
    }
    return NULL;
}

void text_specials_name(struct text_specials *s, const char *text, size_t n, int32_t id)
{
    if (!text_specials_is_marker(text, n))
        return;
    const char *name = text + 2;
    const size_t n_name = n - 4;
    int32_t *field = field_of(s, name, n_name);
    if (field) {
        *field = id;
        return;
    }
    for (int i = 0; i < TEXT_N_LANGUAGES; i++) {
        const char *code = text_language_code(i);
        if (strlen(code) == n_name && memcmp(code, name, n_name) == 0) {
            s->language[i] = id;
            if (i >= s->n_languages)
                s->n_languages = i + 1;
            return;
        }
    }
}

/* Lay the special tokens out as OpenAI's program does, after n_text text tokens. */
static void lay_out(struct text_specials *s, int32_t n_text, int n_languages)
{
    int32_t id = n_text;
    s->eot = id++;
    s->sot = id++;
    s->n_languages = n_languages;
    for (int i = 0; i < n_languages; i++)
        s->language[i] = id++;
    s->translate = id++;
    s->transcribe = id++;
    s->sot_lm = id++;
    s->sot_prev = id++;
    s->no_speech = id++;
    s->no_timestamps = id++;
    s->timestamp_begin = id;
}

/* Decoding tells text, end-of-text and times apart by the order of their ids: the timestamps come
 * behind all else. Languages that somebody has taught a model may come behind the timestamps.    */
static enum auricle_error check_order(const struct text_specials *s, struct au_fault *fault)
{
    const int32_t fixed[] = {s->eot,    s->sot,      s->translate, s->transcribe,
                             s->sot_lm, s->sot_prev, s->no_speech, s->no_timestamps};
    const int32_t begin = s->timestamp_begin;
    int32_t wrong = -1;
    if (begin < 0)
        return AURICLE_OK;
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        wrong = wrong < 0 && fixed[i] >= begin ? fixed[i] : wrong;
    for (int i = 0; i < s->n_languages; i++) {
        const int32_t id = s->language[i];
        wrong = wrong < 0 && id >= begin && id - begin < TEXT_N_TIMESTAMPS ? id : wrong;
    }
    if (wrong < 0)
        return AURICLE_OK;
    char name[TEXT_SPECIAL_MAX_BYTES];
    const size_t n = text_specials_text(s, wrong, name);
    return au_fail(fault, AURICLE_E_UNSUPPORTED,
                   "the vocabulary has %.*s at id %d and <|0.00|> at %d: a Whisper model's "
                   "timestamps come behind its other special tokens",
                   (int)n, name, wrong, begin);
}

enum auricle_error text_specials_complete(struct text_specials *s, size_t n_text, size_t n_model,
                                          struct au_fault *fault)
{
    if (s->sot < 0) {
        if (s->eot >= 0)
            n_text = (size_t)s->eot;
        if (n_model == 0 && (n_text == N_TEXT_ENGLISH || n_text == N_TEXT_ENGLISH + 1))
            n_model = n_text + N_FIXED + 99;
        if (n_text == 0 || n_model < n_text + N_FIXED ||
            n_model > n_text + N_FIXED + TEXT_N_LANGUAGES)
            return au_fail(
                fault, AURICLE_E_UNSUPPORTED,
                "the vocabulary has %zu text tokens and names no special ones, the model "
                "has %zu outputs; a Whisper model has %d to %d more outputs than text "
                "tokens",
                n_text, n_model, N_FIXED, N_FIXED + TEXT_N_LANGUAGES);
        lay_out(s, (int32_t)n_text, (int)(n_model - n_text - N_FIXED));
    }
    if (s->eot < 0)
        return au_fail(fault, AURICLE_E_UNSUPPORTED,
                       "the vocabulary has no <|endoftext|>; it is not one of Whisper's");
    if (s->timestamp_begin < 0 && s->no_timestamps >= 0)
        s->timestamp_begin = s->no_timestamps + 1;
    s->multilingual = s->eot != N_TEXT_ENGLISH && s->n_languages > 1;
    return check_order(s, fault);
}

size_t text_specials_text(const struct text_specials *s, int32_t id,
                          char out[TEXT_SPECIAL_MAX_BYTES])
{
    const struct {
        int32_t id;
        const char *text;
    } fixed[] = {
        {s->eot, "<|endoftext|>"},       {s->sot, "<|startoftranscript|>"},
        {s->translate, "<|translate|>"}, {s->transcribe, "<|transcribe|>"},
        {s->sot_lm, "<|startoflm|>"},    {s->sot_prev, "<|startofprev|>"},
        {s->no_speech, "<|nospeech|>"},  {s->no_timestamps, "<|notimestamps|>"},
    };
    int n = 0;
    if (id < 0)
        return 0;
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
        if (fixed[i].id == id)
            n = snprintf(out, TEXT_SPECIAL_MAX_BYTES, "%s", fixed[i].text);
    }
    for (int i = 0; n == 0 && i < s->n_languages; i++) {
        if (s->language[i] == id)
            n = snprintf(out, TEXT_SPECIAL_MAX_BYTES, "<|%s|>", text_language_code(i));
    }
    const int32_t step = id - s->timestamp_begin;
    if (n == 0 && s->timestamp_begin >= 0 && step >= 0 && step < TEXT_N_TIMESTAMPS)
        n = snprintf(out, TEXT_SPECIAL_MAX_BYTES, "<|%d.%02d|>", step / 50, step % 50 * 2);
    return (size_t)n;
}
