/* The multipart parser: finds boundaries and cuts parts; their headers are read by part_header.c.
 *
 * A delimiter is a line end, "--" and the boundary. The line end may be CRLF or LF and belongs to
 * the delimiter. Only its first byte can be a line feed, so a failed match never hides the begin of
 * another: the scan looks for line feeds and compares what follows. What has matched when a piece
 * ends is not copied but counted, since it equals the pattern.                                   */
#include <string.h>

#include "api/http/multipart.h"
#include "api/http/part_header.h"
#include "base/mem.h"
#include "base/str.h"

#define DEFAULT_PARTS        64
#define DEFAULT_HEADER_BYTES 8192

enum state {
    SCAN,           /* for a delimiter: in the preamble or in a part's data */
    AFTER_BOUNDARY, /* its line's end, or the "--" of the last one */
    AFTER_DASH,
    AFTER_CR,
    HEADER,
    EPILOGUE
};

struct http_multipart {
    struct http_multipart_sink sink;
    struct http_multipart_limits limits;
    enum state state;
    bool in_part, padded;
    char pattern[HTTP_BOUNDARY_BYTES + 4]; /* "\n--boundary" */
    size_t n_pattern;
    size_t matched; /* bytes of the pattern that ended the last piece */
    bool has_cr;    /* and a carriage return before them */
    char *header;   /* of the part to come */
    size_t n_header, line;
    char *text; /* decoded from it */
    size_t n_parts;
    struct au_fault fault; /* of the error that ended the parse */
};

static void fail(struct http_multipart *p, enum auricle_error code, const char *sentence)
{
    (void)au_fail(&p->fault, code, "%s", sentence);
}

/* A sink's error ends the parse; its sentence is kept. */
static void end_with(struct http_multipart *p, enum auricle_error code)
{
    if (code && p->fault.code != code)
        fail(p, code, "the upload was refused");
}

static void emit(struct http_multipart *p, const void *data, size_t n)
{
    if (n && p->in_part && !p->fault.code && p->sink.data)
        end_with(p, p->sink.data(p->sink.context, data, n, &p->fault));
}

static void found_boundary(struct http_multipart *p)
{
    p->matched = 0;
    p->has_cr = p->padded = false;
    p->state = AFTER_BOUNDARY;
    if (p->in_part && !p->fault.code && p->sink.part_end)
        end_with(p, p->sink.part_end(p->sink.context, &p->fault));
    p->in_part = false;
}

/* Goes on with a match that began in an earlier piece. Returns the bytes used. */
static size_t resume_match(struct http_multipart *p, const uint8_t *data, size_t n)
{
    size_t i = 0;
    while (i < n && p->matched < p->n_pattern && data[i] == (uint8_t)p->pattern[p->matched])
        i++, p->matched++;
    if (p->matched == p->n_pattern) {
        found_boundary(p);
    } else if (i < n) { /* it was data */
        emit(p, "\r", p->has_cr);
        emit(p, p->pattern, p->matched);
        p->has_cr = false;
        p->matched = 0;
    }
    return i;
}

static size_t scan(struct http_multipart *p, const uint8_t *data, size_t n)
{
    size_t at = 0, k, cut;
    if (p->matched || p->has_cr)
        return resume_match(p, data, n);
    for (size_t i = 0;; i = at + 1) {
        const uint8_t *lf = memchr(data + i, '\n', n - i);
        if (!lf) {
            p->has_cr = data[n - 1] == '\r';
            emit(p, data, n - p->has_cr);
            return n;
        }
        at = (size_t)(lf - data);
        cut = at > 0 && data[at - 1] == '\r' ? at - 1 : at;
        k = 1;
        while (k < p->n_pattern && at + k < n && data[at + k] == (uint8_t)p->pattern[k])
            k++;
        if (k == p->n_pattern) {
            emit(p, data, cut);
            found_boundary(p);
            return at + k;
        }
        if (at + k == n) {
            emit(p, data, cut);
            p->has_cr = cut < at;
            p->matched = k;
            return n;
        }
    }
}

static void after_boundary(struct http_multipart *p, uint8_t c)
{
    if (p->state == AFTER_DASH && c == '-')
        p->state = EPILOGUE;
    else if (p->state == AFTER_BOUNDARY && c == '-' && !p->padded)
        p->state = AFTER_DASH;
    else if (p->state == AFTER_BOUNDARY && (c == ' ' || c == '\t'))
        p->padded = true;
    else if (p->state == AFTER_BOUNDARY && c == '\r')
        p->state = AFTER_CR;
    else if (p->state != AFTER_DASH && c == '\n') {
        p->state = HEADER;
        p->n_header = p->line = 0;
        if (p->n_parts == p->limits.max_parts)
            (void)au_fail(&p->fault, AURICLE_E_LIMIT, "the form has more than %zu parts",
                          p->limits.max_parts);
    } else {
        fail(p, AURICLE_E_FORMAT,
             "a boundary of the form is followed by neither a line end nor '--'");
    }
}

static void begin_part(struct http_multipart *p)
{
    struct http_multipart_part part;
    p->header[p->n_header] = '\0';
    if (http_part_header_parse(p->header, p->n_header, p->text, &part, &p->fault))
        return;
    part.index = p->n_parts++;
    p->state = SCAN;
    p->in_part = true;
    if (p->sink.part)
        end_with(p, p->sink.part(p->sink.context, &part, &p->fault));
}

/* Collects lines until an empty one. */
static size_t take_header(struct http_multipart *p, const uint8_t *data, size_t n)
{
    const uint8_t *lf = memchr(data, '\n', n);
    size_t used = lf ? (size_t)(lf - data) + 1 : n, length;
    if (used > p->limits.max_header_bytes - p->n_header) {
        (void)au_fail(&p->fault, AURICLE_E_LIMIT,
                      "the header of a part of the form has more than %zu bytes",
                      p->limits.max_header_bytes);
        return used;
    }
    memcpy(p->header + p->n_header, data, used);
    p->n_header += used;
    if (!lf)
        return used;
    length = p->n_header - p->line - 1;
    if (length == 0 || (length == 1 && p->header[p->line] == '\r'))
        begin_part(p);
    p->line = p->n_header;
    return used;
}

enum auricle_error http_multipart_feed(struct http_multipart *p, const uint8_t *data, size_t n,
                                       struct au_fault *fault)
{
    while (n && !p->fault.code) {
        size_t used = n;
        if (p->state == SCAN)
            used = scan(p, data, n);
        else if (p->state == HEADER)
            used = take_header(p, data, n);
        else if (p->state != EPILOGUE)
            after_boundary(p, *data), used = 1;
        data += used;
        n -= used;
    }
    return p->fault.code ? au_fail(fault, p->fault.code, "%s", p->fault.text) : AURICLE_OK;
}

enum auricle_error http_multipart_finish(struct http_multipart *p, struct au_fault *fault)
{
    if (!p->fault.code && p->state != EPILOGUE)
        (void)au_fail(&p->fault, AURICLE_E_FORMAT,
                      p->n_parts || p->state != SCAN
                          ? "the form ends before its last boundary, '%s--'"
                          : "the boundary of the form, '%s', is not in its body",
                      p->pattern + 1);
    return p->fault.code ? au_fail(fault, p->fault.code, "%s", p->fault.text) : AURICLE_OK;
}

enum auricle_error http_multipart_create(const char *content_type,
                                         const struct http_multipart_limits *limits,
                                         const struct http_multipart_sink *sink,
                                         struct http_multipart **out, struct au_fault *fault)
{
    struct http_multipart *p;
    char boundary[HTTP_BOUNDARY_BYTES + 1];
    size_t n_header = limits && limits->max_header_bytes ? limits->max_header_bytes
                                                         : DEFAULT_HEADER_BYTES;
    enum auricle_error error = http_part_boundary(content_type, boundary, fault);
    if (error)
        return error;
    p = au_calloc(1, sizeof *p);
    if (p) {
        p->header = au_alloc_array(n_header + 1, 1);
        p->text = au_alloc_array(n_header + 1, HTTP_PART_TEXT_FACTOR);
    }
    if (!p || !p->header || !p->text) {
        http_multipart_destroy(p);
        return au_fail(fault, AURICLE_E_NOMEM, "no memory for the parser of a form");
    }
    p->sink = *sink;
    p->limits.max_header_bytes = n_header;
    p->limits.max_parts = limits && limits->max_parts ? limits->max_parts : DEFAULT_PARTS;
    memcpy(p->pattern, "\n--", 3);
    p->n_pattern = 3 + au_str_copy(p->pattern + 3, sizeof p->pattern - 3, boundary);
    p->matched = 1; /* the body may begin with a boundary: as if a line had ended before it */
    *out = p;
    return AURICLE_OK;
}

void http_multipart_destroy(struct http_multipart *p)
{
    if (!p)
        return;
    au_free(p->header);
    au_free(p->text);
    au_free(p);
}
