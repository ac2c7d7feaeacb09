/* multipart/form-data (RFC 7578) as it arrives: pieces of any size go in, the header and the bytes
 * of each part come out, at once and without copies of the data.
 *
 *     http_multipart_create(http_request_header(r, "content-type"), &limits, &sink, &p, &fault);
 *     http_multipart_feed(p, data, n, &fault);     each piece of the body
 *     http_multipart_finish(p, &fault);            the body is complete
 *
 * What comes out does not depend on how the input was cut. Line ends may be CRLF or LF alone; what
 * precedes the first boundary and follows the last is ignored. Nothing is allocated while data
 * flows, and the time is linear in the input. The result of every call is an answer for the client:
 * FORMAT and INVALID are its mistakes, LIMIT is 413 or 431.
 * Thread: one at a time per parser; the sink is called from feed and finish.                     */
#ifndef HTTP_MULTIPART_H
#define HTTP_MULTIPART_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct http_multipart; /* opaque */

/* Borrowed for the call. Texts are valid UTF-8 without control characters. */
struct http_multipart_part {
    const char *name;         /* of the field; "" where the client sent an empty one */
    const char *filename;     /* NULL: not a file. No folder: what follows the last '/' or '\' */
    const char *content_type; /* as sent, lower-case, without parameters; NULL: none */
    size_t index;             /* 0, 1, 2 ... */
};

/* Each returns AURICLE_OK to go on; anything else ends the parse, and feed returns it with the
 * sentence that the function left in fault.                                                      */
struct http_multipart_sink {
    void *context;
    enum auricle_error (*part)(void *context, const struct http_multipart_part *part,
                               struct au_fault *fault);
    /* Bytes of the part last announced, n > 0; borrowed. */
    enum auricle_error (*data)(void *context, const uint8_t *data, size_t n,
                               struct au_fault *fault);
    /* That part is complete. */
    enum auricle_error (*part_end)(void *context, struct au_fault *fault);
};

struct http_multipart_limits {
    size_t max_parts;        /* 0: 64 */
    size_t max_header_bytes; /* of one part; 0: 8 KiB */
};

/* content_type: the request's header with its boundary (1 to 70 characters); limits NULL: those
 * above. Errors: INVALID: not multipart/form-data, or no good boundary; NOMEM.                   */
AURICLE_MUST_CHECK enum auricle_error http_multipart_create(
    const char *content_type, const struct http_multipart_limits *limits,
    const struct http_multipart_sink *sink, struct http_multipart **out, struct au_fault *fault);
void http_multipart_destroy(struct http_multipart *parser);

/* Errors: FORMAT: broken header or boundary; LIMIT: too many parts, too large a header; what the
 * sink returned. After an error the same error is returned again.                                */
AURICLE_MUST_CHECK enum auricle_error http_multipart_feed(struct http_multipart *parser,
                                                          const uint8_t *data, size_t n,
                                                          struct au_fault *fault);
/* FORMAT when the final boundary did not come. */
AURICLE_MUST_CHECK enum auricle_error http_multipart_finish(struct http_multipart *parser,
                                                            struct au_fault *fault);

#endif
