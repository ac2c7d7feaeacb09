/* Rules against invented text. See rules.h. Each rule is one function with its numbers beside
 * it. */
#include "recog/rules/rules.h"

#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "recog/trim.h"
#include "text/language.h"
#include "text/normalize.h"
#include "text/repeat.h"
#include "text/script.h"

/* Nothing was heard: not even the loudest tenth of a second rises above a quiet room (-52 dB). */
static bool silence(const struct recog_evidence *e)
{
    return e->loudest < 0.0025f;
}

/* Is the evidence for the text weak enough to doubt it? Measured values of real speech lie above
 * -0.6 in good conditions; closing credits said over noise lie below or are called silence.      */
static bool weak(const struct recog_evidence *e)
{
    return e->avg_logprob < -0.5f || e->no_speech_prob > 0.3f;
}

/* Letters and digits alone, without accents: what phrases are compared by. */
static size_t bare(const char *text, size_t n, struct au_buf *out, const char **begin)
{
    size_t first, bytes;
    au_buf_clear(out);
    *begin = "";
    if (text_normalize_basic(TEXT_BASIC_NO_DIACRITICS, text, n, out))
        return 0;
    bytes = recog_trim(out->data, out->len, &first);
    *begin = out->data + first;
    return bytes;
}

static bool is_known(const struct recog_evidence *e, struct au_buf *said, struct au_buf *known)
{
    const char *text, *phrase;
    size_t n = bare(e->text, e->bytes, said, &text);
    for (const struct recog_phrase *p = recog_known_phrases; p->text && n; p++) {
        if (!au_str_equal(p->language, "*") && !au_str_equal(p->language, e->language))
            continue;
        if (bare(p->text, strlen(p->text), known, &phrase) == n && memcmp(text, phrase, n) == 0)
            return true;
    }
    return false;
}

/* The whole text is a phrase that models are known to invent, and little speaks for it. */
static bool known_phrase(const struct recog_evidence *e)
{
    if (!e->alone || !weak(e))
        return false;
    struct au_buf said, known;
    au_buf_init(&said, 0);
    au_buf_init(&known, 0);
    bool found = is_known(e, &said, &known);
    au_buf_deinit(&said);
    au_buf_deinit(&known);
    return found;
}

static enum auricle_error units_of(const struct recog_evidence *e, struct text_units *out)
{
    return text_language_has_spaces(e->language) ? text_units_words(e->text, e->bytes, out)
                                                 : text_units_characters(e->text, e->bytes, out);
}

/* One phrase over and over is most of the text. People repeat a word three or four times. */
static bool repetition(const struct recog_evidence *e)
{
    enum { LONGEST_PHRASE = 16, FEWEST_REPEATS = 5 };
    struct text_units units = {0};
    if (units_of(e, &units))
        return false;
    struct text_loop loop = text_find_loop(&units, LONGEST_PHRASE);
    bool fires = loop.n_repeats >= FEWEST_REPEATS &&
                 loop.period * loop.n_repeats * 10 >= units.n * 6;
    text_units_deinit(&units);
    return fires;
}

/* Every temperature gave text that compresses too well. */
static bool compression(const struct recog_evidence *e)
{
    return e->compression_ratio > e->compression_limit;
}

/* Notes, dashes and brackets instead of words. */
static bool few_letters(const struct recog_evidence *e)
{
    struct text_letters letters = text_count_letters(e->text, e->bytes);
    return text_letters_share(&letters) < 0.4;
}

/* Letters that the language is not written in. */
static bool wrong_script(const struct recog_evidence *e)
{
    return !text_script_fits(e->language, e->text, e->bytes);
}

/* Faster than anyone speaks: the quickest speakers reach some 30 characters a second, 15 where a
 * character is a syllable.                                                                       */
static bool too_fast(const struct recog_evidence *e)
{
    struct text_units units = {0};
    if (text_units_characters(e->text, e->bytes, &units))
        return false;
    double most = text_language_has_spaces(e->language) ? 45 : 22;
    bool fires = units.n > 20 && (double)units.n > most * e->seconds;
    text_units_deinit(&units);
    return fires;
}

static const struct rule {
    const char *name;
    bool (*fires)(const struct recog_evidence *evidence);
} rules[] = {
    {"silence", silence},           {"few-letters", few_letters}, {"wrong-script", wrong_script},
    {"known-phrase", known_phrase}, {"repetition", repetition},   {"compression", compression},
    {"too-fast", too_fast},
};

const char *recog_rules_judge(const struct recog_evidence *evidence)
{
    for (size_t i = 0; i < sizeof(rules) / sizeof(*rules); i++) {
        if (rules[i].fires(evidence))
            return rules[i].name;
    }
    return NULL;
}

bool recog_rules_loops(const struct recog_evidence *evidence)
{
    return repetition(evidence) || compression(evidence);
}

const char *recog_rules_name(size_t i)
{
    return i < sizeof(rules) / sizeof(*rules) ? rules[i].name : NULL;
}
