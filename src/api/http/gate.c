/* The grammar of a request's header (RFC 9112, sections 3 and 5), strictly: no folded lines, no
 * blanks before a colon, no control characters. See gate.h.                                      */
#include <stdbool.h>
#include <string.h>

#include "api/http/gate.h"
#include "base/str.h"

#define MAX_LINES         200
#define MAX_METHOD        32
#define MAX_LENGTH_DIGITS 18

struct refusal {
    int status; /* 0: none */
    const char *sentence;
};

static const struct refusal fine = {0, NULL};

static bool is_token(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_control(char c)
{
    return ((unsigned char)c < 0x20 && c != '\t') || c == 0x7f;
}

static size_t token_length(const char *text, size_t n)
{
    size_t i = 0;
    while (i < n && is_token(text[i]))
        i++;
    return i;
}

static bool has_controls(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (is_control(text[i]))
            return true;
    return false;
}

/* "GET /path HTTP/1.1" */
static struct refusal check_request_line(const char *line, size_t n)
{
    static const struct refusal broken = {
        400, "The first line is not a request such as 'GET /path HTTP/1.1'."};
    size_t n_method = token_length(line, n);
    const char *target = line + n_method + 1, *space;
    if (n_method < 1 || n_method > MAX_METHOD || n_method + 1 >= n || line[n_method] != ' ')
        return broken;
    space = memchr(target, ' ', n - n_method - 1);
    if (!space || space == target || has_controls(target, (size_t)(space - target)))
        return broken;
    n -= (size_t)(space + 1 - line);
    if (n != 8 || memcmp(space + 1, "HTTP/", 5) != 0 || space[7] != '.')
        return broken;
    if (space[6] != '1' || (space[8] != '0' && space[8] != '1'))
        return (struct refusal){505, "HTTP/1.0 and HTTP/1.1 are spoken here."};
    return fine;
}

/* "Name: value" */
static struct refusal check_field(const char *line, size_t n)
{
    static const char length[] = "content-length";
    size_t n_name = token_length(line, n), digits = 0;
    const char *value = line + n_name + 1;
    if (n_name == 0 || n_name == n || line[n_name] != ':' || has_controls(value, n - n_name - 1))
        return (struct refusal){400, "The request has a broken line in its header."};
    if (n_name != sizeof(length) - 1 || strncasecmp(line, length, n_name) != 0)
        return fine;
    n -= n_name + 1;
    for (; n && (*value == ' ' || *value == '\t'); n--)
        value++;
    for (; n && (value[n - 1] == ' ' || value[n - 1] == '\t');)
        n--;
    while (digits < n && value[digits] >= '0' && value[digits] <= '9')
        digits++;
    if (digits == 0 || digits != n)
        return (struct refusal){400, "The Content-Length of the request is not a number."};
    if (digits > MAX_LENGTH_DIGITS)
        return (struct refusal){413, "The Content-Length of the request is out of all bounds."};
    return fine;
}

static enum http_gate refuse(struct refusal why, int *status, const char **sentence)
{
    *status = why.status;
    *sentence = why.sentence;
    return HTTP_GATE_REFUSE;
}

/* Of a line that has not ended: can it still become one? Noise need not be waited for. */
static enum http_gate look_at_rest(const char *line, size_t n, bool first, int *status,
                                   const char **sentence)
{
    static const struct refusal noise = {400, "This is not HTTP."};
    if (n && line[n - 1] == '\r')
        n--;
    if (has_controls(line, n) || (first && n && token_length(line, n) == 0) ||
        (first && token_length(line, n) > MAX_METHOD))
        return refuse(noise, status, sentence);
    return HTTP_GATE_WAIT;
}

enum http_gate http_gate_look(const char *header, size_t n, size_t max_bytes, int *status,
                              const char **sentence)
{
    static const struct refusal large = {431, "The header of the request is too large."};
    static const struct refusal long_target = {414, "The target of the request is too long."};
    size_t limit = n < max_bytes ? n : max_bytes, at = 0, lines = 0;
    while (at < limit && (header[at] == '\r' || header[at] == '\n'))
        at++; /* empty lines before a request are skipped */
    for (;;) {
        const char *line = header + at, *lf = memchr(line, '\n', limit - at);
        size_t length = lf ? (size_t)(lf - line) : limit - at;
        struct refusal why;
        if (!lf && n >= max_bytes)
            return refuse(lines ? large : long_target, status, sentence);
        if (!lf)
            return look_at_rest(line, length, lines == 0, status, sentence);
        at += length + 1;
        length -= length > 0 && line[length - 1] == '\r';
        if (length == 0 && lines)
            return HTTP_GATE_PASS;
        why = lines ? check_field(line, length) : check_request_line(line, length);
        if (!why.status && lines++ == MAX_LINES)
            why = large;
        if (why.status)
            return refuse(why, status, sentence);
    }
}
