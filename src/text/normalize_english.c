/* The English normaliser: contractions, titles, fillers, spelling; numbers are
 * normalize_number.c. */
#include "text/normalize.h"

#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "text/normalize_pass.h"
#include "text/unicode.h"

enum { MAX_SPELLING_BYTES = 8 << 20, LONGEST_SPELLING = 64 };

/* --- spelling ------------------------------------------------------------------------------- */

struct text_spelling {
    struct au_json *words; /* British to American */
};

enum auricle_error text_spelling_load(const char *path, struct text_spelling **out,
                                      struct au_fault *fault)
{
    struct au_json *words;
    enum auricle_error error = au_json_read(path, MAX_SPELLING_BYTES, &words, fault);
    if (error)
        return error;
    struct text_spelling *spelling = au_calloc(1, sizeof *spelling);
    if (!spelling) {
        error = au_fail(fault, AURICLE_E_NOMEM, "%s: no memory for the spelling table", path);
        goto fail;
    }
    if (au_json_type(words) != AU_JSON_OBJECT) {
        error = au_fail(fault, AURICLE_E_FORMAT,
                        "%s: expected an object of words and their other spelling", path);
        goto fail;
    }
    for (size_t i = 0; i < au_json_size(words); i++) {
        const char *key;
        if (au_json_type(au_json_member(words, i, &key)) != AU_JSON_STRING) {
            error = au_fail(fault, AURICLE_E_FORMAT, "%s: the spelling of \"%.60s\" is no string",
                            path, key);
            goto fail;
        }
    }
    spelling->words = words;
    *out = spelling;
    return AURICLE_OK;
fail:
    au_json_free(words);
    au_free(spelling);
    return error;
}

void text_spelling_destroy(struct text_spelling *spelling)
{
    if (!spelling)
        return;
    au_json_free(spelling->words);
    au_free(spelling);
}

/* Words joined by blanks, each in its other spelling where it has one. */
static void respell(const struct text_spelling *spelling, const char *text, size_t n,
                    struct au_buf *out)
{
    const char *word;
    size_t at = 0, n_word;
    for (bool first = true; text_norm_next_word(text, n, &at, &word, &n_word); first = false) {
        char key[LONGEST_SPELLING];
        const char *other = NULL;
        if (!first)
            au_buf_putc(out, ' ');
        if (spelling && n_word < sizeof key) {
            memcpy(key, word, n_word);
            key[n_word] = '\0';
            other = au_json_string(au_json_get(spelling->words, key), NULL);
        }
        if (other)
            au_buf_puts(out, other);
        else
            au_buf_append(out, word, n_word);
    }
}

/* --- contractions and titles ---------------------------------------------------------------- */

/* Literal replacements, each over the whole text before the next begins, so their order matters:
 * "won't" before the general "n't". Every one ends where a word ends.                           */
static const struct replacement {
    const char *from, *to;
    bool at_word_start;
} REPLACEMENTS[] = {
    {"won't", "will not", true},
    {"can't", "can not", true},
    {"let's", "let us", true},
    {"ain't", "aint", true},
    {"y'all", "you all", true},
    {"wanna", "want to", true},
    {"gotta", "got to", true},
    {"gonna", "going to", true},
    {"i'ma", "i am going to", true},
    {"imma", "i am going to", true},
    {"woulda", "would have", true},
    {"coulda", "could have", true},
    {"shoulda", "should have", true},
    {"ma'am", "madam", true},

    {"mr", "mister ", true},
    {"mrs", "missus ", true},
    {"st", "saint ", true},
    {"dr", "doctor ", true},
    {"prof", "professor ", true},
    {"capt", "captain ", true},
    {"gov", "governor ", true},
    {"ald", "alderman ", true},
    {"gen", "general ", true},
    {"sen", "senator ", true},
    {"rep", "representative ", true},
    {"pres", "president ", true},
    {"rev", "reverend ", true},
    {"hon", "honorable ", true},
    {"asst", "assistant ", true},
    {"assoc", "associate ", true},
    {"lt", "lieutenant ", true},
    {"col", "colonel ", true},
    {"jr", "junior ", true},
    {"sr", "senior ", true},
    {"esq", "esquire ", true},

    {"'d been", " had been", false},
    {"'s been", " has been", false},
    {"'d gone", " had gone", false},
    {"'s gone", " has gone", false},
    {"'d done", " had done", false},
    {"'s got", " has got", false},

    {"n't", " not", false},
    {"'re", " are", false},
    {"'s", " is", false},
    {"'d", " would", false},
    {"'ll", " will", false},
    {"'t", " not", false},
    {"'ve", " have", false},
    {"'m", " am", false},
};

static void replace_literal(const struct replacement *r, const char *text, size_t n,
                            struct au_buf *out)
{
    const size_t n_from = strlen(r->from);
    size_t done = 0, at = 0;
    while (at < n) {
        const char *hit = memmem(text + at, n - at, r->from, n_from);
        if (!hit)
            break;
        const size_t begin = (size_t)(hit - text), end = begin + n_from;
        at = begin + 1;
        if ((r->at_word_start && !text_norm_word_starts(text, begin)) ||
            !text_norm_word_ends(text, n, end))
            continue;
        au_buf_append(out, text + done, begin - done);
        au_buf_puts(out, r->to);
        done = at = end;
    }
    au_buf_append(out, text + done, n - done);
}

static void expand_contractions(struct norm_text *work)
{
    for (size_t i = 0; i < sizeof REPLACEMENTS / sizeof REPLACEMENTS[0]; i++) {
        if (text_norm_error(work))
            return;
        if (!memmem(work->now.data, work->now.len, REPLACEMENTS[i].from,
                    strlen(REPLACEMENTS[i].from)))
            continue;
        replace_literal(&REPLACEMENTS[i], work->now.data, work->now.len, &work->next);
        text_norm_swap(work);
    }
}

/* Whole words that only fill pauses. */
static bool is_filler(const char *word, size_t n)
{
    static const char *const FILLERS[] = {"hmm", "mm", "mhm", "mmm", "uh", "um"};
    for (size_t i = 0; i < sizeof FILLERS / sizeof FILLERS[0]; i++) {
        if (strlen(FILLERS[i]) == n && memcmp(FILLERS[i], word, n) == 0)
            return true;
    }
    return false;
}

static void drop_fillers(const char *text, size_t n, struct au_buf *out)
{
    for (size_t at = 0; at < n;) {
        uint32_t c;
        size_t end = at;
        size_t step = au_utf8_decode(text + at, n - at, &c);
        if (!text_norm_is_word(c)) {
            au_buf_append(out, text + at, step);
            at += step;
            continue;
        }
        do {
            end += step;
            step = end < n ? au_utf8_decode(text + end, n - end, &c) : 0;
        } while (step > 0 && text_norm_is_word(c));
        if (!is_filler(text + at, end - at))
            au_buf_append(out, text + at, end - at);
        at = end;
    }
}

/* White space before an apostrophe goes: "they 're". */
static void join_apostrophes(const char *text, size_t n, struct au_buf *out)
{
    for (size_t at = 0; at < n;) {
        uint32_t c;
        size_t end = at;
        size_t step = au_utf8_decode(text + at, n - at, &c);
        while (text_norm_is_space(c)) {
            end += step;
            if (end == n)
                break;
            step = au_utf8_decode(text + end, n - end, &c);
        }
        if (end > at) {
            if (end == n || c != '\'')
                au_buf_append(out, text + at, end - at);
            at = end;
        } else {
            au_buf_append(out, text + at, step);
            at += step;
        }
    }
}

/* --- punctuation around numbers ------------------------------------------------------------- */

static bool is_ascii_digit(uint32_t c)
{
    return c >= '0' && c <= '9';
}

/* "1,000" becomes "1000". The digit after a comma is used up: of "1,2,3" the second comma stays. */
static void drop_digit_commas(const char *text, size_t n, struct au_buf *out)
{
    for (size_t at = 0; at < n;) {
        uint32_t c;
        size_t step = au_utf8_decode(text + at, n - at, &c);
        au_buf_append(out, text + at, step);
        at += step;
        if (!text_char_is_digit(c) || at + 1 >= n || text[at] != ',')
            continue;
        const uint32_t after = text_norm_char_at(text, n, at + 1);
        if (!text_char_is_digit(after))
            continue;
        step = au_utf8_decode(text + at + 1, n - at - 1, &c);
        au_buf_append(out, text + at + 1, step);
        at += 1 + step;
    }
}

/* Replace the sign at text[at..at+n_sign) by a blank unless a digit follows. The character after
 * it is used up with it: of two signs in a row the second stays. Returns the bytes dealt with.   */
static size_t blank_sign(const char *text, size_t n, size_t at, size_t n_sign, struct au_buf *out)
{
    const size_t after = at + n_sign;
    if (is_ascii_digit(text_norm_char_at(text, n, after))) {
        au_buf_append(out, text + at, n_sign);
        return n_sign;
    }
    uint32_t c;
    const size_t step = after < n ? au_utf8_decode(text + after, n - after, &c) : 0;
    au_buf_putc(out, ' ');
    au_buf_append(out, text + after, step);
    return n_sign + step;
}

/* Full stops that do not begin a fraction. */
static void blank_full_stops(const char *text, size_t n, struct au_buf *out)
{
    for (size_t at = 0; at < n;) {
        if (text[at] == '.')
            at += blank_sign(text, n, at, 1, out);
        else
            au_buf_putc(out, text[at++]);
    }
}

/* The same for currency signs, in front of whatever number there was; at the end they stay. */
static void blank_stray_signs(const char *text, size_t n, struct au_buf *out)
{
    for (size_t at = 0; at < n;) {
        uint32_t c;
        const size_t step = au_utf8_decode(text + at, n - at, &c);
        const bool sign = c == '.' || c == '$' || c == 0xA2 || c == 0x20AC || c == 0xA3;
        if (sign && at + step < n) {
            at += blank_sign(text, n, at, step, out);
        } else {
            au_buf_append(out, text + at, step);
            at += step;
        }
    }
}

/* '%' after anything but a digit becomes a blank; at the start of the text it stays. */
static void blank_stray_percent(const char *text, size_t n, struct au_buf *out)
{
    for (size_t at = 0; at < n;) {
        uint32_t c;
        const size_t step = au_utf8_decode(text + at, n - at, &c);
        au_buf_append(out, text + at, step);
        at += step;
        if (!is_ascii_digit(c) && at < n && text[at] == '%') {
            au_buf_putc(out, ' ');
            at++;
        }
    }
}

static void strip_symbols(const char *text, size_t n, struct au_buf *out)
{
    text_norm_strip_symbols(text, n, ".%$\xC2\xA2\xE2\x82\xAC\xC2\xA3", out);
}

enum auricle_error text_normalize_english(const struct text_spelling *spelling, const char *text,
                                          size_t n, struct au_buf *out)
{
    struct norm_text work;
    text_norm_begin(&work);
    text_lower(text, n, &work.now);
    text_norm_run(&work, text_norm_drop_brackets);
    text_norm_run(&work, drop_fillers);
    text_norm_run(&work, join_apostrophes);
    expand_contractions(&work);
    text_norm_run(&work, drop_digit_commas);
    text_norm_run(&work, blank_full_stops);
    text_norm_run(&work, strip_symbols);
    text_norm_run(&work, text_norm_numbers);
    if (!text_norm_error(&work)) {
        respell(spelling, work.now.data, work.now.len, &work.next);
        text_norm_swap(&work);
    }
    text_norm_run(&work, blank_stray_signs);
    text_norm_run(&work, blank_stray_percent);
    text_norm_run(&work, text_norm_join_spaces);
    enum auricle_error error = text_norm_error(&work);
    if (!error)
        error = au_buf_append(out, work.now.data, work.now.len);
    text_norm_end(&work);
    return error;
}
