/* The texts around a form's parts: the boundary in Content-Type, name and file name in
 * Content-Disposition.                                                                           */
#ifndef HTTP_PART_HEADER_H
#define HTTP_PART_HEADER_H

#include <stddef.h>

#include "api/http/multipart.h"
#include "base/error.h"

#define HTTP_BOUNDARY_BYTES   70 /* RFC 2046, section 5.1.1 */
#define HTTP_PART_TEXT_FACTOR 4 /* decoded texts of a header need at most so many times its bytes */

/* The boundary of a multipart/form-data Content-Type. INVALID where there is none. */
AURICLE_MUST_CHECK enum auricle_error http_part_boundary(const char *content_type,
                                                         char out[HTTP_BOUNDARY_BYTES + 1],
                                                         struct au_fault *fault);

/* Read the lines of a part's header, header[0..n), with a zero after them; they are changed. text
 * holds HTTP_PART_TEXT_FACTOR times n + 1 bytes and takes what out points to.
 * FORMAT: a line that is none, or no Content-Disposition of form-data with a name.               */
AURICLE_MUST_CHECK enum auricle_error http_part_header_parse(char *header, size_t n, char *text,
                                                             struct http_multipart_part *out,
                                                             struct au_fault *fault);

#endif
