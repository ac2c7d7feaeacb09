/* Number words to digits: "two hundred and one" becomes "201", "five dollars" "$5".
 *
 * Words are read from left to right and a number grows in `value` for as long as they belong to it.
 * It is either a count, to which "hundred" and its like apply, or digits read out one by one. Both
 * are kept as text, so there is no largest number. Amounts that no one says aloud come out as oddly
 * as in the original program ("five million billion" is 5000000), and must: rates are compared with
 * its rates.                                                                                    */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "text/normalize_pass.h"
#include "text/unicode.h"

/* --- the words ------------------------------------------------------------------------------ */

enum word_kind {
    WORD_OTHER,
    WORD_ZERO,
    WORD_ONES, /* one to nineteen */
    WORD_ONES_SUFFIXED,
    WORD_TENS,
    WORD_TENS_SUFFIXED,
    WORD_MULTIPLIER, /* a power of ten */
    WORD_MULTIPLIER_SUFFIXED,
    WORD_PRECEDING, /* sign before the number */
    WORD_FOLLOWING, /* currency named after the number */
    WORD_PER,
    WORD_PERCENT,
    WORD_AND,
    WORD_REPEAT, /* double, triple */
    WORD_POINT
};

struct number_word {
    const char *word;
    enum word_kind kind;
    int number; /* value, exponent of ten, or number of repeats */
    const char *affix;
};

/* Sorted. "nineth" is what the original has, and "ninth" it does not know. */
static const struct number_word WORDS[] = {
    {"and", WORD_AND, 0, ""},
    {"billion", WORD_MULTIPLIER, 9, ""},
    {"billions", WORD_MULTIPLIER_SUFFIXED, 9, "s"},
    {"billionth", WORD_MULTIPLIER_SUFFIXED, 9, "th"},
    {"cent", WORD_FOLLOWING, 0, "\xC2\xA2"},
    {"cents", WORD_FOLLOWING, 0, "\xC2\xA2"},
    {"decillion", WORD_MULTIPLIER, 33, ""},
    {"decillions", WORD_MULTIPLIER_SUFFIXED, 33, "s"},
    {"decillionth", WORD_MULTIPLIER_SUFFIXED, 33, "th"},
    {"dollar", WORD_FOLLOWING, 0, "$"},
    {"dollars", WORD_FOLLOWING, 0, "$"},
    {"double", WORD_REPEAT, 2, ""},
    {"eight", WORD_ONES, 8, ""},
    {"eighteen", WORD_ONES, 18, ""},
    {"eighteens", WORD_ONES_SUFFIXED, 18, "s"},
    {"eighteenth", WORD_ONES_SUFFIXED, 18, "th"},
    {"eighth", WORD_ONES_SUFFIXED, 8, "th"},
    {"eighties", WORD_TENS_SUFFIXED, 80, "s"},
    {"eightieth", WORD_TENS_SUFFIXED, 80, "th"},
    {"eights", WORD_ONES_SUFFIXED, 8, "s"},
    {"eighty", WORD_TENS, 80, ""},
    {"eleven", WORD_ONES, 11, ""},
    {"elevens", WORD_ONES_SUFFIXED, 11, "s"},
    {"eleventh", WORD_ONES_SUFFIXED, 11, "th"},
    {"euro", WORD_FOLLOWING, 0, "\xE2\x82\xAC"},
    {"euros", WORD_FOLLOWING, 0, "\xE2\x82\xAC"},
    {"fifteen", WORD_ONES, 15, ""},
    {"fifteens", WORD_ONES_SUFFIXED, 15, "s"},
    {"fifteenth", WORD_ONES_SUFFIXED, 15, "th"},
    {"fifth", WORD_ONES_SUFFIXED, 5, "th"},
    {"fifties", WORD_TENS_SUFFIXED, 50, "s"},
    {"fiftieth", WORD_TENS_SUFFIXED, 50, "th"},
    {"fifty", WORD_TENS, 50, ""},
    {"first", WORD_ONES_SUFFIXED, 1, "st"},
    {"five", WORD_ONES, 5, ""},
    {"fives", WORD_ONES_SUFFIXED, 5, "s"},
    {"forties", WORD_TENS_SUFFIXED, 40, "s"},
    {"fortieth", WORD_TENS_SUFFIXED, 40, "th"},
    {"forty", WORD_TENS, 40, ""},
    {"four", WORD_ONES, 4, ""},
    {"fours", WORD_ONES_SUFFIXED, 4, "s"},
    {"fourteen", WORD_ONES, 14, ""},
    {"fourteens", WORD_ONES_SUFFIXED, 14, "s"},
    {"fourteenth", WORD_ONES_SUFFIXED, 14, "th"},
    {"fourth", WORD_ONES_SUFFIXED, 4, "th"},
    {"hundred", WORD_MULTIPLIER, 2, ""},
    {"hundreds", WORD_MULTIPLIER_SUFFIXED, 2, "s"},
    {"hundredth", WORD_MULTIPLIER_SUFFIXED, 2, "th"},
    {"million", WORD_MULTIPLIER, 6, ""},
    {"millions", WORD_MULTIPLIER_SUFFIXED, 6, "s"},
    {"millionth", WORD_MULTIPLIER_SUFFIXED, 6, "th"},
    {"minus", WORD_PRECEDING, 0, "-"},
    {"negative", WORD_PRECEDING, 0, "-"},
    {"nine", WORD_ONES, 9, ""},
    {"nines", WORD_ONES_SUFFIXED, 9, "s"},
    {"nineteen", WORD_ONES, 19, ""},
    {"nineteens", WORD_ONES_SUFFIXED, 19, "s"},
    {"nineteenth", WORD_ONES_SUFFIXED, 19, "th"},
    {"nineth", WORD_ONES_SUFFIXED, 9, "th"},
    {"nineties", WORD_TENS_SUFFIXED, 90, "s"},
    {"ninetieth", WORD_TENS_SUFFIXED, 90, "th"},
    {"ninety", WORD_TENS, 90, ""},
    {"nonillion", WORD_MULTIPLIER, 30, ""},
    {"nonillions", WORD_MULTIPLIER_SUFFIXED, 30, "s"},
    {"nonillionth", WORD_MULTIPLIER_SUFFIXED, 30, "th"},
    {"o", WORD_ZERO, 0, ""},
    {"octillion", WORD_MULTIPLIER, 27, ""},
    {"octillions", WORD_MULTIPLIER_SUFFIXED, 27, "s"},
    {"octillionth", WORD_MULTIPLIER_SUFFIXED, 27, "th"},
    {"oh", WORD_ZERO, 0, ""},
    {"one", WORD_ONES, 1, ""},
    {"ones", WORD_ONES_SUFFIXED, 1, "s"},
    {"per", WORD_PER, 0, ""},
    {"percent", WORD_PERCENT, 0, ""},
    {"plus", WORD_PRECEDING, 0, "+"},
    {"point", WORD_POINT, 0, ""},
    {"positive", WORD_PRECEDING, 0, "+"},
    {"pound", WORD_FOLLOWING, 0, "\xC2\xA3"},
    {"pounds", WORD_FOLLOWING, 0, "\xC2\xA3"},
    {"quadrillion", WORD_MULTIPLIER, 15, ""},
    {"quadrillions", WORD_MULTIPLIER_SUFFIXED, 15, "s"},
    {"quadrillionth", WORD_MULTIPLIER_SUFFIXED, 15, "th"},
    {"quintillion", WORD_MULTIPLIER, 18, ""},
    {"quintillions", WORD_MULTIPLIER_SUFFIXED, 18, "s"},
    {"quintillionth", WORD_MULTIPLIER_SUFFIXED, 18, "th"},
    {"second", WORD_ONES_SUFFIXED, 2, "nd"},
    {"septillion", WORD_MULTIPLIER, 24, ""},
    {"septillions", WORD_MULTIPLIER_SUFFIXED, 24, "s"},
    {"septillionth", WORD_MULTIPLIER_SUFFIXED, 24, "th"},
    {"seven", WORD_ONES, 7, ""},
    {"sevens", WORD_ONES_SUFFIXED, 7, "s"},
    {"seventeen", WORD_ONES, 17, ""},
    {"seventeens", WORD_ONES_SUFFIXED, 17, "s"},
    {"seventeenth", WORD_ONES_SUFFIXED, 17, "th"},
    {"seventh", WORD_ONES_SUFFIXED, 7, "th"},
    {"seventies", WORD_TENS_SUFFIXED, 70, "s"},
    {"seventieth", WORD_TENS_SUFFIXED, 70, "th"},
    {"seventy", WORD_TENS, 70, ""},
    {"sextillion", WORD_MULTIPLIER, 21, ""},
    {"sextillions", WORD_MULTIPLIER_SUFFIXED, 21, "s"},
    {"sextillionth", WORD_MULTIPLIER_SUFFIXED, 21, "th"},
    {"six", WORD_ONES, 6, ""},
    {"sixes", WORD_ONES_SUFFIXED, 6, "s"},
    {"sixteen", WORD_ONES, 16, ""},
    {"sixteens", WORD_ONES_SUFFIXED, 16, "s"},
    {"sixteenth", WORD_ONES_SUFFIXED, 16, "th"},
    {"sixth", WORD_ONES_SUFFIXED, 6, "th"},
    {"sixties", WORD_TENS_SUFFIXED, 60, "s"},
    {"sixtieth", WORD_TENS_SUFFIXED, 60, "th"},
    {"sixty", WORD_TENS, 60, ""},
    {"ten", WORD_ONES, 10, ""},
    {"tens", WORD_ONES_SUFFIXED, 10, "s"},
    {"tenth", WORD_ONES_SUFFIXED, 10, "th"},
    {"third", WORD_ONES_SUFFIXED, 3, "rd"},
    {"thirteen", WORD_ONES, 13, ""},
    {"thirteens", WORD_ONES_SUFFIXED, 13, "s"},
    {"thirteenth", WORD_ONES_SUFFIXED, 13, "th"},
    {"thirties", WORD_TENS_SUFFIXED, 30, "s"},
    {"thirtieth", WORD_TENS_SUFFIXED, 30, "th"},
    {"thirty", WORD_TENS, 30, ""},
    {"thousand", WORD_MULTIPLIER, 3, ""},
    {"thousands", WORD_MULTIPLIER_SUFFIXED, 3, "s"},
    {"thousandth", WORD_MULTIPLIER_SUFFIXED, 3, "th"},
    {"three", WORD_ONES, 3, ""},
    {"threes", WORD_ONES_SUFFIXED, 3, "s"},
    {"trillion", WORD_MULTIPLIER, 12, ""},
    {"trillions", WORD_MULTIPLIER_SUFFIXED, 12, "s"},
    {"trillionth", WORD_MULTIPLIER_SUFFIXED, 12, "th"},
    {"triple", WORD_REPEAT, 3, ""},
    {"twelfth", WORD_ONES_SUFFIXED, 12, "th"},
    {"twelve", WORD_ONES, 12, ""},
    {"twelves", WORD_ONES_SUFFIXED, 12, "s"},
    {"twenties", WORD_TENS_SUFFIXED, 20, "s"},
    {"twentieth", WORD_TENS_SUFFIXED, 20, "th"},
    {"twenty", WORD_TENS, 20, ""},
    {"two", WORD_ONES, 2, ""},
    {"twos", WORD_ONES_SUFFIXED, 2, "s"},
    {"zero", WORD_ZERO, 0, ""},
    {"zeroth", WORD_ONES_SUFFIXED, 0, "th"},
};

/* One word of the text. */
struct word {
    const char *text; /* NULL: before the first or after the last */
    size_t n;
    const struct number_word *known; /* NULL: no number word */
};

static int compare_word(const void *key, const void *row)
{
    const struct word *word = key;
    const struct number_word *known = row;
    const size_t n_known = strlen(known->word);
    const int order = memcmp(word->text, known->word, word->n < n_known ? word->n : n_known);
    return order != 0 ? order : (word->n > n_known) - (word->n < n_known);
}

static struct word make_word(const char *text, size_t n)
{
    struct word word = {text, n, NULL};
    word.known = bsearch(&word, WORDS, sizeof WORDS / sizeof WORDS[0], sizeof WORDS[0],
                         compare_word);
    return word;
}

static enum word_kind kind_of(const struct word *word)
{
    return word->known ? word->known->kind : WORD_OTHER;
}

bool text_norm_is_number_word(const char *text, size_t n)
{
    const struct word word = make_word(text, n);
    const enum word_kind kind = kind_of(&word);
    return kind == WORD_ONES || kind == WORD_TENS || kind == WORD_ZERO || kind == WORD_MULTIPLIER;
}

/* Digits, and perhaps a point and more digits; of any script. */
static bool is_numeral(const char *text, size_t n)
{
    bool after_digit = false, after_point = false;
    for (size_t at = 0; at < n;) {
        uint32_t c;
        at += au_utf8_decode(text + at, n - at, &c);
        if (c == '.' && after_digit && !after_point) {
            after_point = true;
            after_digit = false;
        } else if (text_char_is_digit(c)) {
            after_digit = true;
        } else {
            return false;
        }
    }
    return after_digit;
}

/* May the word go on with a number: a number word, or a numeral. */
static bool continues_number(const struct word *word)
{
    return word->known || (word->text && is_numeral(word->text, word->n));
}

/* --- numbers as text ------------------------------------------------------------------------ */

/* 0 to 9. Digits of every script stand in rows of ten, so the distance to the first non-digit
 * before them tells.                                                                             */
static int digit_value(uint32_t c)
{
    uint32_t first = c;
    while (first > 0 && text_char_is_digit(first - 1))
        first--;
    return (int)((c - first) % 10);
}

/* The number text times ten to the power of `exponent`, when that is whole: false when it is
 * not, or the text is no number. Appends its digits, without leading zeros, to out.              */
static bool scale_number(const char *text, size_t n, int exponent, struct au_buf *out)
{
    const size_t begin = out->len;
    bool point = false, any = false;
    int left = exponent;
    for (size_t at = 0; at < n;) {
        uint32_t c;
        at += au_utf8_decode(text + at, n - at, &c);
        if (c == '.' && !point) {
            point = true;
            continue;
        }
        if (!text_char_is_digit(c))
            return false;
        const int digit = digit_value(c);
        any = true;
        if (point && left == 0) {
            if (digit != 0)
                return false;
            continue;
        }
        left -= point;
        if (digit != 0 || out->len > begin)
            au_buf_putc(out, (char)('0' + digit));
    }
    for (; left > 0 && out->len > begin; left--)
        au_buf_putc(out, '0');
    if (out->len == begin)
        au_buf_putc(out, '0');
    return any;
}

/* digits += n * 10^exponent, n below 1000, in place; the buffer grows at the front when it must. */
static void add_scaled(struct au_buf *digits, int n, int exponent)
{
    int carry = n;
    for (size_t place = (size_t)exponent; carry > 0; place++) {
        while (digits->len <= place) { /* a leading zero */
            if (au_buf_putc(digits, '0'))
                return;
            memmove(digits->data + 1, digits->data, digits->len - 1);
            digits->data[0] = '0';
        }
        char *digit = &digits->data[digits->len - 1 - place];
        carry += *digit - '0';
        *digit = (char)('0' + carry % 10);
        carry /= 10;
    }
}

/* --- the number under way ------------------------------------------------------------------- */

enum value_kind { VALUE_NONE, VALUE_COUNT, VALUE_DIGITS };

struct reader {
    struct au_buf value;
    enum value_kind kind;
    const char *prefix; /* sign or currency of the value to come; "" */
    size_t n_prefix;
    struct au_buf *out;
    bool wrote; /* a word is out already */
};

/* Empty the value; clearing a buffer forgets its error, which must not be lost. */
static void clear_value(struct reader *r)
{
    if (r->value.error)
        r->out->error = r->value.error;
    au_buf_clear(&r->value);
}

/* Write prefix, text and suffix as one word; the value is used up. */
static void emit(struct reader *r, const char *text, size_t n, const char *suffix)
{
    if (r->wrote)
        au_buf_putc(r->out, ' ');
    r->wrote = true;
    au_buf_append(r->out, r->prefix, r->n_prefix);
    au_buf_append(r->out, text, n);
    au_buf_puts(r->out, suffix);
    r->n_prefix = 0;
    r->kind = VALUE_NONE;
    clear_value(r);
}

static void emit_value(struct reader *r, const char *suffix)
{
    emit(r, r->value.data, r->value.len, suffix);
}

static void emit_word(struct reader *r, const struct word *word)
{
    if (r->kind != VALUE_NONE)
        emit_value(r, "");
    emit(r, word->text, word->n, "");
}

static void set_count(struct reader *r, int n)
{
    clear_value(r);
    au_buf_printf(&r->value, "%d", n);
    r->kind = VALUE_COUNT;
}

/* Digits read out one by one: what is there, unless it is a plain zero, and more behind it. */
static void append_digits(struct reader *r, const char *digits, size_t n)
{
    au_buf_append(&r->value, digits, n);
    r->kind = VALUE_DIGITS;
}

static void append_number(struct reader *r, int n)
{
    au_buf_printf(&r->value, "%d", n);
    r->kind = VALUE_DIGITS;
}

static bool count_is_zero(const struct reader *r)
{
    return r->kind == VALUE_COUNT && r->value.len == 1 && r->value.data[0] == '0';
}

/* Is the count a multiple of 10 to the power of `places`? */
static bool count_ends_in_zeros(const struct reader *r, size_t places)
{
    if (r->kind != VALUE_COUNT)
        return false;
    if (count_is_zero(r))
        return true;
    if (r->value.len <= places)
        return false;
    for (size_t i = 0; i < places; i++) {
        if (r->value.data[r->value.len - 1 - i] != '0')
            return false;
    }
    return true;
}

/* "hundred" and the like on a count: its last three digits are multiplied, the rest stays. */
static void multiply_count(struct reader *r, int exponent)
{
    int residual = 0;
    const size_t tail = r->value.len < 3 ? r->value.len : 3;
    for (size_t i = r->value.len - tail; i < r->value.len; i++) {
        residual = residual * 10 + (r->value.data[i] - '0');
        r->value.data[i] = '0';
    }
    if (r->value.len == tail)
        set_count(r, 0);
    add_scaled(&r->value, residual, exponent);
}

/* The value times ten to the power of `exponent`, when it is digits or zero. False, nothing
 * changed, when that is not a whole number.                                                      */
static bool scale_value(struct reader *r, int exponent)
{
    struct au_buf scaled;
    au_buf_init(&scaled, 0);
    const bool whole = scale_number(r->value.data, r->value.len, exponent, &scaled);
    if (whole) {
        clear_value(r);
        au_buf_append(&r->value, scaled.data, scaled.len);
        r->kind = VALUE_COUNT;
    }
    if (scaled.error)
        r->out->error = scaled.error;
    au_buf_deinit(&scaled);
    return whole;
}

/* --- one kind of word each ------------------------------------------------------------------ */

/* "25", "$4.50", perhaps behind a number that is still open. */
static void read_numeral(struct reader *r, const char *text, size_t n_prefix, size_t n)
{
    if (r->kind != VALUE_NONE) {
        if (r->kind == VALUE_DIGITS && r->value.data[r->value.len - 1] == '.') {
            append_digits(r, text, n);
            return;
        }
        emit_value(r, "");
    }
    if (n_prefix > 0) {
        r->prefix = text;
        r->n_prefix = n_prefix;
    }
    append_digits(r, text + n_prefix, n - n_prefix);
    scale_value(r, 0); /* a count when it is whole */
}

/* Join n (one to nineteen) to the open number; the kind of value stays open to more. */
static void join_ones(struct reader *r, const struct word *before, int n)
{
    const bool after_ones = kind_of(before) == WORD_ONES;
    if (r->kind == VALUE_NONE) {
        set_count(r, n);
    } else if (r->kind == VALUE_DIGITS || after_ones) {
        if (kind_of(before) == WORD_TENS && n < 10) /* "...twenty", "one": its zero gives way */
            r->value.data[--r->value.len] = '\0';
        append_number(r, n);
    } else if (count_ends_in_zeros(r, n < 10 ? 1 : 2)) {
        add_scaled(&r->value, n, 0);
    } else {
        append_number(r, n);
    }
}

static void join_tens(struct reader *r, int n)
{
    if (r->kind == VALUE_NONE)
        set_count(r, n);
    else if (count_ends_in_zeros(r, 2))
        add_scaled(&r->value, n, 0);
    else
        append_number(r, n);
}

static void join_multiplier(struct reader *r, int exponent)
{
    if (r->kind == VALUE_COUNT && !count_is_zero(r)) {
        multiply_count(r, exponent);
        return;
    }
    if (r->kind != VALUE_NONE && scale_value(r, exponent))
        return;
    if (r->kind != VALUE_NONE)
        emit_value(r, "");
    set_count(r, 1);
    scale_value(r, exponent);
}

/* A multiplier with an ending; leaves in the value what the ending belongs to. */
static void join_last_multiplier(struct reader *r, int exponent)
{
    if (r->kind == VALUE_COUNT) /* zero included */
        multiply_count(r, exponent);
    else
        join_multiplier(r, exponent);
}

/* "double", "triple"; true when the next word was used up. */
static bool read_repeat(struct reader *r, const struct word *word, const struct word *next)
{
    if (kind_of(next) != WORD_ONES && kind_of(next) != WORD_ZERO) {
        emit_word(r, word);
        return false;
    }
    if (count_is_zero(r))
        clear_value(r);
    for (int i = 0; i < word->known->number; i++)
        append_number(r, next->known->number);
    return true;
}

static void read_point(struct reader *r, const struct word *next)
{
    const enum word_kind kind = kind_of(next);
    const bool decimal = kind == WORD_ONES || kind == WORD_TENS || kind == WORD_ZERO;
    if (!decimal && next->known)
        return; /* the word is lost, as in the original */
    if (count_is_zero(r))
        clear_value(r);
    append_digits(r, ".", 1);
}

/* "and", "double", "triple", "point": they mean something only before a number. True when the
 * next word was used up.                                                                         */
static bool read_special(struct reader *r, const struct word *before, const struct word *word,
                         const struct word *next)
{
    if (!continues_number(next))
        emit_word(r, word);
    else if (kind_of(word) == WORD_REPEAT)
        return read_repeat(r, word, next);
    else if (kind_of(word) == WORD_POINT)
        read_point(r, next);
    else if (kind_of(before) != WORD_MULTIPLIER) /* "hundred and" goes on */
        emit_word(r, word);
    return false;
}

static void read_preceding(struct reader *r, const struct word *word, const struct word *next)
{
    if (r->kind != VALUE_NONE)
        emit_value(r, "");
    if (continues_number(next)) {
        r->prefix = word->known->affix;
        r->n_prefix = strlen(r->prefix);
    } else {
        emit_word(r, word);
    }
}

/* "dollars", "percent" and "per cent", after a number; true when the next word was used up. */
static bool read_unit(struct reader *r, const struct word *word, const struct word *next)
{
    static const char CENT[] = "cent";
    if (r->kind == VALUE_NONE ||
        (kind_of(word) == WORD_PER &&
         (next->n != sizeof CENT - 1 || memcmp(next->text, CENT, 4) != 0))) {
        emit_word(r, word);
        return false;
    }
    if (kind_of(word) == WORD_FOLLOWING) {
        r->prefix = word->known->affix;
        r->n_prefix = strlen(r->prefix);
        emit_value(r, "");
    } else {
        emit_value(r, "%");
    }
    return kind_of(word) == WORD_PER;
}

static size_t currency_or_sign_bytes(const struct word *word)
{
    static const char *const SIGNS[] = {"-", "+", "$", "\xC2\xA3", "\xE2\x82\xAC", "\xC2\xA2"};
    for (size_t i = 0; i < sizeof SIGNS / sizeof SIGNS[0]; i++) {
        const size_t n = strlen(SIGNS[i]);
        if (word->n >= n && memcmp(word->text, SIGNS[i], n) == 0)
            return n;
    }
    return 0;
}

/* One word, between its neighbours; true when the next was used up with it. */
static bool read_word(struct reader *r, const struct word *before, const struct word *word,
                      const struct word *next)
{
    const size_t n_prefix = currency_or_sign_bytes(word);
    if (is_numeral(word->text + n_prefix, word->n - n_prefix)) {
        read_numeral(r, word->text, n_prefix, word->n);
        return false;
    }
    switch (kind_of(word)) {
    case WORD_OTHER: emit_word(r, word); break;
    case WORD_ZERO:
        if (count_is_zero(r))
            clear_value(r);
        append_digits(r, "0", 1);
        break;
    case WORD_ONES: join_ones(r, before, word->known->number); break;
    case WORD_ONES_SUFFIXED:
        join_ones(r, before, word->known->number);
        emit_value(r, word->known->affix);
        break;
    case WORD_TENS: join_tens(r, word->known->number); break;
    case WORD_TENS_SUFFIXED:
        join_tens(r, word->known->number);
        emit_value(r, word->known->affix);
        break;
    case WORD_MULTIPLIER: join_multiplier(r, word->known->number); break;
    case WORD_MULTIPLIER_SUFFIXED:
        join_last_multiplier(r, word->known->number);
        emit_value(r, word->known->affix);
        break;
    case WORD_PRECEDING: read_preceding(r, word, next); break;
    case WORD_FOLLOWING:
    case WORD_PER:
    case WORD_PERCENT: return read_unit(r, word, next);
    case WORD_AND:
    case WORD_REPEAT:
    case WORD_POINT: return read_special(r, before, word, next);
    }
    return false;
}

void text_norm_number_words(const char *text, size_t n, struct au_buf *out)
{
    struct reader r = {.prefix = "", .out = out};
    struct word before = {0}, word = {0}, next = {0};
    const char *bytes;
    size_t n_bytes, at = 0;
    bool skip = false;
    au_buf_init(&r.value, 0);
    if (text_norm_next_word(text, n, &at, &bytes, &n_bytes))
        word = make_word(bytes, n_bytes);
    while (word.text && !r.value.error && !out->error) {
        next = (struct word){0};
        if (text_norm_next_word(text, n, &at, &bytes, &n_bytes))
            next = make_word(bytes, n_bytes);
        skip = !skip && read_word(&r, &before, &word, &next);
        before = word;
        word = next;
    }
    if (r.kind != VALUE_NONE)
        emit_value(&r, "");
    if (r.value.error)
        out->error = r.value.error;
    au_buf_deinit(&r.value);
}
