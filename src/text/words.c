/* Splitting tokens into words, as the original program does.
 *
 * Tokens are first gathered into units that end where a character ends: a unit is closed when its
 * text has no U+FFFD, or when the whole text has one at the same place (the bytes are really bad,
 * not merely incomplete). Languages without spaces stop there. For the others, units are joined
 * into words: a new word begins at a special token, at a blank, at punctuation that stands alone,
 * and at the first unit.
 *
 * Nothing is allocated: the text of a span of tokens is read through a cursor that gathers the
 * bytes of a character over token borders.                                                       */
#include <string.h>

#include "base/utf8.h"
#include "text/language.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

/* A place in the joined bytes of ids[token..end). */
struct cursor {
    const struct text_tokenizer *tokenizer;
    const int32_t *ids;
    size_t token, end; /* present token, one past the last */
    size_t byte;       /* in the present token */
};

/* Up to 4 bytes from the cursor on; fewer at the end. */
static size_t peek(struct cursor at, char bytes[4])
{
    size_t n = 0;
    while (n < 4 && at.token < at.end) {
        size_t length;
        const char *text = text_token_bytes(at.tokenizer, at.ids[at.token], &length);
        if (at.byte < length) {
            bytes[n++] = text[at.byte++];
        } else {
            at.token++;
            at.byte = 0;
        }
    }
    return n;
}

static void skip(struct cursor *at, size_t n)
{
    while (n > 0) {
        size_t length;
        text_token_bytes(at->tokenizer, at->ids[at->token], &length);
        if (at->byte < length) {
            at->byte++;
            n--;
        } else {
            at->token++;
            at->byte = 0;
        }
    }
}

/* The next character, bad bytes as U+FFFD; false at the end. */
static bool next_char(struct cursor *at, uint32_t *c)
{
    char bytes[4];
    const size_t n = peek(*at, bytes);
    if (n == 0)
        return false;
    skip(at, au_utf8_decode(bytes, n, c));
    return true;
}

/* Characters of a span, and the index of its first U+FFFD (SIZE_MAX: none). */
static size_t measure(struct cursor span, size_t *first_bad)
{
    size_t n = 0;
    uint32_t c;
    *first_bad = SIZE_MAX;
    while (next_char(&span, &c)) {
        if (c == AU_UTF8_REPLACEMENT && *first_bad == SIZE_MAX)
            *first_bad = n;
        n++;
    }
    return n;
}

/* Walks over the characters of the whole text; indices asked for never go back. */
struct whole_text {
    struct cursor cursor;
    size_t n_read;
    uint32_t last; /* character n_read - 1 */
};

/* True when character `index` of the whole text is U+FFFD, or past its end. */
static bool is_bad_at(struct whole_text *whole, size_t index)
{
    while (whole->n_read <= index) {
        if (!next_char(&whole->cursor, &whole->last))
            return true;
        whole->n_read++;
    }
    return whole->last == AU_UTF8_REPLACEMENT;
}

/* First step: unit_end[i] is one past the last token of unit i. */
static size_t split_units(const struct text_tokenizer *tokenizer, const int32_t *ids, size_t n,
                          size_t *unit_end)
{
    struct whole_text whole = {.cursor = {tokenizer, ids, 0, n, 0}};
    size_t n_units = 0, begin = 0, chars_before = 0;
    for (size_t i = 0; i < n; i++) {
        size_t first_bad;
        const size_t n_chars = measure((struct cursor){tokenizer, ids, begin, i + 1, 0},
                                       &first_bad);
        if (first_bad != SIZE_MAX && !is_bad_at(&whole, chars_before + first_bad))
            continue;
        unit_end[n_units++] = i + 1;
        begin = i + 1;
        chars_before += n_chars;
    }
    if (begin < n) { /* an incomplete rest; the original drops it, here no token is lost */
        if (n_units == 0)
            n_units = 1;
        unit_end[n_units - 1] = n;
    }
    return n_units;
}

/* True when the unit, white space at its ends aside, is a part of this row of punctuation: the
 * original asks for a substring, so "()" counts and "))" does not, and so does the empty text.   */
static bool is_punctuation(struct cursor unit)
{
    static const char ROW[] = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
    char text[sizeof ROW];
    size_t n = 0;
    bool ended = false;
    uint32_t c;
    while (next_char(&unit, &c)) {
        /* the four separators are white space to Python's strip, not to Unicode */
        if (text_char_is_space(c) || (c >= 0x1C && c <= 0x1F)) {
            ended = n > 0;
            continue;
        }
        if (ended || c >= 0x80 || n == sizeof text - 1)
            return false;
        text[n++] = (char)c;
    }
    return memmem(ROW, sizeof ROW - 1, text, n) != NULL;
}

size_t text_split_words(const struct text_tokenizer *tokenizer, const int32_t *ids, size_t n,
                        const char *language_code, size_t *word_end)
{
    const size_t n_units = split_units(tokenizer, ids, n, word_end);
    if (!text_language_has_spaces(language_code))
        return n_units;
    size_t n_words = 0, begin = 0;
    for (size_t i = 0; i < n_units; i++) {
        const size_t end = word_end[i]; /* read before it is overwritten: n_words <= i */
        struct cursor unit = {tokenizer, ids, begin, end, 0};
        char first[4];
        const bool blank = peek(unit, first) > 0 && first[0] == ' ';
        if (n_words == 0 || text_token_is_special(tokenizer, ids[begin]) || blank ||
            is_punctuation(unit))
            n_words++;
        word_end[n_words - 1] = end;
        begin = end;
    }
    return n_words;
}
