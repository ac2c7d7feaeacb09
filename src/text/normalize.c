/* The basic normaliser, and the passes that it shares with the English one.
 *
 * The original is a chain of regular expressions. Each is one pass here, written by hand: it leaves
 * the same text and looks at each character a bounded number of times, where a backtracking engine
 * can be made to take quadratic time.                                                           */
#include "text/normalize.h"

#include <string.h>

#include "base/utf8.h"
#include "text/normalize_pass.h"
#include "text/unicode.h"

/* --- passes --------------------------------------------------------------------------------- */

void text_norm_begin(struct norm_text *text)
{
    au_buf_init(&text->now, 0);
    au_buf_init(&text->next, 0);
}

void text_norm_end(struct norm_text *text)
{
    au_buf_deinit(&text->now);
    au_buf_deinit(&text->next);
}

void text_norm_swap(struct norm_text *text)
{
    const struct au_buf old = text->now;
    text->now = text->next;
    text->next = old;
    if (!text->now.error)
        au_buf_clear(&text->next);
}

void text_norm_run(struct norm_text *text, text_norm_pass *pass)
{
    if (text_norm_error(text))
        return;
    pass(text->now.data, text->now.len, &text->next);
    text_norm_swap(text);
}

enum auricle_error text_norm_error(const struct norm_text *text)
{
    return text->now.error ? text->now.error : text->next.error;
}

bool text_norm_is_space(uint32_t c)
{
    return text_char_is_space(c) || (c >= 0x1C && c <= 0x1F);
}

bool text_norm_is_word(uint32_t c)
{
    const enum text_class kind = text_char_class(c);
    return kind == TEXT_CLASS_LETTER || kind == TEXT_CLASS_NUMBER || c == '_';
}

uint32_t text_norm_char_at(const char *text, size_t n, size_t at)
{
    uint32_t c = 0;
    if (at < n)
        au_utf8_decode(text + at, n - at, &c);
    return c;
}

uint32_t text_norm_char_before(const char *text, size_t at)
{
    size_t start = at;
    while (start > 0 && at - start < 4) {
        start--;
        if (((unsigned char)text[start] & 0xC0) != 0x80)
            return text_norm_char_at(text, at, start);
    }
    return 0;
}

bool text_norm_word_starts(const char *text, size_t at)
{
    return !text_norm_is_word(text_norm_char_before(text, at));
}

bool text_norm_word_ends(const char *text, size_t n, size_t at)
{
    return !text_norm_is_word(text_norm_char_at(text, n, at));
}

bool text_norm_next_word(const char *text, size_t n, size_t *at, const char **word, size_t *n_word)
{
    size_t begin = 0;
    bool inside = false;
    while (*at < n) {
        uint32_t c;
        const size_t step = au_utf8_decode(text + *at, n - *at, &c);
        if (text_norm_is_space(c)) {
            if (inside)
                break;
        } else if (!inside) {
            inside = true;
            begin = *at;
        }
        *at += step;
    }
    *word = text + begin;
    *n_word = inside ? *at - begin : 0;
    return inside;
}

/* First of the bytes a or b in text[at..n); n when there is none. */
static size_t find_either(const char *text, size_t n, size_t at, char a, char b)
{
    while (at < n && text[at] != a && text[at] != b)
        at++;
    return at;
}

/* <...>, [...] and mixtures: from an opening to the next closing bracket of either kind. */
static void drop_square_brackets(const char *text, size_t n, struct au_buf *out)
{
    for (size_t at = 0; at < n;) {
        const size_t open = find_either(text, n, at, '<', '[');
        const size_t close = find_either(text, n, open, '>', ']');
        au_buf_append(out, text + at, (close < n ? open : n) - at);
        at = close < n ? close + 1 : n;
    }
}

/* (...) with something inside. */
static void drop_parentheses(const char *text, size_t n, struct au_buf *out)
{
    for (size_t at = 0; at < n;) {
        const size_t open = find_either(text, n, at, '(', '(');
        const size_t close = find_either(text, n, open, ')', ')');
        if (close == open + 1) { /* "()" stays, but for the search its '(' is used up */
            au_buf_append(out, text + at, open + 1 - at);
            at = open + 1;
            continue;
        }
        au_buf_append(out, text + at, (close < n ? open : n) - at);
        at = close < n ? close + 1 : n;
    }
}

void text_norm_drop_brackets(const char *text, size_t n, struct au_buf *out)
{
    struct au_buf half;
    au_buf_init(&half, 0);
    drop_square_brackets(text, n, &half);
    if (half.error)
        out->error = half.error;
    else
        drop_parentheses(half.data, half.len, out);
    au_buf_deinit(&half);
}

void text_norm_join_spaces(const char *text, size_t n, struct au_buf *out)
{
    bool after_space = false;
    for (size_t at = 0; at < n;) {
        uint32_t c;
        const size_t step = au_utf8_decode(text + at, n - at, &c);
        const bool space = text_norm_is_space(c);
        if (!space)
            au_buf_append(out, text + at, step);
        else if (!after_space)
            au_buf_putc(out, ' ');
        after_space = space;
        at += step;
    }
}

static bool is_mark_symbol_or_punctuation(uint32_t c)
{
    switch (text_char_class(c)) {
    case TEXT_CLASS_NONSPACING:
    case TEXT_CLASS_MARK:
    case TEXT_CLASS_SYMBOL:
    case TEXT_CLASS_PUNCTUATION: return true;
    default: return false;
    }
}

/* Letters that no normal form takes apart. NULL for all others. */
static const char *spelled_out(uint32_t c)
{
    static const struct {
        uint32_t c;
        const char *letters;
    } LETTERS[] = {
        {0x153, "oe"}, {0x152, "OE"},  {0xF8, "o"},  {0xD8, "O"},  {0xE6, "ae"}, {0xC6, "AE"},
        {0xDF, "ss"},  {0x1E9E, "SS"}, {0x111, "d"}, {0x110, "D"}, {0xF0, "d"},  {0xD0, "D"},
        {0xFE, "th"},  {0xDE, "th"},   {0x142, "l"}, {0x141, "L"},
    };
    for (size_t i = 0; i < sizeof LETTERS / sizeof LETTERS[0]; i++) {
        if (LETTERS[i].c == c)
            return LETTERS[i].letters;
    }
    return NULL;
}

void text_norm_strip_symbols(const char *text, size_t n, const char *keep, struct au_buf *out)
{
    struct au_buf form;
    au_buf_init(&form, 0);
    if (text_normal_form(TEXT_NFKD, text, n, &form))
        out->error = form.error;
    for (size_t at = 0; at < form.len && !out->error;) {
        uint32_t c;
        const size_t step = au_utf8_decode(form.data + at, form.len - at, &c);
        const char *letters = c < 0x80 ? NULL : spelled_out(c);
        if (keep[0] && memmem(keep, strlen(keep), form.data + at, step))
            au_buf_append(out, form.data + at, step);
        else if (letters)
            au_buf_puts(out, letters);
        else if (text_char_class(c) == TEXT_CLASS_NONSPACING)
            ;
        else if (is_mark_symbol_or_punctuation(c))
            au_buf_putc(out, ' ');
        else
            au_buf_append(out, form.data + at, step);
        at += step;
    }
    au_buf_deinit(&form);
}

/* --- the basic normaliser ------------------------------------------------------------------- */

/* Composed form, with blanks for marks, symbols and punctuation; accents that compose stay. */
static void blank_symbols(const char *text, size_t n, struct au_buf *out)
{
    struct au_buf form;
    au_buf_init(&form, 0);
    if (text_normal_form(TEXT_NFKC, text, n, &form))
        out->error = form.error;
    for (size_t at = 0; at < form.len && !out->error;) {
        uint32_t c;
        const size_t step = au_utf8_decode(form.data + at, form.len - at, &c);
        if (is_mark_symbol_or_punctuation(c))
            au_buf_putc(out, ' ');
        else
            au_buf_append(out, form.data + at, step);
        at += step;
    }
    au_buf_deinit(&form);
}

static void strip_all_symbols(const char *text, size_t n, struct au_buf *out)
{
    text_norm_strip_symbols(text, n, "", out);
}

static void lower(const char *text, size_t n, struct au_buf *out)
{
    text_lower(text, n, out);
}

/* A blank between characters as a person counts them. */
static void split_letters(const char *text, size_t n, struct au_buf *out)
{
    uint32_t before = 0;
    int32_t state = 0;
    for (size_t at = 0; at < n;) {
        uint32_t c;
        const size_t step = au_utf8_decode(text + at, n - at, &c);
        if (at > 0 && text_grapheme_break(before, c, &state))
            au_buf_putc(out, ' ');
        au_buf_append(out, text + at, step);
        before = c;
        at += step;
    }
}

enum auricle_error text_normalize_basic(unsigned flags, const char *text, size_t n,
                                        struct au_buf *out)
{
    struct norm_text work;
    text_norm_begin(&work);
    text_lower(text, n, &work.now);
    text_norm_run(&work, text_norm_drop_brackets);
    text_norm_run(&work, flags & TEXT_BASIC_NO_DIACRITICS ? strip_all_symbols : blank_symbols);
    text_norm_run(&work, lower);
    if (flags & TEXT_BASIC_SPLIT_LETTERS)
        text_norm_run(&work, split_letters);
    text_norm_run(&work, text_norm_join_spaces);
    enum auricle_error error = text_norm_error(&work);
    if (!error)
        error = au_buf_append(out, work.now.data, work.now.len);
    text_norm_end(&work);
    return error;
}
