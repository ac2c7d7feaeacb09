/* What happens to English numbers before and after their words are read: "two and a half", endings
 * such as "21st", amounts of money.                                                             */
#include <string.h>

#include "base/utf8.h"
#include "text/normalize_pass.h"

/* --- before ---------------------------------------------------------------------------------- */

/* Length of "and a half" at text[at..n), 0 when it is not there. */
static size_t half_bytes(const char *text, size_t n, size_t at)
{
    static const char *const WORDS[] = {"and", "a", "half"};
    size_t end = at;
    if (!text_norm_word_starts(text, at))
        return 0;
    for (int i = 0; i < 3; i++) {
        const size_t length = strlen(WORDS[i]), before = end;
        uint32_t c;
        while (i > 0 && end < n) {
            const size_t step = au_utf8_decode(text + end, n - end, &c);
            if (!text_norm_is_space(c))
                break;
            end += step;
        }
        if ((i > 0 && end == before) || n - end < length ||
            memcmp(text + end, WORDS[i], length) != 0)
            return 0;
        end += length;
    }
    return text_norm_word_ends(text, n, end) ? end - at : 0;
}

/* One stretch of text between two "and a half": the stretch, and what becomes of the phrase. */
static void write_segment(const char *text, size_t n, bool is_last, bool *wrote, struct au_buf *out)
{
    const char *last = NULL, *word;
    size_t at = 0, n_last = 0, n_word;
    while (text_norm_next_word(text, n, &at, &word, &n_word)) {
        last = word;
        n_last = n_word;
    }
    if (!last)
        return; /* blank: the phrase after it goes too */
    if (*wrote)
        au_buf_putc(out, ' ');
    *wrote = true;
    au_buf_append(out, text, n);
    if (is_last)
        return;
    au_buf_puts(out, text_norm_is_number_word(last, n_last) ? " point five" : " and a half");
}

static void write_halves(const char *text, size_t n, struct au_buf *out)
{
    bool wrote = false;
    size_t begin = 0, at = 0;
    while (at < n) {
        const char *hit = memmem(text + at, n - at, "and", 3);
        if (!hit)
            break;
        at = (size_t)(hit - text);
        const size_t bytes = half_bytes(text, n, at);
        if (bytes > 0) {
            write_segment(text + begin, at - begin, false, &wrote, out);
            begin = at + bytes;
        }
        at += bytes > 0 ? bytes : 1;
    }
    write_segment(text + begin, n - begin, true, &wrote, out);
}

static bool is_ascii_letter(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_ascii_digit(char c)
{
    return c >= '0' && c <= '9';
}

static void part_letters_and_digits(const char *text, size_t n, struct au_buf *out)
{
    for (size_t at = 0; at < n; at++) {
        const char before = at > 0 ? text[at - 1] : ' ';
        if ((is_ascii_letter(before) && is_ascii_digit(text[at])) ||
            (is_ascii_digit(before) && is_ascii_letter(text[at])))
            au_buf_putc(out, ' ');
        au_buf_putc(out, text[at]);
    }
}

/* Length of an ending of numbers that is a word of its own at text[at..n), or 0. */
static size_t ending_bytes(const char *text, size_t n, size_t at)
{
    static const char *const ENDINGS[] = {"st", "nd", "rd", "th", "s"};
    for (size_t i = 0; i < sizeof ENDINGS / sizeof ENDINGS[0]; i++) {
        const size_t length = strlen(ENDINGS[i]);
        if (n - at >= length && memcmp(text + at, ENDINGS[i], length) == 0 &&
            text_norm_word_ends(text, n, at + length))
            return length;
    }
    return 0;
}

/* But "21 st" and "90 s" belong together. */
static void rejoin_endings(const char *text, size_t n, struct au_buf *out)
{
    for (size_t at = 0; at < n;) {
        au_buf_putc(out, text[at]);
        if (!is_ascii_digit(text[at++]))
            continue;
        size_t after = at;
        uint32_t c;
        while (after < n) {
            const size_t step = au_utf8_decode(text + after, n - after, &c);
            if (!text_norm_is_space(c))
                break;
            after += step;
        }
        const size_t length = after > at ? ending_bytes(text, n, after) : 0;
        au_buf_append(out, length > 0 ? text + after : text + at, length > 0 ? length : after - at);
        at = after + length;
    }
}

/* --- after ----------------------------------------------------------------------------------- */

/* Bytes of a currency sign of whole amounts at text[at], or 0. */
static size_t currency_bytes(const char *text, size_t n, size_t at)
{
    const uint32_t c = text_norm_char_at(text, n, at);
    return c == '$' ? 1 : c == 0xA3 ? 2 : c == 0x20AC ? 3 : 0;
}

/* One or two digits that end a word at text[at..n); how many, and their value. */
static size_t cents_bytes(const char *text, size_t n, size_t at, int *cents)
{
    size_t length = 0;
    *cents = 0;
    while (length < 2 && at + length < n && is_ascii_digit(text[at + length]))
        *cents = *cents * 10 + (text[at + length++] - '0');
    return length > 0 && text_norm_word_ends(text, n, at + length) ? length : 0;
}

/* "$2 and ¢7" becomes "$2.07". */
static void join_cents(const char *text, size_t n, struct au_buf *out)
{
    static const char AND[] = "and ", CENT[] = "\xC2\xA2";
    size_t at = 0;
    while (at < n) {
        const size_t sign = currency_bytes(text, n, at);
        size_t end = at + sign;
        while (sign > 0 && end < n && is_ascii_digit(text[end]))
            end++;
        const size_t whole = end;
        int cents = 0;
        size_t n_cents = 0;
        if (whole > at + sign && whole < n && text[whole] == ' ') {
            end = whole + 1;
            if (n - end >= 4 && memcmp(text + end, AND, 4) == 0)
                end += 4;
            if (n - end >= 2 && memcmp(text + end, CENT, 2) == 0)
                n_cents = cents_bytes(text, n, end + 2, &cents);
        }
        if (n_cents > 0) {
            au_buf_append(out, text + at, whole - at);
            au_buf_printf(out, ".%02d", cents);
            at = end + 2 + n_cents;
        } else {
            au_buf_append(out, text + at, whole > at ? whole - at : 1);
            at = whole > at ? whole : at + 1;
        }
    }
}

/* "$0.7" becomes "¢7"; any character will do for the point. */
static void write_cents(const char *text, size_t n, struct au_buf *out)
{
    for (size_t at = 0; at < n;) {
        const size_t sign = currency_bytes(text, n, at);
        size_t length = 0, point = at + sign + 1, step = 0;
        int cents = 0;
        if (sign > 0 && point < n && text[point - 1] == '0' && text[point] != '\n') {
            uint32_t c;
            step = au_utf8_decode(text + point, n - point, &c);
            length = cents_bytes(text, n, point + step, &cents);
        }
        if (length > 0) {
            au_buf_printf(out, "\xC2\xA2%d", cents);
            at = point + step + length;
        } else {
            au_buf_putc(out, text[at++]);
        }
    }
}

/* "1" and "1s" alone are better read as words. */
static void write_one(const char *text, size_t n, struct au_buf *out)
{
    for (size_t at = 0; at < n;) {
        size_t end = at;
        if (text[at] == '1' && text_norm_word_starts(text, at)) {
            end = at + 1;
            if (!text_norm_word_ends(text, n, end) && text[end] == 's')
                end++;
            if (!text_norm_word_ends(text, n, end))
                end = at;
        }
        if (end > at) {
            au_buf_puts(out, end - at == 2 ? "ones" : "one");
            at = end;
        } else {
            au_buf_putc(out, text[at++]);
        }
    }
}

void text_norm_numbers(const char *text, size_t n, struct au_buf *out)
{
    static text_norm_pass *const PASSES[] = {write_halves,   part_letters_and_digits,
                                             rejoin_endings, text_norm_number_words,
                                             join_cents,     write_cents,
                                             write_one};
    struct norm_text work;
    text_norm_begin(&work);
    au_buf_append(&work.now, text, n);
    for (size_t i = 0; i < sizeof PASSES / sizeof PASSES[0]; i++)
        text_norm_run(&work, PASSES[i]);
    const enum auricle_error error = text_norm_error(&work);
    if (error)
        out->error = error;
    else
        au_buf_append(out, work.now.data, work.now.len);
    text_norm_end(&work);
}
