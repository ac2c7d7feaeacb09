/* Text helpers and strict parsers. See str.h. */
#include "base/str.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool au_str_equal(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool equal_nocase_n(const char *a, const char *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (lower(a[i]) != lower(b[i]))
            return false;
    }
    return true;
}

bool au_str_equal_nocase(const char *a, const char *b)
{
    if (!a || !b)
        return a == b;
    size_t n = strlen(a);
    return n == strlen(b) && equal_nocase_n(a, b, n);
}

bool au_str_starts(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool au_str_starts_nocase(const char *text, const char *prefix)
{
    size_t n = strlen(prefix);
    return strnlen(text, n) == n && equal_nocase_n(text, prefix, n);
}

bool au_str_ends(const char *text, const char *suffix)
{
    size_t n = strlen(text), m = strlen(suffix);
    return m <= n && memcmp(text + n - m, suffix, m) == 0;
}

bool au_str_ends_nocase(const char *text, const char *suffix)
{
    size_t n = strlen(text), m = strlen(suffix);
    return m <= n && equal_nocase_n(text + n - m, suffix, m);
}

size_t au_str_copy(char *out, size_t out_bytes, const char *text)
{
    if (out_bytes == 0)
        return 0;
    size_t n = strnlen(text, out_bytes);
    if (n == out_bytes)
        n = au_utf8_complete_prefix(text, out_bytes - 1);
    memcpy(out, text, n);
    out[n] = '\0';
    return n;
}

/* Decimal digits from text up to the first other character; false on none or overflow. */
static bool parse_digits(const char *text, uint64_t *out, const char **end)
{
    uint64_t value = 0;
    const char *p = text;
    for (; is_digit(*p); p++) {
        if (__builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
            return false;
    }
    *out = value;
    *end = p;
    return p != text;
}

bool au_parse_u64(const char *text, uint64_t *out)
{
    uint64_t value;
    const char *end;
    if (!text || !parse_digits(text, &value, &end) || *end)
        return false;
    *out = value;
    return true;
}

bool au_parse_i64(const char *text, int64_t *out)
{
    if (!text)
        return false;
    bool negative = *text == '-';
    uint64_t magnitude;
    if (!au_parse_u64(text + (*text == '-' || *text == '+'), &magnitude))
        return false;
    if (magnitude > (uint64_t)INT64_MAX + (negative ? 1 : 0))
        return false;
    *out = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return true;
}

/* Length of a decimal number at text (sign, digits, fraction, exponent); 0 when there is none. */
static size_t decimal_length(const char *text)
{
    const char *p = text;
    size_t n_digits = 0;
    if (*p == '+' || *p == '-')
        p++;
    for (; is_digit(*p); p++)
        n_digits++;
    if (*p == '.') {
        for (p++; is_digit(*p); p++)
            n_digits++;
    }
    if (n_digits == 0)
        return 0;
    if (*p == 'e' || *p == 'E') {
        const char *q = p + 1;
        if (*q == '+' || *q == '-')
            q++;
        if (is_digit(*q)) {
            while (is_digit(*q))
                q++;
            p = q;
        }
    }
    return (size_t)(p - text);
}

/* The grammar is checked above, so strtod sees plain decimals only; strtod_l with the C locale
 * keeps the decimal point a point in every host program (the C locale object is static: no
 * allocation). */
static bool parse_decimal(const char *text, double *out, const char **end)
{
    size_t n = decimal_length(text);
    if (n == 0)
        return false;
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!c_locale)
        return false;
    char *stop;
    double value = strtod_l(text, &stop, c_locale);
    freelocale(c_locale);
    if (stop != text + n || !isfinite(value))
        return false;
    *out = value;
    *end = stop;
    return true;
}

bool au_parse_double(const char *text, double *out)
{
    double value;
    const char *end;
    if (!text || !parse_decimal(text, &value, &end) || *end)
        return false;
    *out = value;
    return true;
}

bool au_parse_bool(const char *text, bool *out)
{
    static const char *const yes[] = {"true", "1", "yes", "on"};
    static const char *const no[] = {"false", "0", "no", "off"};
    for (size_t i = 0; text && i < 4; i++) {
        if (au_str_equal_nocase(text, yes[i])) {
            *out = true;
            return true;
        }
        if (au_str_equal_nocase(text, no[i])) {
            *out = false;
            return true;
        }
    }
    return false;
}

bool au_parse_bytes(const char *text, uint64_t *out)
{
    static const struct {
        const char *suffix;
        uint64_t scale;
    } units[] = {
        {"", 1},
        {"B", 1},
        {"K", 1000},
        {"KB", 1000},
        {"KiB", 1ull << 10},
        {"M", 1000000},
        {"MB", 1000000},
        {"MiB", 1ull << 20},
        {"G", 1000000000},
        {"GB", 1000000000},
        {"GiB", 1ull << 30},
        {"T", 1000000000000},
        {"TB", 1000000000000},
        {"TiB", 1ull << 40},
    };
    uint64_t value;
    const char *end;
    if (!text || !parse_digits(text, &value, &end))
        return false;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (au_str_equal_nocase(end, units[i].suffix))
            return !__builtin_mul_overflow(value, units[i].scale, out);
    }
    return false;
}

/* "[[hours:]minutes:]seconds[.fraction]"; minutes and seconds below 60 after the first colon. */
static bool parse_clock(const char *text, double *out)
{
    double total = 0;
    for (int n_colons = 0; n_colons <= 2; n_colons++) {
        uint64_t field;
        const char *end;
        if (strchr(text, ':')) {
            if (!parse_digits(text, &field, &end) || *end != ':' || (n_colons && field > 59))
                return false;
            total = (total + (double)field) * 60;
            text = end + 1;
            continue;
        }
        double seconds;
        if (!is_digit(*text) || !au_parse_double(text, &seconds) || (n_colons && seconds >= 60))
            return false;
        *out = total + seconds;
        return true;
    }
    return false; /* three colons or more */
}

bool au_parse_seconds(const char *text, double *out)
{
    static const struct {
        const char *suffix;
        double scale;
    } units[] = {{"", 1},     {"s", 1},    {"ms", 1e-3}, {"m", 60},
                 {"min", 60}, {"h", 3600}, {"d", 86400}};
    double value;
    const char *end;
    if (!text)
        return false;
    if (strchr(text, ':'))
        return parse_clock(text, out);
    if (!parse_decimal(text, &value, &end) || value < 0)
        return false;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (au_str_equal(end, units[i].suffix) && isfinite(value * units[i].scale)) {
            *out = value * units[i].scale;
            return true;
        }
    }
    return false;
}
