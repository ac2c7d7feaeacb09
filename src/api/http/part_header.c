/* Headers of a form's parts, as the world writes them.
 *
 * Names and file names come in quoted strings with backslashes before quotes (RFC 2616's way) or
 * with %22 for them (browsers: https://html.spec.whatwg.org/#multipart-form-data), in filename*
 * with a charset (RFC 5987), or as encoded words (RFC 2047). Charsets are UTF-8 and Latin-1. Bytes
 * of a file name that are no UTF-8 become U+FFFD: a name shall not fail an upload.              */
#include <string.h>

#include "api/http/part_header.h"
#include "base/str.h"
#include "base/utf8.h"

#define MAX_CHARSET 40  /* characters of an encoded word's charset, */
#define MAX_WORD    256 /* and of its text; RFC 2047 has 75 for all of it */

static const char token[] = "!#$%&'*+-.^_`|~0123456789"
                            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/* ---- Parameters ------------------------------------------------------------------------------ */

/* Writes a quoted string without its quotes; returns what follows it, NULL where it does not
 * end. */
static const char *unquote(const char *at, char *out)
{
    at++;
    while (*at && *at != '"') {
        if (*at == '\\' && (at[1] == '"' || at[1] == '\\'))
            at++;
        *out++ = *at++;
    }
    *out = '\0';
    return *at ? at + 1 : NULL;
}

/* Reads "; name=value" at *at. The name lies in the text; the value, unquoted, is written to value
 * (as long as the rest at most). False at the end, and for what is no parameter (*at NULL).     */
static bool next_param(const char **at, const char **name, size_t *n_name, char *value)
{
    const char *c = *at + strspn(*at, " \t;");
    size_t n;
    if (!*c)
        return false;
    *name = c;
    *n_name = strspn(c, token);
    c += *n_name;
    c += strspn(c, " \t");
    *at = NULL;
    if (*c != '=' || !*n_name)
        return false;
    c++;
    c += strspn(c, " \t");
    if (*c == '"') {
        c = unquote(c, value);
        if (!c)
            return false;
    } else {
        n = strcspn(c, ";"); /* some send names with spaces unquoted */
        memcpy(value, c, n);
        c += n;
        while (n && (value[n - 1] == ' ' || value[n - 1] == '\t'))
            n--;
        value[n] = '\0';
    }
    *at = c;
    return true;
}

static bool is(const char *name, size_t n, const char *wanted)
{
    return strlen(wanted) == n && strncasecmp(name, wanted, n) == 0;
}

/* ---- Charsets -------------------------------------------------------------------------------- */

static char *put(char *out, uint32_t code_point)
{
    char bytes[4];
    size_t n = au_utf8_encode(code_point < 0x20 || code_point == 0x7f ? '_' : code_point, bytes);
    memcpy(out, bytes, n);
    return out + n;
}

/* Copies n bytes of the charset as UTF-8. Latin-1 needs up to 2 bytes for one, U+FFFD 3. */
static char *put_text(char *out, const char *text, size_t n, bool latin)
{
    for (size_t i = 0; i < n;) {
        uint32_t code_point = (unsigned char)text[i];
        i += latin ? 1 : au_utf8_decode(text + i, n - i, &code_point);
        out = put(out, code_point);
    }
    *out = '\0';
    return out;
}

static bool known_charset(const char *name, size_t n, bool *latin)
{
    *latin = is(name, n, "iso-8859-1") || is(name, n, "us-ascii") || is(name, n, "windows-1252");
    return *latin || is(name, n, "utf-8");
}

static int hex_digit(char c)
{
    const char *digits = "0123456789abcdef", *at;
    at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* Decodes in place after an escape character, '%' or '='; '_' is a space where asked for. */
static size_t decode_hex(char *text, size_t n, char escape, bool underscores)
{
    char *out = text;
    for (size_t i = 0; i < n; i++) {
        int high = i + 2 < n && text[i] == escape ? hex_digit(text[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
        if (low >= 0) {
            *out++ = (char)(high * 16 + low);
            i += 2;
        } else {
            *out++ = underscores && text[i] == '_' ? ' ' : text[i];
        }
    }
    return (size_t)(out - text);
}

static size_t decode_base64(char *text, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = 0;
    int n_bits = 0;
    char *out = text;
    for (size_t i = 0; i < n; i++) {
        const char *at = text[i] ? strchr(digits, text[i]) : NULL;
        if (!at)
            continue;
        bits = bits << 6 | (uint32_t)(at - digits);
        n_bits += 6;
        if (n_bits >= 8)
            *out++ = (char)(bits >> (n_bits -= 8) & 0xff);
    }
    return (size_t)(out - text);
}

/* filename*=charset'language'percent-encoded. False for a charset that is not known. */
static bool decode_extended(char *value, char *out)
{
    char *first = strchr(value, '\''), *second = first ? strchr(first + 1, '\'') : NULL;
    bool latin;
    size_t n;
    if (!second || !known_charset(value, (size_t)(first - value), &latin))
        return false;
    second++;
    n = decode_hex(second, strlen(second), '%', false);
    put_text(out, second, n, latin);
    return true;
}

/* "=?charset?B?...?=" at *at, which is moved behind it. The limits keep hostile names linear. */
static bool decode_word(char **at, char *end, char **out)
{
    char *charset = *at + 2, *method, *text, *close;
    bool latin;
    size_t n, left = (size_t)(end - *at);
    if (left < 8 || (*at)[0] != '=' || (*at)[1] != '?')
        return false;
    method = memchr(charset, '?', left - 2 < MAX_CHARSET ? left - 2 : MAX_CHARSET);
    if (!method || !method[1] || method[2] != '?' ||
        !known_charset(charset, (size_t)(method - charset), &latin))
        return false;
    text = method + 3;
    left = (size_t)(end - text);
    close = memmem(text, left < MAX_WORD ? left : MAX_WORD, "?=", 2);
    if (!close)
        return false;
    n = (size_t)(close - text);
    if (method[1] == 'B' || method[1] == 'b')
        n = decode_base64(text, n);
    else if (method[1] == 'Q' || method[1] == 'q')
        n = decode_hex(text, n, '=', true);
    else
        return false;
    *out = put_text(*out, text, n, latin);
    *at = close + 2;
    return true;
}

/* A plain value: encoded words, %22 and UTF-8. */
static void decode_plain(char *value, char *out)
{
    char *end = value + strlen(value);
    bool after_word = false;
    while (value < end) {
        char *space = value + strspn(value, after_word ? " \t" : "");
        if (after_word && end - space > 1 && space[0] == '=' && space[1] == '?')
            value = space; /* the space between two encoded words is none of the text */
        after_word = decode_word(&value, end, &out);
        if (after_word)
            continue;
        if (end - value >= 3 && memcmp(value, "%22", 3) == 0) {
            *out++ = '"';
            value += 3;
        } else {
            uint32_t code_point;
            value += au_utf8_decode(value, (size_t)(end - value), &code_point);
            out = put(out, code_point);
        }
    }
    *out = '\0';
}

/* ---- Headers --------------------------------------------------------------------------------- */

/* Where the texts of a part are written. */
struct texts {
    char *next;
    char *scratch; /* a parameter's value */
    bool has_name, extended;
};

/* Without the folders of the client's machine. */
static const char *last_segment(const char *path)
{
    for (const char *c = path; *c; c++)
        if ((*c == '/' || *c == '\\') && c[1])
            path = c + 1;
    return path;
}

static void take_param(struct texts *texts, const char *name, size_t n_name,
                       struct http_multipart_part *out)
{
    char *text = texts->next;
    if (is(name, n_name, "name") && !texts->has_name) {
        decode_plain(texts->scratch, text);
        out->name = text;
        texts->has_name = true;
    } else if (is(name, n_name, "filename*") && !texts->extended) {
        if (!decode_extended(texts->scratch, text))
            return;
        out->filename = last_segment(text);
        texts->extended = true;
    } else if (is(name, n_name, "filename") && !out->filename) {
        decode_plain(texts->scratch, text);
        out->filename = last_segment(text);
    } else {
        return;
    }
    texts->next += strlen(text) + 1;
}

static enum auricle_error take_disposition(const char *value, struct texts *texts,
                                           struct http_multipart_part *out, struct au_fault *fault)
{
    const char *name;
    size_t n_name, n = strcspn(value, "; \t");
    if (!is(value, n, "form-data"))
        return au_fail(fault, AURICLE_E_FORMAT,
                       "a part of the form has the Content-Disposition '%.*s', not 'form-data'",
                       (int)(n < 100 ? n : 100), value);
    for (value += n; next_param(&value, &name, &n_name, texts->scratch);)
        take_param(texts, name, n_name, out);
    if (!value)
        return au_fail(fault, AURICLE_E_FORMAT,
                       "the Content-Disposition of a part of the form cannot be read");
    return AURICLE_OK;
}

static void take_type(const char *value, struct texts *texts, struct http_multipart_part *out)
{
    size_t n = strcspn(value, "; \t");
    char *text = texts->next;
    for (size_t i = 0; i < n; i++) {
        char c = value[i];
        if ((unsigned char)c >= 0x7f)
            return;
        text[i] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
    }
    text[n] = '\0';
    if (n == 0)
        return;
    out->content_type = text;
    texts->next += n + 1;
}

/* Cuts off the next line, with the lines that continue it. */
static char *next_line(char **at)
{
    char *line = *at, *lf = strchr(line, '\n');
    if (!lf)
        return NULL;
    while (lf[1] == ' ' || lf[1] == '\t') {
        *lf = ' ';
        if (lf > line && lf[-1] == '\r')
            lf[-1] = ' ';
        lf = strchr(lf + 1, '\n');
        if (!lf)
            return NULL;
    }
    *at = lf + 1;
    *lf = '\0';
    if (lf > line && lf[-1] == '\r')
        lf[-1] = '\0';
    return line;
}

static bool has_controls(const char *line)
{
    for (; *line; line++)
        if (((unsigned char)*line < 0x20 && *line != '\t') || *line == 0x7f)
            return true;
    return false;
}

enum auricle_error http_part_header_parse(char *header, size_t n, char *text,
                                          struct http_multipart_part *out, struct au_fault *fault)
{
    struct texts texts = {.scratch = text, .next = text + n + 1};
    char *line;
    memset(out, 0, sizeof *out);
    if (memchr(header, '\0', n))
        return au_fail(fault, AURICLE_E_FORMAT, "a header in the form holds a zero byte");
    while ((line = next_line(&header)) && *line) {
        size_t n_name = strspn(line, token);
        const char *value = line + n_name + 1;
        if (n_name == 0 || line[n_name] != ':' || has_controls(line))
            return au_fail(fault, AURICLE_E_FORMAT, "a part of the form has a broken header");
        value += strspn(value, " \t");
        if (is(line, n_name, "content-disposition")) {
            enum auricle_error error = take_disposition(value, &texts, out, fault);
            if (error)
                return error;
        } else if (is(line, n_name, "content-type")) {
            out->content_type = NULL;
            take_type(value, &texts, out);
        }
    }
    if (!texts.has_name)
        return au_fail(fault, AURICLE_E_FORMAT,
                       "a part of the form has no Content-Disposition with a name");
    return AURICLE_OK;
}

enum auricle_error http_part_boundary(const char *content_type, char out[HTTP_BOUNDARY_BYTES + 1],
                                      struct au_fault *fault)
{
    static const char allowed[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "'()+_,-./:=? ";
    char value[512];
    const char *name, *at = content_type ? content_type : "";
    size_t n_name, n = strcspn(at, "; \t");
    if (!is(at, n, "multipart/form-data"))
        return au_fail(fault, AURICLE_E_INVALID,
                       "the Content-Type is '%.100s', not 'multipart/form-data'", at);
    if (strlen(at) >= sizeof value)
        return au_fail(fault, AURICLE_E_INVALID, "the Content-Type is too long");
    for (at += n; next_param(&at, &name, &n_name, value);) {
        size_t length = strlen(value);
        if (!is(name, n_name, "boundary"))
            continue;
        if (length < 1 || length > HTTP_BOUNDARY_BYTES || value[strspn(value, allowed)] ||
            value[length - 1] == ' ')
            return au_fail(fault, AURICLE_E_INVALID,
                           "the boundary of a form is 1 to 70 letters, digits and '()+_,-./:=?");
        memcpy(out, value, length + 1);
        return AURICLE_OK;
    }
    return au_fail(fault, AURICLE_E_INVALID,
                   "the Content-Type 'multipart/form-data' has no boundary");
}
