/* The JSON walker. No recursion: skipping counts brackets, so depth costs nothing. */
#include "text/json_scan.h"

#include <string.h>

#include "base/utf8.h"

enum { MAX_STRING_BYTES = 64 << 20 };

static bool fail(struct text_json_scan *scan)
{
    if (!scan->error)
        scan->error = AURICLE_E_FORMAT;
    return false;
}

void text_json_scan_init(struct text_json_scan *scan, const char *text, size_t n)
{
    *scan = (struct text_json_scan){.begin = text, .at = text, .end = text + n};
    au_buf_init(&scan->string, MAX_STRING_BYTES);
    if (!au_utf8_valid(text, n))
        fail(scan);
}

void text_json_scan_deinit(struct text_json_scan *scan)
{
    au_buf_deinit(&scan->string);
}

/* The next character that is no white space, not consumed; 0 at the end and after an error. */
static char next_char(struct text_json_scan *scan)
{
    if (scan->error)
        return 0;
    while (scan->at < scan->end &&
           (*scan->at == ' ' || *scan->at == '\n' || *scan->at == '\r' || *scan->at == '\t'))
        scan->at++;
    return scan->at < scan->end ? *scan->at : 0;
}

static bool take(struct text_json_scan *scan, char c)
{
    if (next_char(scan) != c)
        return fail(scan);
    scan->at++;
    return true;
}

char text_json_peek(struct text_json_scan *scan)
{
    const char c = next_char(scan);
    return c && strchr("{[\"-0123456789tfn", c) ? c : 0;
}

bool text_json_enter(struct text_json_scan *scan, char bracket)
{
    scan->fresh = take(scan, bracket);
    return scan->fresh;
}

/* Past the comma before the next item; false at the closing bracket, which is consumed. */
static bool next(struct text_json_scan *scan, char bracket)
{
    const bool fresh = scan->fresh;
    scan->fresh = false;
    if (next_char(scan) == bracket) {
        scan->at++;
        return false;
    }
    return !scan->error && (fresh || take(scan, ','));
}

bool text_json_next_key(struct text_json_scan *scan)
{
    return next(scan, '}') && text_json_string(scan) && take(scan, ':');
}

bool text_json_next_item(struct text_json_scan *scan)
{
    return next(scan, ']') && (text_json_peek(scan) != 0 || fail(scan));
}

/* --- strings -------------------------------------------------------------------------------- */

/* Four hexadecimal digits; -1 when they are none. */
static int32_t take_hex(struct text_json_scan *scan)
{
    int32_t value = 0;
    if (scan->end - scan->at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        const char c = *scan->at++;
        const int digit = c >= '0' && c <= '9'   ? c - '0'
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                 : -1;
        if (digit < 0)
            return -1;
        value = value << 4 | digit;
    }
    return value;
}

/* What follows "\u": a character, or the first half of one and "\u" with the second. Zero is
 * refused, as by base/json.h: strings are zero terminated.                                       */
static bool take_code_point(struct text_json_scan *scan)
{
    char bytes[4];
    int32_t c = take_hex(scan);
    if (c >= 0xD800 && c < 0xDC00) {
        if (scan->end - scan->at < 2 || scan->at[0] != '\\' || scan->at[1] != 'u')
            return fail(scan);
        scan->at += 2;
        const int32_t low = take_hex(scan);
        c = low >= 0xDC00 && low < 0xE000 ? 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00) : -1;
    }
    if (c <= 0 || (c >= 0xDC00 && c < 0xE000))
        return fail(scan);
    au_buf_append(&scan->string, bytes, au_utf8_encode((uint32_t)c, bytes));
    return true;
}

/* One escape, after its backslash. */
static bool take_escape(struct text_json_scan *scan)
{
    static const char LETTERS[] = "\"\\/bfnrt", MEANINGS[] = "\"\\/\b\f\n\r\t";
    if (scan->at == scan->end)
        return fail(scan);
    const char c = *scan->at++;
    if (c == 'u')
        return take_code_point(scan);
    const char *letter = c ? strchr(LETTERS, c) : NULL;
    if (!letter)
        return fail(scan);
    au_buf_putc(&scan->string, MEANINGS[letter - LETTERS]);
    return true;
}

bool text_json_string(struct text_json_scan *scan)
{
    if (!take(scan, '"'))
        return false;
    au_buf_clear(&scan->string);
    for (;;) {
        const char *plain = scan->at;
        while (scan->at < scan->end && *scan->at != '"' && *scan->at != '\\' &&
               (unsigned char)*scan->at >= 0x20)
            scan->at++;
        au_buf_append(&scan->string, plain, (size_t)(scan->at - plain));
        if (scan->at == scan->end)
            return fail(scan);
        const char c = *scan->at++;
        if (c == '"')
            break;
        if (c != '\\' || !take_escape(scan))
            return fail(scan);
    }
    if (scan->string.error)
        scan->error = scan->string.error;
    return !scan->error;
}

/* --- other values --------------------------------------------------------------------------- */

/* Past a string whose content does not matter, from its opening quote on. */
static bool skip_string(struct text_json_scan *scan)
{
    for (scan->at++; scan->at < scan->end; scan->at++) {
        if (*scan->at == '\\')
            scan->at++;
        else if (*scan->at == '"')
            break;
    }
    if (scan->at >= scan->end) {
        scan->at = scan->end;
        return fail(scan);
    }
    scan->at++;
    return true;
}

/* Past a number or a word. */
static void skip_scalar(struct text_json_scan *scan)
{
    while (scan->at < scan->end && !strchr(",]} \n\r\t", *scan->at))
        scan->at++;
}

bool text_json_skip(struct text_json_scan *scan)
{
    size_t depth = 0;
    scan->fresh = false;
    do {
        const char c = next_char(scan);
        if (c == '"') {
            if (!skip_string(scan))
                return false;
        } else if (c == '{' || c == '[') {
            depth++;
            scan->at++;
        } else if (depth > 0 && (c == '}' || c == ']')) {
            depth--;
            scan->at++;
        } else if (depth > 0 && (c == ',' || c == ':')) {
            scan->at++;
        } else if (text_json_peek(scan)) {
            skip_scalar(scan);
        } else {
            return fail(scan);
        }
    } while (depth > 0);
    return true;
}

int64_t text_json_integer(struct text_json_scan *scan, int64_t fallback)
{
    const char first = text_json_peek(scan);
    const char *at = scan->at;
    int64_t value = 0;
    if (!text_json_skip(scan))
        return fallback;
    const bool negative = first == '-';
    at += negative;
    if (at == scan->at || scan->at - at > 18)
        return fallback;
    for (; at < scan->at; at++) {
        if (*at < '0' || *at > '9')
            return fallback;
        value = value * 10 + (*at - '0');
    }
    return negative ? -value : value;
}

enum auricle_error text_json_scan_result(struct text_json_scan *scan, struct au_fault *fault)
{
    size_t line = 1, column = 1;
    if (!scan->error && next_char(scan) == 0 && scan->at == scan->end)
        return AURICLE_OK;
    if (scan->error && scan->error != AURICLE_E_FORMAT)
        return au_fail(fault, scan->error, "a string does not fit into memory");
    for (const char *at = scan->begin; at < scan->at; at++) {
        column = *at == '\n' ? 1 : column + 1;
        line += *at == '\n';
    }
    return au_fail(fault, AURICLE_E_FORMAT, "not valid JSON near line %zu, column %zu", line,
                   column);
}
